//! Small HTTP servers on loopback: the applications, the page, and test servers in place of external ones.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Largest request body of a [`Server`].
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves requests at `address` (port 0: any free port). `answer` gets the complete request.
    pub fn start<A, R>(address: SocketAddr, runtime: &Handle, answer: A) -> Result<Self>
    where
        A: Fn(Request<Bytes>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let listener = listen(address, runtime).with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let answer = Arc::new(answer);
        let task = runtime.spawn(serve(listener, move |request: Request<Incoming>| {
            let answer = Arc::clone(&answer);
            async move {
                let (head, body) = request.into_parts();
                let body = Limited::new(body, MAX_BODY).collect().await.map_err(io::Error::other)?.to_bytes();
                Ok(answer(Request::from_parts(head, body)).await)
            }
        }));
        Ok(Self { address, task })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer of a [`Server`].
pub fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Listens, for use on `runtime`.
pub(crate) fn listen(address: SocketAddr, runtime: &Handle) -> io::Result<TcpListener> {
    let listener = crate::process::listen(address)?;
    listener.set_nonblocking(true)?;
    let _context = runtime.enter();
    TcpListener::from_std(listener)
}

/// Accepts HTTP/1.1 and HTTP/2 connections forever. They end together with it.
pub(crate) async fn serve<A, R, B>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = io::Result<Response<B>>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let mut connections = tokio::task::JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            connections.spawn(async move {
                // The server ignores clients that disconnect, and answers that are errors.
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await;
            });
        }
        while connections.try_join_next().is_some() {}
    }
}
