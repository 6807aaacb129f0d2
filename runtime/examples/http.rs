//! hyper 1 on this runtime: a server and a client of HTTP/1.1.
//!
//! ```text
//! cargo run -p crossover-interop --example http -- serve                           # 127.0.0.1:8080 unless said
//! cargo run -p crossover-interop --example http -- get http://127.0.0.1:8080/
//! cargo run -p crossover-interop --example http -- --check                         # both, and out
//! ```
//!
//! In a program of one's own: `crossover-runtime` with the feature `hyper`, `hyper` and `http-body-util`.

use bytes::Bytes;
use crossover_runtime::hyper_rt::Timer;
use crossover_runtime::net::{TcpListener, TcpStream};
use crossover_runtime::runtime::Runtime;
use crossover_runtime::spawn;
use crossover_runtime::time::timeout;
use futures::future::try_join_all;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, client, server};
use std::convert::Infallible;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: http serve [ADDRESS] | http get URL | http --check";
/// For a client: to connect and to get the head of the answer. For the server: to get the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--check"] => run(check()),
        ["serve"] => run(listen("127.0.0.1:8080")),
        ["serve", address] => run(listen(address)),
        ["get", url] => run(print(url)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    Runtime::new()?.block_on(work)
}

async fn listen(address: &str) -> Result<()> {
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on http://{}/; end it by Ctrl-C", listener.local_addr()?);
    serve(listener).await;
    Ok(())
}

/// Accepts for ever, a task for each connection.
async fn serve(listener: TcpListener) {
    let mut http = server::conn::http1::Builder::new();
    // Without a timer hyper's time limits do not count. This one is the runtime's own.
    http.timer(Timer).header_read_timeout(PATIENCE);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let connection = http.serve_connection(stream, service_fn(answer));
                drop(spawn(async move {
                    if let Err(error) = connection.await {
                        eprintln!("{peer}: {error}");
                    }
                }));
            }
            Err(error) => eprintln!("accept: {error}"),
        }
    }
}

/// `GET /` greets; `POST /echo` sends the body back while it arrives.
async fn answer(
    request: Request<Incoming>,
) -> std::result::Result<Response<Either<Full<Bytes>, Incoming>>, Infallible> {
    let text = |text: &'static str| Either::Left(Full::new(Bytes::from_static(text.as_bytes())));
    let response = match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => Response::new(text("hello from hyper\n")),
        (&Method::POST, "/echo") => Response::new(Either::Right(request.into_body())),
        _ => {
            let mut response = Response::new(text("no such page\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    };
    Ok(response)
}

/// Sends one request over a connection of its own, and returns the answer once its head is there.
async fn send(method: Method, url: &str, body: &'static str) -> Result<Response<Incoming>> {
    let url: Uri = url.parse().map_err(|error| format!("{url} is no URL: {error}"))?;
    let (Some("http"), Some(host)) = (url.scheme_str(), url.host()) else {
        return Err(format!("{url}: wanted http://HOST[:PORT]/PATH").into());
    };
    let address = (host.trim_matches(['[', ']']).to_owned(), url.port_u16().unwrap_or(80));
    let authority = url.authority().map_or_else(|| host.to_owned(), ToString::to_string);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, authority)
        .body(Full::new(Bytes::from_static(body.as_bytes())))?;
    let response = timeout(PATIENCE, async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = client::conn::http1::handshake(stream).await?;
        // The connection is a future of its own that moves the bytes; an error reaches the request, too.
        drop(spawn(connection));
        Ok::<_, Box<dyn Error + Send + Sync>>(sender.send_request(request).await?)
    });
    match response.await {
        Ok(response) => response.map_err(|error| format!("{url}: {error}").into()),
        Err(_) => Err(format!("{url}: no answer within {PATIENCE:?}").into()),
    }
}

/// Gets a page and prints its body as it arrives.
async fn print(url: &str) -> Result<()> {
    let response = send(Method::GET, url, "").await?;
    eprintln!("{:?} {}", response.version(), response.status());
    let failed = !response.status().is_success();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            std::io::stdout().write_all(&data)?;
        }
    }
    if failed { Err("the server refused".into()) } else { Ok(()) }
}

async fn check() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let server = spawn(serve(listener));
    let expect = async |method, path: &str, body, status, answer: &str| -> Result<()> {
        let response = send(method, &format!("{base}{path}"), body).await?;
        if response.status() != status {
            return Err(format!("{path}: {}", response.status()).into());
        }
        let received = response.into_body().collect().await?.to_bytes();
        if received == answer { Ok(()) } else { Err(format!("{path}: {received:?}").into()) }
    };
    expect(Method::GET, "/", "", StatusCode::OK, "hello from hyper\n").await?;
    expect(Method::GET, "/nothing", "", StatusCode::NOT_FOUND, "no such page\n").await?;
    try_join_all((0..50).map(|_| expect(Method::POST, "/echo", "echoed", StatusCode::OK, "echoed"))).await?;
    server.abort();
    println!("52 requests: ok");
    Ok(())
}
