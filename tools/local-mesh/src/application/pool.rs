//! Clients of the database. One line is the request, one line the answer; a connection serves many.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use anyhow::{ensure, Result};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// The request.
pub(super) const QUESTION: &str = "GET rating\n";
/// The answer.
pub(super) const ANSWER: &str = "rating 5\n";

/// Requests per connection. Then the client opens a new one, so that connections open and close while the mesh runs.
const REQUESTS_PER_CONNECTION: u32 = 5;

/// A client's idle connections.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    stream: BufReader<TcpStream>,
    requests: u32,
}

impl Pool {
    /// Requests a rating.
    pub(super) async fn ask(&self, address: SocketAddr) -> io::Result<String> {
        let pooled = self.idle.lock().await.pop();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => Connection { stream: BufReader::new(TcpStream::connect(address).await?), requests: 0 },
        };
        connection.stream.get_mut().write_all(QUESTION.as_bytes()).await?;
        let mut line = String::new();
        if connection.stream.read_line(&mut line).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the database closed the connection"));
        }
        connection.requests += 1;
        if connection.requests < REQUESTS_PER_CONNECTION {
            self.idle.lock().await.push(connection);
        }
        Ok(line.trim_end().to_owned())
    }
}

/// Requests a rating over a blocking connection: sends 11 bytes, receives 9. Any other answer is an error.
pub fn ask(stream: &mut std::net::TcpStream) -> Result<()> {
    stream.write_all(QUESTION.as_bytes())?;
    let mut answer = [0; ANSWER.len()];
    stream.read_exact(&mut answer)?;
    ensure!(answer == *ANSWER.as_bytes(), "the database answered {:?}", String::from_utf8_lossy(&answer));
    Ok(())
}
