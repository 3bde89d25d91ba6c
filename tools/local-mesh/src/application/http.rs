//! The HTTP applications. Besides the page, they have paths for tests: `/healthz`, `/headers` (the received headers as
//! JSON), `/status/<code>`, `/delay/<ms>`, `/bytes/<n>`, `/echo`, `/reset` (closes the connection without an answer),
//! `/truncate` (closes it in the middle of the body).

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{json, Value};
use tokio::net::TcpListener;
use tokio::time::Sleep;

use super::role::{Callee, CalleeKind, Role};
use crate::server;

/// Headers that an application copies from a request to its own calls, so that they belong to one trace.
const FORWARDED: [&str; 12] = [
    "end-user",
    "user-agent",
    "x-request-id",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-ot-span-context",
    "b3",
    "traceparent",
    "tracestate",
];

/// Calls that take longer fail.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest body of `/bytes`.
const MAX_BYTES: usize = 64 * 1024 * 1024;

type AnswerBody = BoxBody<Bytes, io::Error>;
type Caller = Client<HttpConnector, Empty<Bytes>>;

/// A body that is cut off, after a pause in which its first part is really sent.
struct Truncated {
    first: Option<Bytes>,
    pause: Pin<Box<Sleep>>,
}

impl Body for Truncated {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.pause.as_mut().poll(context).map(|()| Some(Err(io::Error::other("truncated, as asked"))))
    }
}

pub(super) async fn serve(listener: TcpListener, role: Arc<Role>) {
    let caller: Caller = Client::builder(TokioExecutor::new()).build_http();
    server::serve(listener, move |request| answer(Arc::clone(&role), caller.clone(), request)).await;
}

async fn answer(role: Arc<Role>, caller: Caller, request: Request<Incoming>) -> io::Result<Response<AnswerBody>> {
    let path = request.uri().path().to_owned();
    let (command, argument) =
        path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    if command == "healthz" {
        return Ok(text(StatusCode::OK, "ok\n"));
    }
    let number = role.next();
    match command {
        "headers" => {
            Ok(json_answer(StatusCode::OK, &json!({"workload": role.name, "headers": pairs(request.headers())})))
        }
        "status" => {
            drain(request).await?;
            let status = argument.parse().ok().and_then(|code: u16| StatusCode::from_u16(code).ok());
            Ok(text(status.unwrap_or(StatusCode::BAD_REQUEST), "as asked\n"))
        }
        "delay" => {
            tokio::time::sleep(Duration::from_millis(argument.parse().unwrap_or(0))).await;
            Ok(text(StatusCode::OK, "late, as asked\n"))
        }
        "bytes" => {
            let length = argument.parse::<usize>().unwrap_or(0).min(MAX_BYTES);
            Ok(Response::new(full(vec![b'x'; length])))
        }
        "echo" => {
            // With its content type, so that Envoy recognizes an echoed gRPC message.
            let content_type = request.headers().get(CONTENT_TYPE).cloned();
            let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
            let mut response = Response::new(full(body));
            response.headers_mut().extend(content_type.map(|value| (CONTENT_TYPE, value)));
            Ok(response)
        }
        "reset" => Err(io::Error::other("reset, as asked")),
        "truncate" => {
            let pause = Box::pin(tokio::time::sleep(Duration::from_millis(50)));
            let first = Some(Bytes::from_static(b"the first part, and"));
            Ok(Response::new(Truncated { first, pause }.boxed()))
        }
        _ => page(&role, &caller, number, request).await,
    }
}

/// The page. Calls all needed services at once; a failed call leaves a gap in the page, not an error.
async fn page(
    role: &Arc<Role>,
    caller: &Caller,
    number: u64,
    request: Request<Incoming>,
) -> io::Result<Response<AnswerBody>> {
    let headers = request.headers().clone();
    drain(request).await?;
    tokio::time::sleep(role.delay(number)).await;
    if let Some(status) = role.failure(number).and_then(|code| StatusCode::from_u16(code).ok()) {
        return Ok(text(status, "fails now and then\n"));
    }
    let mut calls = tokio::task::JoinSet::new();
    for index in 0..role.callees.len() {
        let (role, caller, headers) = (Arc::clone(role), caller.clone(), headers.clone());
        calls.spawn(async move {
            let callee = role.callees.get(index)?;
            let outcome = match tokio::time::timeout(CALL_TIMEOUT, call(&caller, callee, &headers)).await {
                Ok(outcome) => outcome,
                Err(_) => json!("timeout"),
            };
            Some((callee.service.clone(), outcome))
        });
    }
    let outcomes: serde_json::Map<String, Value> = calls.join_all().await.into_iter().flatten().collect();
    Ok(json_answer(StatusCode::OK, &json!({"workload": role.name, "calls": outcomes})))
}

/// The status or line of the called service, or the reason for having none.
async fn call(caller: &Caller, callee: &Callee, incoming: &HeaderMap) -> Value {
    if let CalleeKind::Tcp(pool) = &callee.kind {
        return match pool.ask(callee.address).await {
            Ok(line) => json!(line),
            Err(error) => json!(error.to_string()),
        };
    }
    match get(caller, callee, incoming).await {
        Ok(status) => json!(status),
        Err(error) => json!(format!("{error:#}")),
    }
}

async fn get(caller: &Caller, callee: &Callee, incoming: &HeaderMap) -> anyhow::Result<u16> {
    let mut request = Request::get(format!("http://{}/{}/0", callee.address, callee.service)).body(Empty::new())?;
    for name in FORWARDED.iter().map(|name| HeaderName::from_static(name)) {
        if let Some(value) = incoming.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    request.headers_mut().insert(HOST, HeaderValue::from_str(&callee.host)?);
    let response = caller.request(request).await?;
    let status = response.status().as_u16();
    response.into_body().collect().await?;
    Ok(status)
}

async fn drain(request: Request<Incoming>) -> io::Result<()> {
    request.into_body().collect().await.map(drop).map_err(io::Error::other)
}

fn pairs(headers: &HeaderMap) -> Vec<[String; 2]> {
    headers
        .iter()
        .map(|(name, value)| [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()])
        .collect()
}

fn text(status: StatusCode, body: &'static str) -> Response<AnswerBody> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response
}

fn json_answer(status: StatusCode, body: &Value) -> Response<AnswerBody> {
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

fn full(body: impl Into<Bytes>) -> AnswerBody {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed()
}
