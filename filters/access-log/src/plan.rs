//! The plan of a line: constant bytes, and between them values from known places.

use expression::evaluation::{Engine, Value};
use expression::Kind;
use labels::resolver::Needs;

use crate::fields::{Form, Made, Style};
use crate::who::Who;

/// The plan of a line.
#[derive(Debug)]
pub struct LinePlan {
    /// Whether texts stand in quotes, and cuts are told.
    pub json: bool,
    /// The values, in order.
    pub cells: Vec<Cell>,
    /// The bytes after the last value.
    pub tail: Vec<u8>,
    /// The expressions for the engine, with the types of their results.
    pub engines: Vec<(Engine, Kind)>,
    /// The data of both workloads that is needed.
    pub needs: Needs,
    /// Whether the current time is needed.
    pub needs_now: bool,
    /// Where made values find theirs.
    pub slots: LineSlots,
}

/// A value with the bytes before it.
#[derive(Debug)]
pub struct Cell {
    /// The bytes before it.
    pub before: Vec<u8>,
    /// Where it comes from.
    pub places: Vec<ValuePlace>,
    /// How it is written.
    pub style: Style,
    /// What to write if there is no value; `None` omits `before` too.
    pub absent: Option<Vec<u8>>,
    /// Longest text; longer ones are cut.
    pub max: usize,
    /// Whether to write its digest instead.
    pub hash: bool,
}

/// Where to find a value.
#[derive(Debug)]
pub enum ValuePlace {
    /// Nowhere: it never changes.
    Constant(Value),
    /// An attribute.
    Slot(usize, Kind, Form),
    /// The result of an expression for the engine.
    Engine(usize),
    /// A value of one side of the stream.
    Side(Who, Form),
    /// A computed value.
    Made(Made),
}

/// Where to find the attributes of computed values; `usize::MAX` if not needed.
#[derive(Debug)]
pub struct LineSlots {
    /// Response flags.
    pub flags: usize,
    /// `content-type` of the request.
    pub content_type: usize,
    /// gRPC status.
    pub grpc_status: usize,
    /// Duration of a request.
    pub duration: usize,
    /// Begin of a stream.
    pub start: usize,
    /// Address of the upstream.
    pub upstream: usize,
    /// Local address of the downstream's connection.
    pub local: usize,
    /// Bytes received.
    pub received: usize,
    /// Bytes sent.
    pub sent: usize,
    /// HTTP version.
    pub protocol: usize,
}

impl LineSlots {
    /// Nothing is needed.
    pub const NONE: Self = Self {
        flags: usize::MAX,
        content_type: usize::MAX,
        grpc_status: usize::MAX,
        duration: usize::MAX,
        start: usize::MAX,
        upstream: usize::MAX,
        local: usize::MAX,
        received: usize::MAX,
        sent: usize::MAX,
        protocol: usize::MAX,
    };
}

impl Cell {
    /// A cell that is found in these places.
    pub fn of(places: Vec<ValuePlace>) -> Self {
        Self {
            before: Vec::new(),
            places,
            style: Style::Plain,
            absent: Some(b"null".to_vec()),
            max: usize::MAX,
            hash: false,
        }
    }
}

impl ValuePlace {
    /// Whether it is a time or a duration.
    pub fn is_time(&self) -> bool {
        match self {
            Self::Slot(_, kind, _) => matches!(kind, Kind::Duration | Kind::Timestamp),
            Self::Made(made) => matches!(made, Made::Elapsed | Made::ElapsedWhenClosed | Made::Now),
            Self::Constant(_) | Self::Engine(_) | Self::Side(..) => false,
        }
    }
}
