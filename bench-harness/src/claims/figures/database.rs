//! The database of the claims about databases: PostgreSQL where `CROSSOVER_POSTGRES` says where one is, else the stand-in. A row's
//! note says which it was.
//!
//! PostgreSQL is asked by tokio-postgres over our TCP stream: a connection of it is a client that takes queries, several at a
//! time, and a task that moves bytes. `pg_sleep` is the time that a query takes, at the server. A server that is named but cannot be
//! reached is an error and not a reason to ask the stand-in.
use std::net::{SocketAddr, ToSocketAddrs as _};

use crossover_runtime::net::TcpStream;
use crossover_runtime::spawn;
use crossover_runtime::task::JoinHandle;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

use super::super::stand_in;
use super::{Setup, Trouble};

/// The variable that names a server by its URL, as for the workload `postgres`.
const VARIABLE: &str = "CROSSOVER_POSTGRES";

/// A query of 100 ms, in the words of either.
const QUERY: &str = "select pg_sleep(0.1)";
const STAND_IN_QUERY: &str = "query 100";

/// Where to ask.
#[derive(Debug)]
pub(crate) enum Database {
    Postgres(SocketAddr, Box<Config>),
    StandIn(SocketAddr),
}

/// A connection that has answered once.
pub(crate) enum Connection {
    Postgres {
        client: Client,
        version: String,
        /// Ends when `client` is dropped.
        _moving: JoinHandle<Result<(), tokio_postgres::Error>>,
    },
    StandIn(stand_in::Connection),
}

impl Database {
    /// The one that is there.
    pub(crate) fn find(setup: &Setup) -> Result<Self, Trouble> {
        match std::env::var(VARIABLE) {
            Ok(url) => {
                let (address, config) =
                    parse(&url).map_err(|reason| Trouble::Failed(format!("{VARIABLE}: {reason}")))?;
                Ok(Self::Postgres(address, Box::new(config)))
            }
            Err(_) => Ok(Self::StandIn(super::stand_in(setup)?)),
        }
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Connection, String> {
        match self {
            Self::StandIn(address) => {
                let connection = stand_in::Connection::open(*address).await;
                connection.map(Connection::StandIn).map_err(|error| error.to_string())
            }
            Self::Postgres(address, config) => {
                let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                let connected = config.connect_raw(stream.compat(), NoTls).await;
                let (client, connection) = connected.map_err(|error| describe(&error))?;
                let moving = spawn(connection);
                // A backend's first statement reads its catalogue: no query's time.
                let row = client.query_one("select current_setting('server_version')", &[]).await;
                let version = row.and_then(|row| row.try_get(0)).map_err(|error| describe(&error))?;
                client.simple_query("select pg_sleep(0)").await.map_err(|error| describe(&error))?;
                Ok(Connection::Postgres { client, version, _moving: moving })
            }
        }
    }
}

impl Connection {
    /// A query of 100 ms.
    pub(crate) async fn query(&mut self) -> Result<(), String> {
        match self {
            Self::Postgres { client, .. } => {
                client.simple_query(QUERY).await.map(drop).map_err(|error| describe(&error))
            }
            Self::StandIn(connection) => {
                connection.ask(STAND_IN_QUERY).await.map_err(|error| error.to_string())
            }
        }
    }

    /// Two queries of 100 ms, both under way at once.
    pub(crate) async fn two_queries(&mut self) -> Result<(), String> {
        match self {
            Self::Postgres { client, .. } => {
                let query = || client.simple_query(QUERY);
                futures_util::try_join!(query(), query()).map(drop).map_err(|error| describe(&error))
            }
            Self::StandIn(connection) => {
                let both = async {
                    connection.send(STAND_IN_QUERY).await?;
                    connection.send(STAND_IN_QUERY).await?;
                    connection.answer().await?;
                    connection.answer().await
                };
                both.await.map_err(|error| error.to_string())
            }
        }
    }

    /// What it is, for the row's note.
    pub(crate) fn about(&self) -> String {
        match self {
            Self::Postgres { version, .. } => {
                format!("PostgreSQL {version}, pg_sleep(.1), by tokio-postgres on our runtime")
            }
            Self::StandIn(_) => format!(
                "a stand-in for a database: one query of a connection after the other, each 100 ms of a timer; {VARIABLE} names \
                 a real one, and scripts/postgres.sh starts one"
            ),
        }
    }
}

/// Address and the rest of a URL.
fn parse(url: &str) -> Result<(SocketAddr, Config), String> {
    let config: Config = url.parse().map_err(|error| describe(&error))?;
    let [Host::Tcp(host)] = config.get_hosts() else {
        return Err("it must name one host, which is reached by TCP".to_owned());
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let mut addresses = (host.as_str(), port).to_socket_addrs().map_err(|error| error.to_string())?;
    let address = addresses.next().ok_or_else(|| format!("{host} has no address"))?;
    Ok((address, config))
}

/// An error of the client with its cause, which it does not tell by itself.
fn describe(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"));
    format!("{error}{cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_or_refused_with_a_reason() {
        let (address, config) = parse("postgresql://me:word@127.0.0.1:5544/mine").unwrap();
        assert_eq!(address, SocketAddr::from(([127, 0, 0, 1], 5544)));
        assert_eq!((config.get_user(), config.get_dbname()), (Some("me"), Some("mine")));
        assert!(parse("postgresql:///mine").unwrap_err().contains("one host"));
        assert!(!parse("nonsense").unwrap_err().is_empty());
    }
}
