//! The load: a few connections that are kept open, each with one request under way at a time.
//!
//! Everything is done by one thread, the one that calls: while it waits for a run to end, it also serves the upstreams
//! ([`crate::upstream`]). It never sleeps, and is quicker than the proxy, so that the proxy's worker never waits for it:
//! that is the state in which CPU time per request is comparable.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::TlsConnector;

use crate::response;

/// A single request that gets no answer within this is an error.
const TIMEOUT: Duration = Duration::from_secs(10);

/// So is a run that takes longer than this.
const LONGEST: Duration = Duration::from_secs(60);

/// A transport: TCP, or TLS over it.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Where a load goes and what it sends.
#[derive(Debug, Clone)]
pub struct Target {
    /// The listener.
    pub address: SocketAddr,
    /// Mutual TLS, if it is to be spoken.
    pub tls: Option<Arc<ClientConfig>>,
    /// The bytes of a request.
    pub request: Arc<[u8]>,
}

/// Connections to one target.
pub struct Load<'a> {
    runtime: &'a Runtime,
    target: Target,
    connections: Vec<Connection>,
    answered: u64,
}

/// A connection that is kept open.
pub struct Connection {
    stream: Box<dyn Transport>,
    buffer: Vec<u8>,
}

/// When a run ends.
#[derive(Debug, Clone, Copy)]
enum Until {
    Time(Instant),
    Count(u64),
}

impl<'a> Load<'a> {
    /// Connects `connections` times.
    pub fn connect(runtime: &'a Runtime, target: Target, connections: usize) -> Result<Self> {
        let connections = runtime.block_on(async {
            let mut opened = Vec::new();
            for _ in 0..connections {
                opened.push(Connection::open(&target).await?);
            }
            Ok::<_, anyhow::Error>(opened)
        });
        let connections = connections.with_context(|| format!("cannot connect to {}", target.address))?;
        Ok(Self { runtime, target, connections, answered: 0 })
    }

    /// Sends requests on all connections for a while; gives how many were answered.
    pub fn run_for(&mut self, duration: Duration) -> Result<u64> {
        self.run(Until::Time(Instant::now() + duration))
    }

    /// Sends as many requests on each connection; gives how many were answered.
    pub fn run_each(&mut self, count: u64) -> Result<u64> {
        self.run(Until::Count(count))
    }

    /// Sends one request on the first connection and gives what comes before the answer's body.
    pub fn head(&mut self) -> Result<String> {
        let (runtime, request) = (self.runtime, Arc::clone(&self.target.request));
        let connection = self.connections.first_mut().context("no connection")?;
        let head = runtime.block_on(connection.ask(&request))?;
        self.answered += 1;
        Ok(head)
    }

    /// Sends these instead, one after the other on the first connection.
    pub fn send(&mut self, requests: &[Arc<[u8]>]) -> Result<()> {
        let connection = self.connections.first_mut().context("no connection")?;
        self.runtime.block_on(awake(async {
            for request in requests {
                timeout(TIMEOUT, connection.exchange(request)).await.context("no answer")??;
            }
            Ok(())
        }))
    }

    /// How many of its own requests were answered by now.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    fn run(&mut self, until: Until) -> Result<u64> {
        let connections = std::mem::take(&mut self.connections);
        let request = Arc::clone(&self.target.request);
        let answered = self.runtime.block_on(awake(async {
            let tasks: Vec<_> = connections
                .into_iter()
                .map(|connection| tokio::spawn(timeout(LONGEST, drive(connection, Arc::clone(&request), until))))
                .collect();
            let mut answered = 0;
            for task in tasks {
                let (connection, count) = task.await?.context("no answer for a long time")??;
                self.connections.push(connection);
                answered += count;
            }
            Ok::<_, anyhow::Error>(answered)
        }))?;
        self.answered += answered;
        Ok(answered)
    }
}

/// Keeps the thread from sleeping while `work` is under way. Otherwise the proxy would have to wake this core now and then
/// with its answers, which takes the sender's time, on virtual machines most of all, and not always the same.
pub async fn awake<T>(work: impl Future<Output = T>) -> T {
    let spinning = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let result = work.await;
    spinning.abort();
    result
}

async fn drive(mut connection: Connection, request: Arc<[u8]>, until: Until) -> Result<(Connection, u64)> {
    let mut count = 0;
    loop {
        let done = match until {
            Until::Time(end) => Instant::now() >= end,
            Until::Count(wanted) => count >= wanted,
        };
        if done {
            return Ok((connection, count));
        }
        connection.exchange(&request).await?;
        count += 1;
    }
}

impl Connection {
    /// Connects, and shakes hands.
    pub async fn open(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Transport> = match &target.tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::try_from("outbound_.9080_._.productpage.default.svc.cluster.local")?;
                Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?)
            }
        };
        Ok(Self { stream, buffer: Vec::with_capacity(8192) })
    }

    /// One request and its answer, which must be 200.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the proxy closed the connection");
            if let Some(response) = response::parse(&self.buffer)? {
                ensure!(response.status == 200, "status {}: {}", response.status, self.text());
                ensure!(self.buffer.len() == response.total, "more than one answer: {}", self.text());
                return Ok(());
            }
        }
    }

    async fn ask(&mut self, request: &[u8]) -> Result<String> {
        timeout(TIMEOUT, self.exchange(request)).await.context("no answer")??;
        let head = response::parse(&self.buffer)?.map_or(0, |response| response.head);
        Ok(String::from_utf8_lossy(self.buffer.get(..head).unwrap_or_default()).into_owned())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}
