//! What a filter may ask of Envoy.
//!
//! The filters are generic over [`Host`]; the crate `adapter` implements it with proxy-wasm calls, [`fake`] in memory.
//! No method panics or blocks. A read that Envoy refuses is the same as a value that is not there: telemetry has no
//! better answer to either than `unknown`.

use core::time::Duration;

#[cfg(feature = "test-util")]
pub mod fake;
pub mod pairs;
pub mod property;

use property::Property;

/// A header map of the current HTTP stream, or of the answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeaderMap {
    /// Request headers.
    Request,
    /// Response headers.
    Response,
    /// Response trailers, while they pass.
    ResponseTrailers,
    /// Headers of the answer to a [`Call`], while the root context is told of it.
    CallResponse,
    /// Trailers of the answer to a [`Call`].
    CallTrailers,
}

/// A body of which a part is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body {
    /// The request's, while a part of it passes.
    Request,
    /// The response's, while a part of it passes.
    Response,
    /// All of the answer to a [`Call`], while the root context is told of it.
    CallResponse,
}

/// A request that Envoy makes by itself.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The cluster that it goes to. It must be among the proxy's.
    pub cluster: &'a str,
    /// Header lines in order; `:method`, `:path` and `:authority` must be among them.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// Envoy adds `content-length` unless it is empty.
    pub body: &'a [u8],
    /// How long the answer may take, in whole milliseconds. Zero would be for ever.
    pub timeout: Duration,
}

/// Envoy's handle of a call that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallToken(pub u32);

/// The status with which Envoy refuses what it was given: in a [`Call`], a cluster that it does not know.
pub const BAD_ARGUMENT: u32 = 2;

/// Bytes of the current TCP connection that are on their way through the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Buffer {
    /// From the downstream; exists while downstream data is handled.
    Downstream,
    /// From the upstream; exists while upstream data is handled.
    Upstream,
}

/// What filter state holds, to expressions and access logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// Text.
    Text,
    /// A `google.protobuf.Struct`, into which they can look.
    Struct,
}

/// How Envoy aggregates a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// A sum that only rises.
    Counter,
    /// A value that is set.
    Gauge,
    /// A distribution of samples.
    Histogram,
}

/// Envoy's handle of a defined metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MetricId(pub u32);

/// Envoy's handle of a compiled expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Expression(pub u32);

/// Why Envoy refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError {
    /// The call, by its ABI name.
    pub call: &'static str,
    /// The status of the proxy-wasm ABI.
    pub status: u32,
}

impl core::fmt::Display for HostError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} answered status {}", self.call, self.status)
    }
}

/// An answer that Envoy gives in the place of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// HTTP status. For a gRPC request, Envoy makes of it a status of gRPC and answers 200.
    pub status: u16,
    /// Status of gRPC, instead of the one that follows from the HTTP status. Only a gRPC request gets to see it.
    pub grpc_status: Option<u8>,
    /// Where the answer comes from, in access logs (`%RESPONSE_CODE_DETAILS%`).
    pub details: &'a str,
    /// Body; the message, for a gRPC request.
    pub body: &'a [u8],
    /// Headers besides those that Envoy sets.
    pub headers: &'a [(String, String)],
}

/// Host calls that a request takes at most once everything that can be remembered is: each crosses the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmCalls {
    /// On an inbound listener.
    pub inbound: usize,
    /// On an outbound listener.
    pub outbound: usize,
}

/// Envoy, as the current callback sees it.
pub trait Host {
    /// The raw value of an attribute. An empty string is absent: Envoy does not tell them apart.
    fn property(&self, path: Property) -> Option<Vec<u8>>;

    /// Puts `value` into the filter state of the stream, where other filters and access loggers read it as `wasm.<key>`.
    fn set_filter_state(&self, key: &str, value: &[u8]) -> Result<(), HostError>;

    /// Tells Envoy what the filter state `key` will hold, for expressions and access logs. Works only while the plugin is
    /// configured.
    fn declare_filter_state(&self, key: &str, kind: StateKind) -> Result<(), HostError>;

    /// A header's value; of several lines of one name, the first. `Some` of nothing for an empty header.
    fn header(&self, map: HeaderMap, name: &str) -> Option<Vec<u8>>;

    /// All lines of all headers, as [`crate::pairs`] reads them.
    fn header_pairs(&self, map: HeaderMap) -> Option<Vec<u8>>;

    /// Sets a header, in place of all lines of that name.
    fn replace_header(&self, map: HeaderMap, name: &str, value: &str) -> Result<(), HostError>;

    /// Removes all lines of a header.
    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<(), HostError>;

    /// The first `size` bytes of a buffer, or as many as there are.
    fn buffer(&self, buffer: Buffer, size: usize) -> Option<Vec<u8>>;

    /// Puts `bytes` in place of the first `size` bytes of a buffer.
    fn replace_front(&self, buffer: Buffer, size: usize, bytes: &[u8]) -> Result<(), HostError>;

    /// The first `size` bytes of a part of a body, or as many as there are.
    fn body(&self, body: Body, size: usize) -> Option<Vec<u8>>;

    /// Makes a request. Call it while a callback of the root context runs, which is then told of the answer. A call that
    /// fails at once has none: the status is [`BAD_ARGUMENT`] for an unknown cluster, and another where the cluster has no
    /// host or its limits are reached.
    fn call(&self, call: &Call) -> Result<CallToken, HostError>;

    /// Answers the request in the place of an upstream, once the callback returns. Let the callback pause the request.
    fn reply(&self, reply: &Reply) -> Result<(), HostError>;

    /// Lets a request go on that a callback has paused, once the current callback returns.
    fn resume_request(&self) -> Result<(), HostError>;

    /// Breaks a request off without an answer: over HTTP/1, by closing the connection. Let the callback pause the request.
    fn reset_request(&self) -> Result<(), HostError>;

    /// Lets bytes pass that a callback held back; the filter does not see them again.
    fn resume(&self, buffer: Buffer) -> Result<(), HostError>;

    /// Lets the following calls be about another stream, by its context id. For a tick, which is about none.
    fn set_context(&self, context_id: u32) -> Result<(), HostError>;

    /// Has Envoy compile a CEL expression. Works only while the plugin is configured.
    fn create_expression(&self, text: &str) -> Result<Expression, HostError>;

    /// The value of an expression for the current stream, encoded as attributes are. Not within a tick.
    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>>;

    /// Creates a metric, or finds the one of that name. Each call costs Envoy a new handle: keep the id.
    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError>;

    /// Adds to a counter or gauge.
    fn increment_metric(&self, id: MetricId, by: i64) -> Result<(), HostError>;

    /// Sets a gauge or adds a sample to a histogram.
    fn record_metric(&self, id: MetricId, value: u64) -> Result<(), HostError>;

    /// What a counter or gauge holds, by all workers together. One that was counted below zero is a number above
    /// [`i64::MAX`].
    fn metric(&self, id: MetricId) -> Option<u64>;

    /// Time that never goes back, from any beginning.
    fn monotonic_time(&self) -> Option<Duration>;

    /// Time since 1970, by the machine's clock, which can be set.
    fn wall_time(&self) -> Option<Duration>;

    /// Bytes that nobody can foretell.
    fn random(&self) -> Option<[u8; 16]>;

    /// Has Envoy call the root context back every `period`, from now; never if it is zero. Parts of a millisecond are
    /// cut off. Whenever it is called, the time begins anew, so a call per request would put the callback off for ever.
    fn set_tick_period(&self, period: Duration) -> Result<(), HostError>;

    /// An attribute as text; bytes that are not UTF-8 are replaced.
    fn text(&self, path: Property) -> Option<String> {
        self.property(path).map(text_of)
    }

    /// An integer, timestamp or duration attribute (nanoseconds).
    fn int(&self, path: Property) -> Option<i64> {
        let bytes: [u8; 8] = self.property(path)?.try_into().ok()?;
        Some(i64::from_le_bytes(bytes))
    }

    /// A boolean attribute.
    fn boolean(&self, path: Property) -> Option<bool> {
        self.property(path)?.first().map(|byte| *byte != 0)
    }
}

/// The bytes as text, without copying when they are UTF-8 as they nearly always are.
pub fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
