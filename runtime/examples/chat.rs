//! A chat over WebSocket, by async-tungstenite: what one says all hear.
//!
//! ```text
//! cargo run -p crossover-interop --example chat -- serve                           # 127.0.0.1:9001 unless said
//! cargo run -p crossover-interop --example chat -- join ws://127.0.0.1:9001 Ada    # then type; Ctrl-D leaves
//! cargo run -p crossover-interop --example chat -- --check                         # both, and out
//! ```
//!
//! The first message of a client is its name. Who does not read fast enough is thrown out: the others do not wait.

use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{Error, Message};
use async_tungstenite::{
    WebSocketReceiver, WebSocketSender, WebSocketStream, accept_async_with_config, client_async,
};
use crossover_runtime::net::{TcpListener, TcpStream};
use crossover_runtime::runtime::Runtime;
use crossover_runtime::spawn;
use crossover_runtime::sync::channel::{Receiver, Sender, bounded};
use crossover_runtime::time::timeout;
use futures::future::{Either, join_all, select};
use futures::{Stream, StreamExt};
use std::collections::HashMap;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const USAGE: &str = "usage: chat serve [ADDRESS] | chat join URL NAME | chat --check";
/// How many messages may wait for a client before it is thrown out.
const BACKLOG: usize = 256;
const MESSAGE_MAX: usize = 4096;
/// For the handshake and the name.
const PATIENCE: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--check"] => run(check()),
        ["serve"] => run(listen("127.0.0.1:9001")),
        ["serve", address] => run(listen(address)),
        ["join", url, name] => run(join(url, name)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    Runtime::new()?.block_on(work)
}

/// Everybody who is there, by number. The lock is held for a few instructions and never over an `.await`: std's will do.
#[derive(Clone, Default)]
struct Room {
    inboxes: Arc<Mutex<HashMap<u64, Sender<Message>>>>,
}

impl Room {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<u64, Sender<Message>>) -> R) -> R {
        f(&mut self.inboxes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self, number: u64, name: String) -> (Seat, Receiver<Message>) {
        let (sender, receiver) = bounded(BACKLOG);
        self.with(|inboxes| inboxes.insert(number, sender));
        self.say(&format!("* {name} is here"));
        (Seat { room: self.clone(), number, name }, receiver)
    }

    /// Puts a text into each inbox. One that is full is closed, which ends its connection.
    fn say(&self, text: &str) {
        let message = Message::text(text);
        self.with(|inboxes| inboxes.retain(|_, inbox| inbox.try_send(message.clone()).is_ok()));
    }
}

/// A place in the room, left when it is dropped: also when the connection's task is aborted, or panics.
struct Seat {
    room: Room,
    number: u64,
    name: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.with(|inboxes| inboxes.remove(&self.number));
        self.room.say(&format!("* {} has left", self.name));
    }
}

async fn listen(address: &str) -> Result<(), Failure> {
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on ws://{}; end it by Ctrl-C", listener.local_addr()?);
    serve(listener).await;
    Ok(())
}

async fn serve(listener: TcpListener) {
    let room = Room::default();
    for number in 0.. {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let room = room.clone();
                drop(spawn(async move {
                    if let Err(error) = talk(room, number, stream).await {
                        eprintln!("{peer}: {error}");
                    }
                }));
            }
            Err(error) => eprintln!("accept: {error}"),
        }
    }
}

/// One client, from the handshake to the end.
async fn talk(room: Room, number: u64, stream: TcpStream) -> Result<(), Failure> {
    let limits =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_MAX)).max_frame_size(Some(MESSAGE_MAX));
    let introduced = timeout(PATIENCE, async {
        let socket = accept_async_with_config(stream, Some(limits)).await?;
        let (sink, mut messages) = socket.split();
        let name = next_text(&mut messages).await?;
        Ok::<_, Error>((sink, messages, name))
    });
    let (mut sink, mut messages, name) = introduced.await.map_err(|_| "no name in time")??;
    let Some(name) = name else { return Ok(()) };
    let (seat, inbox) = room.enter(number, name);
    let hearing = pin!(async {
        while let Ok(message) = inbox.recv().await {
            sink.send(message).await?;
        }
        Err("too slow: thrown out".into())
    });
    let saying = pin!(async {
        while let Some(text) = next_text(&mut messages).await? {
            room.say(&format!("{}: {text}", seat.name));
        }
        Ok(())
    });
    // Whichever ends first ends both: the other future is dropped where it waits.
    select(hearing, saying).await.factor_first().0
}

/// The next text; `None` at the end of the connection. Pings are answered by the library while we wait.
async fn next_text(
    messages: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
) -> Result<Option<String>, Error> {
    while let Some(message) = messages.next().await {
        match message? {
            Message::Text(text) => return Ok(Some(text.to_string())),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            // The library answers the close when it is polled again, and then the stream ends.
            Message::Close(_) => {}
        }
    }
    Ok(None)
}

/// Connects and gives its name.
async fn connect(url: &str, name: &str) -> Result<WebSocketStream<TcpStream>, Failure> {
    let address = url.strip_prefix("ws://").ok_or_else(|| format!("{url}: wanted ws://HOST:PORT"))?;
    let address = address.split('/').next().unwrap_or_default();
    let connected = timeout(PATIENCE, async {
        let stream = TcpStream::connect(address).await?;
        let (mut socket, _) = client_async(url, stream).await?;
        socket.send(Message::text(name)).await?;
        Ok::<_, Failure>(socket)
    });
    let connected = connected.await.map_err(|_| format!("{url}: no answer within {PATIENCE:?}"))?;
    connected.map_err(|error| format!("{url}: {error}").into())
}

/// Prints what is said, and says what is typed.
async fn join(url: &str, name: &str) -> Result<(), Failure> {
    let (mut sink, mut messages) = connect(url, name).await?.split();
    let lines = typed_lines();
    let typing = pin!(async {
        while let Ok(line) = lines.recv().await {
            sink.send(Message::text(line)).await?;
        }
        sink.close(None).await
    });
    let printing = pin!(async {
        while let Some(text) = next_text(&mut messages).await? {
            println!("{text}");
        }
        Ok(())
    });
    match select(typing, printing).await {
        // We have left: read on until the server has said so, too.
        Either::Left((typed, printing)) => typed.and(printing.await)?,
        // The server has closed.
        Either::Right((printed, _)) => printed?,
    }
    Ok(())
}

/// What is typed, line by line. On a plain thread, and not in `spawn_blocking`: a read of the terminal cannot be called
/// off, and the runtime's end would wait for it.
fn typed_lines() -> Receiver<String> {
    let (sender, receiver) = bounded(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send_blocking(line).is_err() {
                break;
            }
        }
    });
    receiver
}

async fn check() -> Result<(), Failure> {
    const NAMES: [&str; 5] = ["Ada", "Barbara", "Edsger", "Grace", "Niklaus"];
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}", listener.local_addr()?);
    let server = spawn(serve(listener));
    let mut clients = Vec::new();
    for name in NAMES {
        let (sink, mut messages) = connect(&url, name).await?.split();
        wait_for(&mut messages, &format!("* {name} is here")).await?;
        clients.push((name, sink, messages));
    }
    for (name, sink, _) in &mut clients {
        sink.send(Message::text(format!("{name} says hello"))).await?;
    }
    let hearing = clients.iter_mut().map(async |(_, _, messages)| {
        // In whatever order they were said.
        let mut said: Vec<String> = Vec::new();
        while said.len() < NAMES.len() {
            let text = next_text(messages).await?.ok_or("the server has hung up")?;
            said.extend(text.ends_with("says hello").then_some(text));
        }
        said.sort();
        let expected = NAMES.map(|name| format!("{name}: {name} says hello"));
        if said == expected { Ok(()) } else { Err(Failure::from(format!("heard {said:?}"))) }
    });
    join_all(hearing).await.into_iter().collect::<Result<(), Failure>>()?;
    let (gone, sink, messages) = clients.remove(0);
    leave(sink, messages).await?;
    for (_, _, messages) in &mut clients {
        wait_for(messages, &format!("* {gone} has left")).await?;
    }
    for (_, sink, messages) in clients {
        leave(sink, messages).await?;
    }
    server.abort();
    println!("{} clients heard each other, and left: ok", NAMES.len());
    Ok(())
}

async fn wait_for(messages: &mut WebSocketReceiver<TcpStream>, wanted: &str) -> Result<(), Failure> {
    while let Some(text) = next_text(messages).await? {
        if text == wanted {
            return Ok(());
        }
    }
    Err(format!("the server has hung up before {wanted:?}").into())
}

/// Closes, and reads until the server has done so, too.
async fn leave(
    mut sink: WebSocketSender<TcpStream>,
    mut messages: WebSocketReceiver<TcpStream>,
) -> Result<(), Failure> {
    sink.close(None).await?;
    while next_text(&mut messages).await?.is_some() {}
    Ok(())
}
