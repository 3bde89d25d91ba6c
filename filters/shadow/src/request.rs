//! State of a mirrored request.

use core::time::Duration;
use std::rc::Rc;

use host::property;
use host::{HeaderMap, Host};
use labels::direction::Direction;

use crate::config::Compare;
use crate::copied::{number, Copied};
use crate::outcome::{Answer, BodySum, Code, Hash, Outcome, GRPC_STATUS, SERVICE_TIME};

/// The response code details of an upstream's response.
const VIA_UPSTREAM: &[u8] = b"via_upstream";

/// State of a request; empty if it is not mirrored.
#[derive(Debug, Default)]
pub struct MirroredRequest {
    pub(crate) mirrored: Option<Box<Mirrored>>,
}

/// State of a request with copies.
#[derive(Debug)]
pub(crate) struct Mirrored {
    /// Mirrors that wait for the whole request, or for its answer.
    pub waiting: Vec<usize>,
    /// The copy, until the request is complete.
    pub copied: Option<Copied>,
    /// The complete request, as long as a mirror waits.
    pub complete: Option<Rc<Complete>>,
    /// What the copies need to know besides.
    pub facts: RequestTraits,
    /// When it was complete.
    pub complete_at: Option<Duration>,
    /// Whether an upstream has begun to answer.
    pub is_answered: bool,
    /// The pairs that wait for the original's outcome.
    pub pairs: Vec<u32>,
    /// State of the response.
    pub response: Response,
}

/// A complete request, shared by all its copies.
#[derive(Debug)]
pub(crate) struct Complete {
    pub copied: Copied,
    pub facts: RequestTraits,
}

/// The properties of a request that its copies depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestTraits {
    pub direction: Direction,
    /// Length of the path's prefix that the rule matched.
    pub prefix: Option<usize>,
    pub is_grpc: bool,
    pub is_head: bool,
    /// Whether its trailers were left out.
    pub had_trailers: bool,
}

/// State of a response.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// Whether it will be compared.
    is_compared: bool,
    /// Whether its length is needed.
    is_counted: bool,
    /// The largest body to hash; `None` once the body is larger.
    looked_at: Option<usize>,
    /// Whether its headers have arrived.
    has_begun: bool,
    /// Whether its end has arrived.
    is_whole: bool,
    latency: Option<u64>,
    grpc_status: Option<u16>,
    length: u64,
    hash: Hash,
}

impl MirroredRequest {
    /// Whether copies of it are made.
    pub fn is_mirrored(&self) -> bool {
        self.mirrored.is_some()
    }
}

impl Response {
    /// A response before its headers, with what these comparisons need.
    pub fn compared_by<'a>(all: impl Iterator<Item = &'a Compare>) -> Self {
        all.fold(Self::default(), |response, compare| Self {
            is_compared: true,
            is_counted: response.is_counted || compare.size || compare.max_body_bytes.is_some(),
            looked_at: response.looked_at.max(compare.max_body_bytes),
            ..response
        })
    }

    /// The head passes; `is_all` if nothing follows. `complete_at` is when the request was complete.
    pub fn on_headers(&mut self, host: &impl Host, facts: RequestTraits, complete_at: Option<Duration>, is_all: bool) {
        (self.has_begun, self.is_whole) = (true, is_all);
        if !self.is_compared {
            return;
        }
        let told = host.header(HeaderMap::Response, SERVICE_TIME).and_then(|text| number(&text));
        self.latency = told.or_else(|| {
            // Envoy is configured not to send the header.
            let took = host.monotonic_time()?.saturating_sub(complete_at?);
            u64::try_from(took.as_millis()).ok()
        });
        self.look_for_grpc_status(host, HeaderMap::Response, facts);
    }

    /// The trailers pass: it is whole.
    pub fn on_trailers(&mut self, host: &impl Host, facts: RequestTraits) {
        self.is_whole = true;
        self.look_for_grpc_status(host, HeaderMap::ResponseTrailers, facts);
    }

    /// A part of the body arrives.
    pub fn on_body(&mut self, host: &impl Host, size: usize, is_last: bool) {
        self.is_whole = is_last;
        if !self.is_counted || size == 0 {
            return;
        }
        self.length = self.length.saturating_add(size as u64);
        let Some(max) = self.looked_at else { return };
        let is_small = self.length <= max as u64;
        let part = if is_small { host.body(host::Body::Response, size) } else { None };
        match part.filter(|part| part.len() == size) {
            Some(part) => self.hash = self.hash.with(&part),
            None => self.looked_at = None,
        }
    }

    /// Takes the status of gRPC where it may be: once the request has ended, nobody knows it any more.
    fn look_for_grpc_status(&mut self, host: &impl Host, map: HeaderMap, facts: RequestTraits) {
        if self.is_compared && facts.is_grpc {
            let told = host.header(map, GRPC_STATUS).and_then(|text| number(&text));
            self.grpc_status = told.or(self.grpc_status);
        }
    }

    /// How the request went that has ended.
    pub fn outcome(&self, host: &impl Host, facts: RequestTraits) -> Outcome {
        // An upstream or a client that broke off, or a limit of time.
        if self.has_begun && !self.is_whole {
            return Outcome::Reset;
        }
        if host.property(property::RESPONSE_CODE_DETAILS).is_none_or(|details| details != VIA_UPSTREAM) {
            return Outcome::Unreachable;
        }
        let status = |path| host.int(path).and_then(|code| u16::try_from(code).ok());
        let http = status(property::RESPONSE_CODE).unwrap_or_default();
        let code = match facts.is_grpc {
            true => Code::of_grpc(self.grpc_status, http),
            false => Code::of_http(http),
        };
        let has_body = self.is_counted && !facts.is_head && http != 304;
        let body = has_body.then(|| BodySum { length: self.length, hash: self.looked_at.map(|_| self.hash.value()) });
        Outcome::Upstream(Answer { code, latency: self.latency, body })
    }
}
