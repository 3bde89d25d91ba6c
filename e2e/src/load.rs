//! Sends many requests at low cost: the bytes are prepared, and of most answers only the status is read.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Connections, each with one request at a time. Envoy closes a connection if several requests on it wait for Envoy's own
/// answers.
const CONNECTIONS: usize = 8;

/// The clients' name for the server.
pub const SERVER: &str = "server:9080";

/// Sends `count` requests. Returns the answers by status. `build` creates the head of each request.
pub fn send(proxy: SocketAddr, count: usize, build: impl Fn(usize) -> String + Sync) -> BTreeMap<u16, u64> {
    send_over(CONNECTIONS, proxy, count, build)
}

/// Sends `count` requests over several connections.
pub fn send_over(
    connections: usize,
    proxy: SocketAddr,
    count: usize,
    build: impl Fn(usize) -> String + Sync,
) -> BTreeMap<u16, u64> {
    let mut statuses = BTreeMap::new();
    std::thread::scope(|scope| {
        let build = &build;
        let connections: Vec<_> = (0..connections)
            .map(|first| scope.spawn(move || one((first..count).step_by(connections), proxy, build)))
            .collect();
        for connection in connections {
            for (status, count) in connection.join().unwrap() {
                *statuses.entry(status).or_default() += count;
            }
        }
    });
    statuses
}

/// GET to [`SERVER`], with additional headers, each with its line end.
pub fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", SERVER)
}

/// Opens `count` connections, then sends a request on each at once. Returns status and duration of each answer.
pub fn burst(proxy: SocketAddr, count: usize, request: &str) -> Vec<(u16, Duration)> {
    let mut connections: Vec<_> = (0..count).map(|_| Connection::open(proxy)).collect();
    // Envoy accepts connections with a delay.
    std::thread::sleep(Duration::from_millis(300));
    let sent: Vec<Instant> = connections
        .iter_mut()
        .map(|connection| {
            connection.write(request);
            Instant::now()
        })
        .collect();
    let answers =
        connections.iter_mut().zip(sent).map(|(connection, sent)| (connection.answer(true).0, sent.elapsed()));
    answers.collect()
}

fn one(
    numbers: impl Iterator<Item = usize>,
    proxy: SocketAddr,
    build: &impl Fn(usize) -> String,
) -> BTreeMap<u16, u64> {
    let mut connection = Connection::open(proxy);
    let mut statuses = BTreeMap::new();
    for number in numbers {
        // Envoy closes a connection after it has answered 400.
        if connection.ends {
            connection = Connection::open(proxy);
        }
        connection.write(&build(number));
        *statuses.entry(connection.answer(true).0).or_default() += 1;
    }
    statuses
}

/// A connection for consecutive requests.
pub struct Connection {
    stream: BufReader<TcpStream>,
    /// The last answer closes the connection.
    ends: bool,
}

impl Connection {
    /// Connects.
    pub fn open(proxy: SocketAddr) -> Self {
        let stream = TcpStream::connect(proxy).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream: BufReader::with_capacity(1024, stream), ends: false }
    }

    fn write(&mut self, request: &str) {
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
    }

    /// Sends a request. Returns status and body of its answer.
    pub fn send(&mut self, method: &str, path: &str) -> (u16, String) {
        self.write(&get(path, "").replacen("GET", method, 1));
        let (status, body) = self.answer(method != "HEAD");
        (status, String::from_utf8(body).unwrap())
    }

    /// Reads an answer whose head contains its length.
    fn answer(&mut self, has_body: bool) -> (u16, Vec<u8>) {
        let (mut status, mut length, mut line) = (0, 0, String::new());
        loop {
            line.clear();
            assert!(self.stream.read_line(&mut line).unwrap() > 0, "the connection ended after {status}");
            let line = line.trim_end();
            if let Some(code) = line.strip_prefix("HTTP/1.1 ") {
                status = code.get(..3).unwrap().parse().unwrap();
            } else if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = bytes.parse().unwrap();
            } else if line == "connection: close" {
                self.ends = true;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; if has_body { length } else { 0 }];
        self.stream.read_exact(&mut body).unwrap();
        (status, body)
    }
}
