//! The servers.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{bail, Context, Result};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, CONNECTION, CONTENT_TYPE, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio::task::JoinSet;

/// What is answered to a line, over TCP and WebSocket: nine bytes.
const ANSWER: &[u8] = b"rating 5\n";

const GRPC: &str = "application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The frames of an answer's body, all known before.
struct Frames(Vec<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready((!self.0.is_empty()).then(|| Ok(self.0.remove(0))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

/// Serves on ports such as `http=8080`, until it is told to end.
pub async fn serve(name: &str, ports: &[&str]) -> Result<()> {
    let name: Arc<str> = name.into();
    let mut tasks = JoinSet::new();
    for port in ports {
        let (kind, number) = port.split_once('=').with_context(|| format!("{port} is no KIND=PORT"))?;
        let listener = listen(number.parse()?).await?;
        match kind {
            "http" => drop(tasks.spawn(http(listener, {
                let name = Arc::clone(&name);
                move |request| answer(Arc::clone(&name), request)
            }))),
            "tcp" => drop(tasks.spawn(tcp(listener))),
            _ => bail!("{kind} is neither http nor tcp"),
        }
    }
    until_told(tasks).await
}

/// Serves the files of a directory, until it is told to end.
pub async fn files(port: u16, directory: &str) -> Result<()> {
    let directory: Arc<Path> = Path::new(directory).into();
    let mut tasks = JoinSet::new();
    tasks.spawn(http(listen(port).await?, move |request: Request<Incoming>| {
        let directory = Arc::clone(&directory);
        async move {
            let path = Path::new(request.uri().path().trim_start_matches('/'));
            let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
            match std::fs::read(directory.join(path)) {
                Ok(bytes) if is_below => Ok(response(StatusCode::OK, bytes)),
                _ => Ok(response(StatusCode::NOT_FOUND, "no such file\n")),
            }
        }
    }));
    until_told(tasks).await
}

/// As the first process of a container, it would not end at SIGTERM by itself.
async fn until_told(tasks: JoinSet<()>) -> Result<()> {
    signal(SignalKind::terminate())?.recv().await;
    drop(tasks);
    Ok(())
}

async fn listen(port: u16) -> Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

async fn http<A, R>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = io::Result<Response<Frames>>> + Send + 'static,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let answer = answer.clone();
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that breaks off is no matter of the server's.
            let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

/// By the path: `/status/CODE`, `/delay/MILLISECONDS`, `/bytes/NUMBER`, `/headers`; anything else is answered with the name.
async fn answer(name: Arc<str>, request: Request<Incoming>) -> io::Result<Response<Frames>> {
    if request.headers().contains_key(UPGRADE) {
        return upgrade(request);
    }
    let is_grpc = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == GRPC);
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    if is_grpc {
        return Ok(grpc(&path, body));
    }
    let (command, argument) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    Ok(match (command, argument.parse::<u64>()) {
        ("status", Ok(code)) => {
            let code = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
            response(code.unwrap_or(StatusCode::BAD_REQUEST), "as asked\n")
        }
        ("delay", Ok(milliseconds)) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            response(StatusCode::OK, "late\n")
        }
        ("bytes", Ok(number)) => response(StatusCode::OK, vec![b'x'; usize::try_from(number).unwrap_or_default()]),
        _ if path == "/headers" => response(StatusCode::OK, shown(&headers)),
        _ => response(StatusCode::OK, name.to_string()),
    })
}

/// The messages that came, or a denial for a method that is called so.
fn grpc(path: &str, body: Bytes) -> Response<Frames> {
    let mut frames = Vec::new();
    let status = match path.ends_with("/Deny") {
        true => "7",
        false => {
            frames.push(Frame::data(body));
            "0"
        }
    };
    frames.push(Frame::trailers(HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static(status))])));
    let mut response = Response::new(Frames(frames));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

/// After an upgrade, lines are answered as over TCP: what frames a WebSocket has is no matter of a proxy's.
fn upgrade(mut request: Request<Incoming>) -> io::Result<Response<Frames>> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(connection) = upgraded.await {
            let _ = converse(TokioIo::new(connection)).await;
        }
    });
    let mut response = response(StatusCode::SWITCHING_PROTOCOLS, Bytes::new());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    Ok(response)
}

async fn tcp(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            let _ = converse(stream).await;
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        stream.get_mut().write_all(ANSWER).await?;
        line.clear();
    }
    Ok(())
}

fn shown(headers: &HeaderMap) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))).collect()
}

fn response(status: StatusCode, body: impl Into<Bytes>) -> Response<Frames> {
    let body = body.into();
    let mut response = Response::new(Frames(if body.is_empty() { Vec::new() } else { vec![Frame::data(body)] }));
    *response.status_mut() = status;
    response
}
