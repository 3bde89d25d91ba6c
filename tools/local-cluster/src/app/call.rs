//! The clients.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use local_mesh::{Client, Request};
use tokio::runtime::Runtime;

/// What is asked over TCP and WebSocket: eleven bytes.
const QUESTION: &str = "GET rating\n";

/// Prints the status of each answer.
pub fn http(runtime: &Runtime, url: &str, count: usize, headers: &[&str]) -> Result<()> {
    let client = Client::new(runtime.handle().clone());
    let mut request = of_url(url)?;
    for header in headers {
        let (name, value) = header.split_once('=').with_context(|| format!("{header} is no NAME=VALUE"))?;
        request = request.header(name, value);
    }
    for _ in 0..count {
        println!("{}", client.send(&request)?.status);
    }
    Ok(())
}

/// Prints how many messages each call was answered with.
pub fn grpc(runtime: &Runtime, address: &str, method: &str, count: usize, messages: usize) -> Result<()> {
    let client = Client::new(runtime.handle().clone());
    // Not compressed, three bytes long, "abc".
    let message: &[u8] = b"\0\0\0\0\x03abc";
    let request = Request::post(resolve(address)?, method, message.repeat(messages))
        .host(address)
        .http2()
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for _ in 0..count {
        println!("{}", client.send(&request)?.body.len() / message.len());
    }
    Ok(())
}

/// Asks on one connection.
pub fn tcp(address: &str, count: usize) -> Result<()> {
    ask(&mut BufReader::new(TcpStream::connect(address)?), count)
}

/// The same after an upgrade.
pub fn websocket(address: &str, count: usize) -> Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    let request = format!(
        "GET /socket HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.get_mut().write_all(request.as_bytes())?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 101 "), "{line}");
    while line != "\r\n" {
        line.clear();
        ensure!(stream.read_line(&mut line)? > 0, "the answer broke off");
    }
    ask(&mut stream, count)
}

/// Sends requests for a time, one after the other, and prints how many had which end.
pub fn load(runtime: &Runtime, url: &str, duration: Duration) -> Result<()> {
    let client = Client::new(runtime.handle().clone());
    let request = of_url(url)?.timeout(Duration::from_secs(10));
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    let begin = Instant::now();
    while begin.elapsed() < duration {
        let end = match client.send(&request) {
            Ok(answer) => answer.status.to_string(),
            Err(error) => format!("{error:#}"),
        };
        *ends.entry(end).or_default() += 1;
    }
    for (end, count) in ends {
        println!("{count} {end}");
    }
    Ok(())
}

fn ask(stream: &mut BufReader<TcpStream>, count: usize) -> Result<()> {
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(10)))?;
    for _ in 0..count {
        stream.get_mut().write_all(QUESTION.as_bytes())?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if line.is_empty() {
            bail!("the connection was closed");
        }
        print!("{line}");
    }
    Ok(())
}

fn of_url(url: &str) -> Result<Request> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} does not begin with http://"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if host.contains(':') { resolve(host)? } else { resolve(&format!("{host}:80"))? };
    Ok(Request::get(address, &format!("/{path}")).host(host))
}

fn resolve(address: &str) -> Result<SocketAddr> {
    let mut found = address.to_socket_addrs().with_context(|| address.to_owned())?;
    found.next().with_context(|| format!("{address} has no address"))
}
