//! A gRPC client over HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http2;
use hyper::header::HeaderMap;
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Sender};

use crate::grpc_server::{message, Sent};
use crate::scene::WAIT;

/// A call in progress. Dropping it before its end cancels it.
pub struct Call {
    runtime: Handle,
    messages: Option<Sender<Frame<Bytes>>>,
    headers: HeaderMap,
    answer: Incoming,
}

/// How to make a call: the address, the host, and the method.
#[derive(Clone)]
pub struct Caller {
    /// The runtime of the call.
    pub runtime: Handle,
    /// The client's own proxy.
    pub proxy: SocketAddr,
    /// The client's name for the service.
    pub host: &'static str,
}

impl Caller {
    /// Begins a call with one message, and waits for the head of the answer.
    pub fn begin(&self, method: &str) -> Call {
        self.call(method, true)
    }

    /// A call with one message. Returns its status.
    pub fn unary(&self, method: &str) -> String {
        self.call(method, false).end()
    }

    fn call(&self, method: &str, open: bool) -> Call {
        self.runtime.block_on(async {
            let (sender, receiver) = mpsc::channel(16);
            sender.send(message("first")).await.unwrap();
            let messages = open.then_some(sender);
            let response = tokio::time::timeout(WAIT, self.send(method, Sent(receiver))).await.unwrap().unwrap();
            let (head, answer) = response.into_parts();
            Call { runtime: self.runtime.clone(), messages, headers: head.headers, answer }
        })
    }

    /// A call that is cancelled if there is no answer in time.
    pub fn cancelled(&self, method: &str, time: Duration) {
        self.runtime.block_on(async {
            let (sender, receiver) = mpsc::channel(16);
            sender.send(message("first")).await.unwrap();
            let answer = tokio::time::timeout(time, self.send(method, Sent(receiver))).await;
            assert!(answer.is_err(), "it was answered");
        });
    }

    async fn send(&self, method: &str, body: Sent) -> hyper::Result<hyper::Response<Incoming>> {
        let stream = TcpStream::connect(self.proxy).await.unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection); // ends with the call; the sender tells its errors
        let request = Request::post(format!("http://{}/test.Echo/{method}", self.host))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)
            .unwrap();
        sender.send_request(request).await
    }
}

impl Call {
    /// Sends one more message.
    pub fn send(&mut self) {
        let messages = self.messages.as_ref().unwrap();
        self.runtime.block_on(messages.send(message("more"))).unwrap();
    }

    /// Waits for this many messages. The server sends each in its own frame.
    pub fn receive(&mut self, count: usize) {
        for _ in 0..count {
            let frame = self.runtime.block_on(async { tokio::time::timeout(WAIT, self.answer.frame()).await });
            assert!(frame.unwrap().unwrap().unwrap().is_data());
        }
    }

    /// Ends the request, and reads to the end. Returns the status.
    pub fn end(mut self) -> String {
        self.messages = None;
        let answer = self.answer;
        let rest = self.runtime.block_on(async { tokio::time::timeout(WAIT, answer.collect()).await });
        let rest = rest.unwrap().unwrap();
        let status = rest.trailers().and_then(|trailers| trailers.get("grpc-status"));
        let status = status.or_else(|| self.headers.get("grpc-status"));
        status.map(|status| status.to_str().unwrap().to_owned()).unwrap_or_default()
    }
}
