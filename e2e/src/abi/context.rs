//! A context: what host calls are about.

use std::collections::BTreeMap;

use crate::abi::headers::Headers;
use crate::abi::root::Root;
use crate::abi::stream::{Buffer, Map, Stage, Stream};

/// What a module did with a request, besides letting it pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It answered.
    Replied {
        /// HTTP status.
        status: u32,
        /// Status of gRPC; -1 for the one that follows from the HTTP status.
        grpc_status: i32,
        /// What the access log says of it.
        details: String,
        /// Body.
        body: String,
        /// Further headers.
        headers: Headers,
    },
    /// It let a held request go on.
    Resumed,
    /// It broke it off.
    Reset,
}

/// What a context is.
pub(super) enum Kind {
    /// A plugin's.
    Root(Box<Root>),
    /// A request's.
    Http,
    /// A TCP connection's.
    Tcp,
}

/// What host calls are about.
pub(super) struct Context {
    pub kind: Kind,
    /// The plugin's context; its own for a plugin.
    pub root: u32,
    /// What the context is about. A plugin's is about a stream while it logs that.
    pub stream: Option<Stream>,
    pub stage: Stage,
    /// The header maps that pass now, or are held.
    pub passing: Vec<Map>,
    /// Whether the access log is being written: header maps can be read then, and not written.
    pub logs: bool,
    /// The buffers that are at hand.
    pub buffers: BTreeMap<Buffer, Vec<u8>>,
    /// The bytes of a connection that are held back.
    pub held: BTreeMap<Buffer, Vec<u8>>,
    /// The bytes of a connection that have passed.
    pub passed: BTreeMap<Buffer, Vec<u8>>,
    pub ends: Vec<End>,
}

impl Context {
    pub fn new(kind: Kind, root: u32, stream: Option<Stream>) -> Self {
        Self {
            kind,
            root,
            stream,
            stage: Stage::Begun,
            passing: Vec::new(),
            logs: false,
            buffers: BTreeMap::new(),
            held: BTreeMap::new(),
            passed: BTreeMap::new(),
            ends: Vec::new(),
        }
    }

    pub fn is_http(&self) -> bool {
        !matches!(self.kind, Kind::Tcp)
    }

    /// The header maps that can be read.
    pub fn readable(&self) -> Vec<Map> {
        if self.logs {
            vec![Map::RequestHeaders, Map::ResponseHeaders, Map::ResponseTrailers]
        } else {
            self.passing.clone()
        }
    }

    /// Whether filter state can be written: an access logger's plugin cannot.
    pub fn has_filter_state(&self) -> bool {
        self.stream.is_some() && !matches!(self.kind, Kind::Root(_))
    }

    /// The bytes of a direction that are held back pass on.
    pub fn release(&mut self, buffer: Buffer) {
        let held = self.held.remove(&buffer).unwrap_or_default();
        self.passed.entry(buffer).or_default().extend(held);
    }
}
