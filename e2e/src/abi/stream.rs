//! What Envoy knows of a request or connection, and from when on.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::abi::headers::Headers;
use crate::abi::path::path_of;

/// The header maps of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Map {
    /// Of the request.
    RequestHeaders,
    /// Of the request.
    RequestTrailers,
    /// Of the response.
    ResponseHeaders,
    /// Of the response.
    ResponseTrailers,
    /// Of the answer to a call.
    CallHeaders,
    /// Of the answer to a call.
    CallTrailers,
}

impl Map {
    /// The map of a number of the ABI.
    pub(super) fn of(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::RequestHeaders),
            1 => Some(Self::RequestTrailers),
            2 => Some(Self::ResponseHeaders),
            3 => Some(Self::ResponseTrailers),
            6 => Some(Self::CallHeaders),
            7 => Some(Self::CallTrailers),
            _ => None,
        }
    }
}

/// The buffers of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Buffer {
    /// A part of the request's body.
    RequestBody,
    /// A part of the response's body.
    ResponseBody,
    /// Bytes from the downstream of a TCP connection.
    Downstream,
    /// Bytes from its upstream.
    Upstream,
    /// The body of the answer to a call.
    CallBody,
    /// The plugin's configuration.
    PluginConfiguration,
}

impl Buffer {
    /// The buffer of a number of the ABI.
    pub(super) fn of(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::RequestBody),
            1 => Some(Self::ResponseBody),
            2 => Some(Self::Downstream),
            3 => Some(Self::Upstream),
            4 => Some(Self::CallBody),
            7 => Some(Self::PluginConfiguration),
            _ => None,
        }
    }
}

/// How far a stream has come, as far as attributes depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It has begun.
    Begun,
    /// It has an upstream: the response's headers have come, or the first byte of a connection.
    Connected,
    /// It ends, and is logged.
    Logged,
}

/// A request or a TCP connection, as Envoy knows it. All that will ever be known is set when it begins; each attribute can
/// be read from the moment on at which Envoy would know it.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    // Many streams are clones of one.
    attributes: Arc<BTreeMap<String, Vec<u8>>>,
    expressions: Arc<BTreeMap<String, Vec<u8>>>,
    state: BTreeMap<String, Vec<u8>>,
    maps: BTreeMap<Map, Headers>,
}

impl Stream {
    /// An attribute that is text; `path` has dots.
    #[must_use]
    pub fn text(self, path: &str, value: &str) -> Self {
        self.bytes(path, value.as_bytes())
    }

    /// An attribute that is a number.
    #[must_use]
    pub fn int(self, path: &str, value: i64) -> Self {
        self.bytes(path, &value.to_le_bytes())
    }

    /// An attribute that is true or false.
    #[must_use]
    pub fn boolean(self, path: &str, value: bool) -> Self {
        self.bytes(path, &[value.into()])
    }

    /// An attribute of any form.
    #[must_use]
    pub fn bytes(mut self, path: &str, value: &[u8]) -> Self {
        Arc::make_mut(&mut self.attributes).insert(path_of(path), value.into());
        self
    }

    /// Without an attribute.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        Arc::make_mut(&mut self.attributes).remove(&path_of(path));
        self
    }

    /// Filter state that another filter has written.
    #[must_use]
    pub fn with_state(mut self, key: &str, value: &[u8]) -> Self {
        self.state.insert(key.into(), value.into());
        self
    }

    /// What an expression evaluates to.
    #[must_use]
    pub fn expression(mut self, text: &str, value: &[u8]) -> Self {
        Arc::make_mut(&mut self.expressions).insert(text.into(), value.into());
        self
    }

    /// One more header line.
    #[must_use]
    pub fn header(mut self, map: Map, name: &str, value: &str) -> Self {
        self.maps.entry(map).or_default().add(name, value.as_bytes());
        self
    }

    /// The first line of a header now.
    pub fn header_of(&self, map: Map, name: &str) -> Option<&[u8]> {
        self.maps.get(&map)?.get(name)
    }

    /// What the filter state `key` holds now, if there is any.
    pub fn state(&self, key: &str) -> Option<&[u8]> {
        self.state.get(key).map(Vec::as_slice)
    }

    /// The same as text.
    pub fn state_text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.state(key)?).ok()
    }

    pub(super) fn set_state(&mut self, key: &str, value: &[u8]) {
        self.state.insert(key.into(), value.into());
    }

    pub(super) fn map(&mut self, map: Map) -> &mut Headers {
        self.maps.entry(map).or_default()
    }

    pub(super) fn headers(&self, map: Map) -> Option<&Headers> {
        self.maps.get(&map)
    }

    pub(super) fn evaluate(&self, text: &str) -> Option<&[u8]> {
        self.expressions.get(text).map(Vec::as_slice)
    }

    /// What can be read now. `readable` are the header maps that can be.
    pub(super) fn attribute(&self, path: &str, stage: Stage, is_http: bool, readable: &[Map]) -> Option<Vec<u8>> {
        if let Some((map, name)) = header_of(path) {
            return readable.contains(&map).then(|| self.headers(map)?.get(name).map(Into::into))?;
        }
        let value = self.attributes.get(path);
        if path == "response\0flags" && value.is_some() && stage < Stage::Logged {
            return Some(vec![0; 8]);
        }
        let is_known = match knowable(path, is_http) {
            Knowable::From(since) => stage >= since,
            Knowable::With(map) => readable.contains(&map),
            Knowable::Never => false,
        };
        if let Some(value) = value.filter(|_| is_known) {
            return Some(value.clone());
        }
        let key = path.strip_prefix("filter_state\0wasm.").unwrap_or(path);
        self.state.get(key).cloned()
    }
}

/// From when on an attribute is known.
enum Knowable {
    From(Stage),
    /// While a header map is at hand.
    With(Map),
    Never,
}

/// The header that an attribute is.
fn header_of(path: &str) -> Option<(Map, &str)> {
    let of = |prefix: &str, map| Some((map, path.strip_prefix(prefix)?));
    of("request\0headers\0", Map::RequestHeaders)
        .or_else(|| of("response\0headers\0", Map::ResponseHeaders))
        .or_else(|| of("response\0trailers\0", Map::ResponseTrailers))
}

/// As seen of Envoy 1.40. What is not listed is known as long as the stream lives.
fn knowable(path: &str, is_http: bool) -> Knowable {
    let (first, rest) = path.split_once('\0').unwrap_or((path, ""));
    let with_upstream = Knowable::From(Stage::Connected);
    let at_first_byte = if is_http { Knowable::From(Stage::Begun) } else { Knowable::From(Stage::Connected) };
    match (first, rest.split('\0').next().unwrap_or_default()) {
        ("request", "path" | "url_path" | "host" | "scheme" | "method" | "id" | "referer" | "useragent" | "query") => {
            Knowable::With(Map::RequestHeaders)
        }
        ("request", "protocol") if !is_http => Knowable::Never,
        ("request", "duration") | ("response", "backend_latency") => Knowable::From(Stage::Logged),
        ("response", "code" | "code_details" | "grpc_status") => with_upstream,
        ("upstream", _) | ("xds", "upstream_host_metadata") => with_upstream,
        // A TCP proxy chooses its cluster, and TLS ends its handshake, before the first byte.
        ("xds", "cluster_name" | "cluster_metadata") => at_first_byte,
        ("connection", field) if field.ends_with("certificate") || field == "mtls" => at_first_byte,
        _ => Knowable::From(Stage::Begun),
    }
}
