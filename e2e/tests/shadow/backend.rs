//! A server that records requests, and answers as configured.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A received request.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method and path with query.
    pub what: String,
    /// Header lines; host or `:authority` is `host`.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Bytes,
    /// Whether it had trailers.
    pub had_trailers: bool,
}

impl Seen {
    /// All lines of a header, joined by `|`.
    pub fn header(&self, name: &str) -> String {
        let lines = self.headers.iter().filter(|(other, _)| other == name);
        lines.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>().join("|")
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Delay before the answer.
    pub delay: Duration,
    /// Header lines.
    pub headers: Vec<(&'static str, &'static str)>,
    /// Body.
    pub body: Bytes,
    /// Trailers.
    pub trailers: Vec<(&'static str, &'static str)>,
    /// Closes the connection without an answer.
    pub resets: bool,
    /// Breaks the answer off this long after the body, which is half of the announced length.
    pub breaks_off: Option<Duration>,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            status: 200,
            delay: Duration::ZERO,
            headers: Vec::new(),
            body: Bytes::from_static(b"ok\n"),
            trailers: Vec::new(),
            resets: false,
            breaks_off: None,
        }
    }
}

impl Reply {
    /// An answer with this status.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// An answer after this many milliseconds.
    pub fn after(milliseconds: u64) -> Self {
        Self { delay: Duration::from_millis(milliseconds), ..Self::default() }
    }

    /// A gRPC answer.
    pub fn grpc(status: &'static str) -> Self {
        Self {
            headers: vec![("content-type", "application/grpc")],
            body: Bytes::from_static(&[0; 5]),
            trailers: vec![("grpc-status", status)],
            ..Self::default()
        }
    }
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    count: u64,
    keeps: bool,
    /// How long clients have waited, and whether they got an answer.
    waits: Vec<(bool, Duration)>,
    replies: HashMap<String, Reply>,
    other: Reply,
}

/// A server, which ends when dropped.
pub struct Backend {
    state: Arc<Mutex<State>>,
    runtime: Option<Runtime>,
}

impl Backend {
    /// Listens, over HTTP/1.1 and HTTP/2.
    pub fn start(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let state = Arc::new(Mutex::new(State { keeps: true, ..State::default() }));
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), request));
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http1().max_buf_size(1 << 20);
                    builder.http2().max_header_list_size(1 << 20);
                    // The server ignores clients that disconnect, and the errors from `resets`.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { state, runtime: Some(runtime) }
    }

    /// Number of complete requests.
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// The requests since the last call.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.lock().seen)
    }

    /// Waits for the next request, and checks that it is the only one.
    pub fn only(&self) -> Seen {
        crate::scene::wait_until(|| !self.lock().seen.is_empty());
        let mut seen = self.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// How long each client has waited for a [`Reply::after`]: those that got an answer, or those that left before.
    pub fn waits(&self, is_answered: bool) -> Vec<Duration> {
        let state = self.lock();
        state.waits.iter().filter(|(answered, _)| *answered == is_answered).map(|(_, time)| *time).collect()
    }

    /// Sets the answer to requests of a path.
    pub fn reply_to(&self, path: &str, reply: Reply) {
        self.lock().replies.insert(path.to_owned(), reply);
    }

    /// Sets the answer to all other requests.
    pub fn reply(&self, reply: Reply) {
        self.lock().other = reply;
    }

    /// From now on, counts requests without keeping them.
    pub fn only_count(&self) {
        self.lock().keeps = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A client that waits for its answer.
struct Waiting {
    state: Arc<Mutex<State>>,
    begin: Instant,
    is_answered: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waits.push((self.is_answered, self.begin.elapsed()));
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> io::Result<Response<Frames>> {
    let what = format!("{} {}", request.method(), request.uri().path_and_query().map_or("", |path| path.as_str()));
    let path = request.uri().path().to_owned();
    let mut headers: Vec<(String, Vec<u8>)> =
        request.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    if let Some(authority) = request.uri().authority() {
        headers.push(("host".to_owned(), authority.as_str().as_bytes().to_vec()));
    }
    let collected = request.into_body().collect().await.map_err(io::Error::other)?;
    let had_trailers = collected.trailers().is_some();
    let body = collected.to_bytes();
    let reply = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        if state.keeps {
            state.seen.push(Seen { what, headers, body, had_trailers });
        }
        state.replies.get(&path).unwrap_or(&state.other).clone()
    };
    if !reply.delay.is_zero() {
        let mut waiting = Waiting { state, begin: Instant::now(), is_answered: false };
        tokio::time::sleep(reply.delay).await;
        waiting.is_answered = true;
    }
    if reply.resets {
        return Err(io::Error::other("reset, as asked"));
    }
    let mut frames = vec![Frame::data(reply.body.clone())];
    if !reply.trailers.is_empty() {
        frames.push(Frame::trailers(map(&reply.trailers)));
    }
    frames.reverse();
    let announced = reply.body.len() as u64 * if reply.breaks_off.is_some() { 2 } else { 1 };
    let length = reply.trailers.is_empty().then_some(announced);
    let end = reply.breaks_off.map(|wait| Box::pin(tokio::time::sleep(wait)));
    let mut response = Response::new(Frames { frames, length, end });
    *response.status_mut() = hyper::StatusCode::from_u16(reply.status).unwrap();
    response.headers_mut().extend(map(&reply.headers));
    Ok(response)
}

fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// A body of frames, the last one first. If it breaks off, only the first frame is sent.
struct Frames {
    frames: Vec<Frame<Bytes>>,
    length: Option<u64>,
    end: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let is_begun = !self.frames.last().is_some_and(Frame::is_data);
        match &mut self.end {
            Some(end) if is_begun => {
                end.as_mut().poll(context).map(|()| Some(Err(io::Error::other("broken off, as asked"))))
            }
            _ => Poll::Ready(self.frames.pop().map(Ok)),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.length.map_or_else(hyper::body::SizeHint::default, hyper::body::SizeHint::with_exact)
    }
}
