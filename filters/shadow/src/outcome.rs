//! The result of a request: of the original at its upstream, and of the copy at the mirror's.

use host::pairs::Pairs;
use host::{HeaderMap, Host};

use crate::copied::number;

/// The status of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The number.
    pub number: u16,
    /// Whether it is a gRPC status, not an HTTP status.
    pub is_grpc: bool,
}

/// Length and hash of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodySum {
    /// Its length.
    pub length: u64,
    /// Its hash, if it was read.
    pub hash: Option<u64>,
}

/// An answer of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub code: Code,
    /// Milliseconds from the end of the request to the beginning of the answer.
    pub latency: Option<u64>,
    /// The body; `None` if the answer can have none.
    pub body: Option<BodySum>,
}

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An upstream answered.
    Upstream(Answer),
    /// There was no answer in time.
    Timeout,
    /// No endpoint could be reached: Envoy answered itself.
    Unreachable,
    /// The answer broke off, or was larger than Envoy accepts.
    Reset,
}

impl Code {
    /// The gRPC status of an answer. An answer without one gets a status from its HTTP status, by Envoy's rule.
    pub fn of_grpc(told: Option<u16>, http: u16) -> Self {
        let derived = match http {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502..=504 => 14,
            _ => 2,
        };
        Self { number: told.unwrap_or(derived), is_grpc: true }
    }

    /// An HTTP status.
    pub fn of_http(number: u16) -> Self {
        Self { number, is_grpc: false }
    }

    /// Its class, as in labels.
    pub fn class(self) -> &'static str {
        match (self.is_grpc, self.number) {
            (true, 0) => "grpc_ok",
            (true, _) => "grpc_err",
            (false, 100..=199) => "1xx",
            (false, 200..=299) => "2xx",
            (false, 300..=399) => "3xx",
            (false, 400..=499) => "4xx",
            (false, _) => "5xx",
        }
    }
}

impl Outcome {
    /// Its text in log lines.
    pub fn told(&self) -> String {
        let Self::Upstream(Answer { code, latency, .. }) = self else { return self.class().into() };
        let grpc = if code.is_grpc { "grpc " } else { "" };
        let took = latency.map(|latency| format!(" in {latency} ms")).unwrap_or_default();
        format!("{grpc}{}{took}", code.number)
    }

    /// The class of the status, or the reason why there is none, as in labels.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Upstream(answer) => answer.code.class(),
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
        }
    }
}

/// The request's properties that are needed to read the answer to a call.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Whether it is a gRPC request.
    pub is_grpc: bool,
    /// Whether it is a HEAD request: its answer has no body, whatever its headers say.
    pub is_head: bool,
    /// Whether the timeout has passed.
    pub is_late: bool,
    /// The largest body to read.
    pub max_body: Option<usize>,
}

/// The sizes of the answer to a call.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Header lines; 0 if there was no answer.
    pub headers: usize,
    /// Bytes of the body.
    pub body: usize,
    /// Lines of trailers.
    pub trailers: usize,
}

impl Outcome {
    /// Reads the answer to a call. Only Envoy's router writes `x-envoy-upstream-service-time`, and only into answers of an
    /// upstream. Otherwise, Envoy's own answers look like those of servers.
    pub fn of_call(host: &impl Host, asked: Asked, counts: Counts) -> Self {
        let head = match counts.headers {
            0 => None,
            _ => host.header_pairs(HeaderMap::CallResponse),
        };
        let Some(head) = head else { return Self::Reset };
        let find = |head: &[u8], name: &str| {
            Pairs::new(head).find(|(other, _)| *other == name.as_bytes()).and_then(|(_, value)| number::<u64>(value))
        };
        let small = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
        let http = find(&head, ":status").map(small).unwrap_or_default();
        let Some(latency) = find(&head, SERVICE_TIME) else {
            // A busy worker can make Envoy's timer fire early by our clock. For gRPC, Envoy does not answer 504.
            let is_timeout = asked.is_late || http == 504;
            return if is_timeout { Self::Timeout } else { Self::Unreachable };
        };
        let code = if asked.is_grpc {
            let trailers = if counts.trailers > 0 { host.header_pairs(HeaderMap::CallTrailers) } else { None };
            let in_trailers = trailers.and_then(|trailers| find(&trailers, GRPC_STATUS));
            Code::of_grpc(in_trailers.or_else(|| find(&head, GRPC_STATUS)).map(small), http)
        } else {
            Code::of_http(http)
        };
        let body = (!asked.is_head && http != 304).then(|| {
            let is_looked_at = asked.max_body.is_some_and(|max| counts.body <= max);
            let bytes = match (is_looked_at, counts.body) {
                (true, 0) => Some(Vec::new()),
                (true, size) => host.body(host::Body::CallResponse, size),
                (false, _) => None,
            };
            BodySum { length: counts.body as u64, hash: bytes.map(|bytes| Hash::default().with(&bytes).value()) }
        });
        Self::Upstream(Answer { code, latency: Some(latency), body })
    }
}

/// Envoy's router writes here how long the upstream took, in milliseconds.
pub const SERVICE_TIME: &str = "x-envoy-upstream-service-time";
/// gRPC servers write their status here: in trailers, or in headers if there is no message.
pub const GRPC_STATUS: &str = "grpc-status";

/// FNV-1a hash of bytes that arrive in parts.
#[derive(Clone, Copy, Debug)]
pub struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    /// Adds bytes.
    pub fn with(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)))
    }

    /// The hash value.
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use host::fake::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const HTTP: Asked = Asked { is_grpc: false, is_head: false, is_late: false, max_body: None };
    const GRPC: Asked = Asked { is_grpc: true, ..HTTP };

    fn outcome(headers: &[(&str, &str)], trailers: &[(&str, &str)], body: &[u8], asked: Asked) -> Outcome {
        let mut host = FakeHost::new();
        for (name, value) in headers {
            host.with_header(HeaderMap::CallResponse, name, value);
        }
        for (name, value) in trailers {
            host.with_header(HeaderMap::CallTrailers, name, value);
        }
        host.with_body(host::Body::CallResponse, body);
        let counts = Counts { headers: headers.len(), body: body.len(), trailers: trailers.len() };
        Outcome::of_call(&host, asked, counts)
    }

    fn code(outcome: Outcome) -> Option<u16> {
        match outcome {
            Outcome::Upstream(answer) => Some(answer.code.number),
            _ => None,
        }
    }

    #[test]
    fn an_answer_of_an_upstream_is_told_from_one_of_envoy() {
        let real = [(":status", "503"), (SERVICE_TIME, "12")];
        let local = [(":status", "503")];
        assert_eq!(code(outcome(&real, &[], b"", HTTP)), Some(503));
        assert_eq!(outcome(&local, &[], b"", HTTP), Outcome::Unreachable);
        assert_eq!(outcome(&local, &[], b"", Asked { is_late: true, ..HTTP }), Outcome::Timeout);
        assert_eq!(outcome(&[(":status", "504")], &[], b"", HTTP), Outcome::Timeout);
        assert_eq!(outcome(&[], &[], b"", HTTP), Outcome::Reset);
        let Outcome::Upstream(answer) = outcome(&real, &[], b"", HTTP) else { panic!("not an answer") };
        assert_eq!((answer.latency, answer.code.class()), (Some(12), "5xx"));
    }

    #[test]
    fn the_status_of_grpc_is_in_trailers_or_headers_or_follows() {
        let head = [(":status", "200"), (SERVICE_TIME, "1")];
        let short = [(":status", "200"), (SERVICE_TIME, "1"), ("grpc-status", "5")];
        assert_eq!(code(outcome(&head, &[("grpc-status", "0")], b"", GRPC)), Some(0));
        assert_eq!(code(outcome(&short, &[], b"", GRPC)), Some(5));
        assert_eq!(code(outcome(&head, &[], b"", GRPC)), Some(2));
        for (http, status) in [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (503, 14), (504, 14), (500, 2)] {
            assert_eq!(Code::of_grpc(None, http).number, status);
        }
        assert_eq!((Code::of_grpc(Some(0), 200).class(), Code::of_grpc(Some(7), 200).class()), ("grpc_ok", "grpc_err"));
        assert_eq!(
            [100, 204, 302, 404, 599].map(|code| Code::of_http(code).class()),
            ["1xx", "2xx", "3xx", "4xx", "5xx"]
        );
    }

    #[test]
    fn bodies_are_looked_at_up_to_their_limit() {
        let head = [(":status", "200"), (SERVICE_TIME, "1")];
        let body = |asked| match outcome(&head, &[], b"12345", asked) {
            Outcome::Upstream(answer) => answer.body,
            _ => None,
        };
        let hash = Hash::default().with(b"12").with(b"345").value();
        assert_eq!(body(HTTP), Some(BodySum { length: 5, hash: None }));
        assert_eq!(body(Asked { max_body: Some(5), ..HTTP }), Some(BodySum { length: 5, hash: Some(hash) }));
        assert_eq!(body(Asked { max_body: Some(4), ..HTTP }), Some(BodySum { length: 5, hash: None }));
        assert_eq!(body(Asked { is_head: true, ..HTTP }), None);
        // From the reference implementation's test vectors.
        assert_eq!(Hash::default().with(b"foobar").value(), 0x8594_4171_f739_67e8);
    }
}
