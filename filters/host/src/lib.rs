//! The interface between a filter and Envoy.
//!
//! The filters are generic over [`Host`]. The crate `adapter` implements it with proxy-wasm calls, [`fake`] in memory. No
//! method panics or blocks. If Envoy refuses a read, the value counts as absent: telemetry reports `unknown` in both cases.

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
    /// Response trailers, while they arrive.
    ResponseTrailers,
    /// Headers of the answer to a [`Call`], during the root context's callback for it.
    CallResponse,
    /// Trailers of the answer to a [`Call`].
    CallTrailers,
}

/// A body of which a part is readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body {
    /// The request's, while a part of it arrives.
    Request,
    /// The response's, while a part of it arrives.
    Response,
    /// The whole answer to a [`Call`], during the root context's callback for it.
    CallResponse,
}

/// An HTTP request that Envoy makes for the module.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The destination cluster. The proxy must have it.
    pub cluster: &'a str,
    /// Header lines in order; `:method`, `:path` and `:authority` must be among them.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// Envoy adds `content-length` unless it is empty.
    pub body: &'a [u8],
    /// Timeout in whole milliseconds. Zero means no timeout.
    pub timeout: Duration,
}

/// Envoy's id of a call in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallToken(pub u32);

/// The status for invalid arguments. For a [`Call`]: the proxy does not have the cluster.
pub const BAD_ARGUMENT: u32 = 2;

/// Bytes of the current TCP connection in the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Buffer {
    /// From the downstream; readable while downstream data is handled.
    Downstream,
    /// From the upstream; readable while upstream data is handled.
    Upstream,
}

/// The type of a filter state, for expressions and access logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// Text.
    Text,
    /// A `google.protobuf.Struct`, whose fields they can read.
    Struct,
    /// Text that all streams of the downstream connection share.
    ConnectionText,
}

/// How Envoy aggregates a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// A sum that only increases.
    Counter,
    /// A value that is set.
    Gauge,
    /// A distribution of samples.
    Histogram,
}

/// Envoy's id of a defined metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MetricId(pub u32);

/// Envoy's id of a compiled expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Expression(pub u32);

/// A host call that Envoy refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError {
    /// The ABI name of the call.
    pub call: &'static str,
    /// The status of the proxy-wasm ABI.
    pub status: u32,
}

impl core::fmt::Display for HostError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} answered status {}", self.call, self.status)
    }
}

/// An answer that Envoy sends in place of an upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// HTTP status. For a gRPC request, Envoy converts it to a gRPC status and answers 200.
    pub status: u16,
    /// gRPC status, instead of the one derived from the HTTP status. Only sent to gRPC requests.
    pub grpc_status: Option<u8>,
    /// Reason of the answer in access logs (`%RESPONSE_CODE_DETAILS%`).
    pub details: &'a str,
    /// Body; for a gRPC request, the message.
    pub body: &'a [u8],
    /// Headers in addition to those of Envoy.
    pub headers: &'a [(String, String)],
}

/// Most host calls of a request when all caches are filled. Each call crosses the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmCalls {
    /// On an inbound listener.
    pub inbound: usize,
    /// On an outbound listener.
    pub outbound: usize,
}

/// Envoy, in the current callback.
pub trait Host {
    /// The raw value of an attribute. An empty string counts as absent, because Envoy does not distinguish them.
    fn property(&self, path: Property) -> Option<Vec<u8>>;

    /// Writes `value` to the stream's filter state. Other filters and access loggers read it as `wasm.<key>`.
    fn set_filter_state(&self, key: &str, value: &[u8]) -> Result<(), HostError>;

    /// Declares the type of the filter state `key`, for expressions and access logs. Works only while the plugin is
    /// configured.
    fn declare_filter_state(&self, key: &str, kind: StateKind) -> Result<(), HostError>;

    /// A header's value; with several lines of one name, the first. `Some` of nothing for an empty header.
    fn header(&self, map: HeaderMap, name: &str) -> Option<Vec<u8>>;

    /// All lines of all headers, in the format of [`crate::pairs`].
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

    /// Makes an HTTP request. Call it in a callback of the root context, which later gets the answer. A call that fails at
    /// once gets no answer. Its status is [`BAD_ARGUMENT`] for an unknown cluster, and another one if the cluster has no
    /// host or its limits are reached.
    fn call(&self, call: &Call) -> Result<CallToken, HostError>;

    /// Answers the request in place of an upstream, after the callback returns. The callback must pause the request.
    fn reply(&self, reply: &Reply) -> Result<(), HostError>;

    /// Resumes a request that a callback has paused, after the current callback returns.
    fn resume_request(&self) -> Result<(), HostError>;

    /// Resets a request without an answer; over HTTP/1, by closing the connection. The callback must pause the request.
    fn reset_request(&self) -> Result<(), HostError>;

    /// Lets held bytes pass; the filter does not see them again.
    fn resume(&self, buffer: Buffer) -> Result<(), HostError>;

    /// Makes the following calls apply to another stream, by its context id. Needed in a tick, which has no stream.
    fn set_context(&self, context_id: u32) -> Result<(), HostError>;

    /// Compiles a CEL expression in Envoy. Works only while the plugin is configured.
    fn create_expression(&self, text: &str) -> Result<Expression, HostError>;

    /// The value of an expression for the current stream, encoded like an attribute. Not available in a tick.
    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>>;

    /// Creates a metric, or finds the one with this name. Each call costs Envoy a new handle: keep the id.
    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError>;

    /// Adds to a counter or gauge.
    fn increment_metric(&self, id: MetricId, by: i64) -> Result<(), HostError>;

    /// Sets a gauge or adds a sample to a histogram.
    fn record_metric(&self, id: MetricId, value: u64) -> Result<(), HostError>;

    /// The value of a counter or gauge, summed over all workers. A negative value is returned as a number above
    /// [`i64::MAX`].
    fn metric(&self, id: MetricId) -> Option<u64>;

    /// Monotonic time, from an arbitrary start.
    fn monotonic_time(&self) -> Option<Duration>;

    /// Time since 1970, by the system clock, which can be changed.
    fn wall_time(&self) -> Option<Duration>;

    /// Unpredictable random bytes.
    fn random(&self) -> Option<[u8; 16]>;

    /// Makes Envoy call the root context every `period`, starting now; zero stops it. Fractions of a millisecond are cut
    /// off. Each call restarts the period, so with a call per request the callback would never run.
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

/// Bytes as text. UTF-8, which is nearly always the case, is not copied.
pub fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
