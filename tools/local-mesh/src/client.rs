//! An HTTP client for tests and traffic: blocking, HTTP/1.1 or HTTP/2. It can also send raw bytes, for what a correct
//! client never sends.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{anyhow, Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper::header::{HeaderName, HeaderValue, HOST};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// Sends requests; cheap to clone. Must not be used inside an async runtime.
#[derive(Debug, Clone)]
pub struct Client {
    runtime: Handle,
    http1: Pooled<HttpConnector, Full<Bytes>>,
}

/// A request; its methods set the parts.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    address: SocketAddr,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    http2: bool,
    timeout: Duration,
}

/// A complete response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header names (lower case) and values in the order received.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
}

impl Client {
    /// A client that works on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        let http1 = Pooled::builder(TokioExecutor::new()).build_http();
        Self { runtime, http1 }
    }

    /// Sends one request and waits for the complete answer.
    pub fn send(&self, request: &Request) -> Result<Answer> {
        self.runtime.block_on(self.send_async(request))
    }

    /// Sends all requests at once. The answers have the same order.
    pub fn send_together(&self, requests: &[Request]) -> Vec<Result<Answer>> {
        self.runtime.block_on(async {
            let tasks: Vec<_> = requests
                .iter()
                .map(|request| {
                    let (client, request) = (self.clone(), request.clone());
                    tokio::spawn(async move { client.send_async(&request).await })
                })
                .collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap_or_else(|error| Err(anyhow!(error))));
            }
            answers
        })
    }

    /// Writes bytes to a new connection, reads for at most `wait`, then closes it. Such a client can leave before the
    /// answer, or speak something else than HTTP.
    pub fn raw(&self, address: SocketAddr, bytes: &[u8], wait: Duration) -> Result<Vec<u8>> {
        self.runtime.block_on(async {
            let mut stream =
                TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
            stream.write_all(bytes).await?;
            let mut received = Vec::new();
            // A timeout is expected, and a reset also ends the connection.
            let _ = tokio::time::timeout(wait, stream.read_to_end(&mut received)).await;
            Ok(received)
        })
    }

    /// The runtime of the client.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Like [`Self::send`], for use on the runtime.
    pub(crate) async fn send_async(&self, request: &Request) -> Result<Answer> {
        let describe = || format!("{} http://{}{}", request.method, request.address, request.path);
        let built = request.build().with_context(describe)?;
        let exchange = async {
            let response = match request.http2 {
                true => over_http2(request.address, built).await?,
                false => self.http1.request(built).await?,
            };
            let status = response.status().as_u16();
            let headers = response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect();
            let body = response.into_body().collect().await.context("the body broke off")?.to_bytes();
            anyhow::Ok(Answer { status, headers, body })
        };
        tokio::time::timeout(request.timeout, exchange)
            .await
            .map_err(|_| anyhow!("no answer within {:?}", request.timeout))
            .and_then(|answer| answer)
            .with_context(describe)
    }
}

impl Request {
    /// GET.
    pub fn get(address: SocketAddr, path: &str) -> Self {
        Self {
            method: Method::GET,
            address,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            http2: false,
            timeout: Duration::from_secs(30),
        }
    }

    /// POST with a body.
    pub fn post(address: SocketAddr, path: &str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(address, path) }
    }

    /// Sets the method.
    pub fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Sets the Host header: `reviews:9080`. A sidecar finds the service by it.
    pub fn host(self, host: &str) -> Self {
        self.header("host", host)
    }

    /// Adds a header. A name can occur several times.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// HTTP/2 with prior knowledge. The Host header becomes `:authority`.
    pub fn http2(self) -> Self {
        Self { http2: true, ..self }
    }

    /// Sets the time limit for the complete answer. Default: 30 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    fn build(&self) -> Result<hyper::Request<Full<Bytes>>> {
        let host = self.headers.iter().find(|(name, _)| self.http2 && name == "host").map(|(_, host)| host.clone());
        let mut request = hyper::Request::builder()
            .method(self.method.clone())
            .uri(format!("http://{}{}", host.unwrap_or_else(|| self.address.to_string()), self.path))
            .body(Full::new(self.body.clone()))?;
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().with_context(|| format!("header name {name:?}"))?;
            let value = HeaderValue::from_str(value).with_context(|| format!("value of header {name}"))?;
            if name == HOST && self.http2 {
                continue; // it is :authority, out of the URI
            }
            if name == HOST {
                request.headers_mut().insert(name, value);
            } else {
                request.headers_mut().append(name, value);
            }
        }
        Ok(request)
    }
}

impl Answer {
    /// The first header with this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

/// On a connection of its own: the pool would connect to the address in `:authority`.
async fn over_http2(address: SocketAddr, request: hyper::Request<Full<Bytes>>) -> Result<hyper::Response<Incoming>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection); // ends with the exchange; the sender tells its errors
    Ok(sender.send_request(request).await?)
}
