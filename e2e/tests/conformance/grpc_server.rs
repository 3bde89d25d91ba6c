//! A gRPC server over HTTP/2, in place of the application of a workload with `serve: false`.
//!
//! The answer depends on the method: `Unary` sends one message, `Chat` returns each received message, `Deny` sends no
//! message, `Wait` never answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue, CONTENT_TYPE};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinHandle;

/// The status of `Deny`: permission denied.
pub const DENIED: &str = "7";

/// A body with the frames that are sent to it. It ends when the sender is dropped.
pub struct Sent(pub Receiver<Frame<Bytes>>);

/// A gRPC server, which ends when dropped.
pub struct GrpcServer(JoinHandle<()>);

impl GrpcServer {
    /// Listens. Answers every call on `runtime`.
    pub fn start(address: SocketAddr, runtime: &Handle) -> Self {
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        Self(runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let connection = http2::Builder::new(TokioExecutor::new());
                    // The server ignores clients that disconnect.
                    let _ = connection.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                });
            }
        }))
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// A message in gRPC's form: not compressed, with its length.
pub fn message(text: &str) -> Frame<Bytes> {
    let mut bytes = vec![0];
    bytes.extend((text.len() as u32).to_be_bytes());
    bytes.extend(text.as_bytes());
    Frame::data(bytes.into())
}

async fn answer(request: Request<Incoming>) -> Result<Response<Sent>, Infallible> {
    let (sender, receiver) = mpsc::channel(16);
    let mut response = Response::new(Sent(receiver));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let mut body = request.into_body();
    match method.as_str() {
        "Deny" => {
            let _ = body.collect().await; // an answer before the request's end would race with it
            response.headers_mut().insert("grpc-status", HeaderValue::from_static(DENIED));
        }
        "Wait" => std::future::pending().await,
        _ => {
            tokio::spawn(async move {
                // Each frame from the client is one message, because messages are small.
                while let Some(Ok(frame)) = body.frame().await {
                    if frame.is_data() && sender.send(frame).await.is_err() {
                        return;
                    }
                }
                let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
                let _ = sender.send(Frame::trailers(trailers)).await; // the client may have left
            });
        }
    }
    Ok(response)
}
