//! Writes the line of one stream, following a plan.

use expression::evaluation::Value;
use expression::Kind;
use host::Host;
use labels::content_type::is_grpc;
use labels::direction::Direction;
use labels::facts::{grpc_status, Protocol};
use labels::response_flags;
use labels::stream::{LabelValue, Stream};

use crate::digest::sha256;
use crate::escape::Escaping;
use crate::fields::{Form, Made, Style};
use crate::plan::{Cell, LinePlan, ValuePlace};
use crate::reads::Values;
use crate::time;

/// Marks a JSON line from which something was cut.
const TRUNCATED: &[u8] = b",\"truncated\":true";
/// Lengths to which texts are cut, one after the other, until the line is short enough.
const SHORTER: [usize; 4] = [1_000, 250, 60, 15];
/// The last such length. Fields that still do not fit are omitted.
const SHORTEST: usize = 4;

const PER_MILLISECOND: i64 = 1_000_000;
const PER_SECOND: i64 = 1_000_000_000;

/// The data of a line.
pub struct Moment<'a, H> {
    /// The attributes.
    pub values: &'a Values<'a, H>,
    /// Results of the expressions for the engine.
    pub evaluated: &'a [Option<Value>],
    /// The stream, for values of both workloads.
    pub stream: &'a Stream<'a>,
    /// The time, if the plan needs it.
    pub now: i64,
    /// Of a connection: what happened, and the bytes received and sent by the line before.
    pub connection: Option<(ConnectionEvent, [i64; 2])>,
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// It began.
    Open,
    /// It lives.
    Continue,
    /// It ended.
    Close,
}

/// A value on its way into the line.
enum LineValue<'a> {
    Text(&'a [u8]),
    Made(String),
    Integer(i64),
    Double(f64),
    Boolean(bool),
    Duration(i64),
    Timestamp(i64),
}

/// Writes lines.
#[derive(Debug)]
pub struct Writer {
    ascii: bool,
    max: usize,
    /// The line; kept, so that the next line needs no allocation.
    buffer: Vec<u8>,
}

impl Writer {
    /// Lines of at most `max` bytes, without the newline.
    pub fn new(ascii: bool, max: usize) -> Self {
        Self { ascii, max, buffer: Vec::new() }
    }

    /// The line, with a newline.
    pub fn line<H: Host>(&mut self, plan: &LinePlan, moment: &Moment<H>) -> &[u8] {
        let mut longest = self.write(plan, moment, usize::MAX, false);
        for shorter in SHORTER {
            if self.buffer.len() > self.max && shorter < longest {
                longest = self.write(plan, moment, shorter, false);
            }
        }
        if self.buffer.len() > self.max {
            self.write(plan, moment, SHORTEST, true);
        }
        self.buffer.push(b'\n');
        &self.buffer
    }

    /// Writes all cells, of which texts are cut at `max`; where `drop` says so, only as many as there is room for. Returns
    /// the length of the longest text.
    fn write<H: Host>(&mut self, plan: &LinePlan, moment: &Moment<H>, max: usize, drop: bool) -> usize {
        let buffer = &mut self.buffer;
        buffer.clear();
        let (mut longest, mut cut) = (0, false);
        let room = self.max.saturating_sub(plan.tail.len()).saturating_sub(TRUNCATED.len());
        for cell in &plan.cells {
            let start = buffer.len();
            let escaping = Escaping { ascii: self.ascii, max: cell.max.min(max) };
            let (length, was_cut) = write_cell(buffer, plan, cell, moment, escaping);
            if drop && buffer.len() > room {
                buffer.truncate(start);
                cut = true;
                break;
            }
            longest = longest.max(length);
            cut |= was_cut;
        }
        if plan.json {
            if cut {
                buffer.extend_from_slice(TRUNCATED);
            }
            // Each field has a comma before it.
            match buffer.first_mut() {
                Some(comma) => *comma = b'{',
                None => buffer.push(b'{'),
            }
        }
        buffer.extend_from_slice(&plan.tail);
        longest
    }
}

/// Writes a cell. Returns the length of its text, and whether it was cut.
fn write_cell<H: Host>(
    buffer: &mut Vec<u8>,
    plan: &LinePlan,
    cell: &Cell,
    moment: &Moment<H>,
    escaping: Escaping,
) -> (usize, bool) {
    let Some(found) = cell.places.iter().find_map(|place| find(plan, place, moment)) else {
        if let Some(absent) = &cell.absent {
            buffer.extend_from_slice(&cell.before);
            buffer.extend_from_slice(absent);
        }
        return (0, false);
    };
    buffer.extend_from_slice(&cell.before);
    let found = if cell.hash { LineValue::Made(hashed(&found, cell.style)) } else { found };
    match &found {
        LineValue::Text(text) => write_text(buffer, plan.json, text, escaping),
        LineValue::Made(text) => write_text(buffer, plan.json, text.as_bytes(), escaping),
        _ => {
            write_other(buffer, plan.json, cell.style, &found);
            (0, false)
        }
    }
}

/// The digest of what would be written, whatever it is.
fn hashed(found: &LineValue, style: Style) -> String {
    match found {
        LineValue::Text(text) => sha256(text),
        LineValue::Made(text) => sha256(text.as_bytes()),
        other => {
            let mut text = Vec::new();
            write_other(&mut text, false, style, other);
            sha256(&text)
        }
    }
}

fn write_text(buffer: &mut Vec<u8>, quoted: bool, text: &[u8], escaping: Escaping) -> (usize, bool) {
    if quoted {
        buffer.push(b'"');
    }
    let cut = escaping.write(buffer, text);
    if quoted {
        buffer.push(b'"');
    }
    (text.len(), cut)
}

/// Writes what is no text: numbers, and what is made of them.
fn write_other(buffer: &mut Vec<u8>, json: bool, style: Style, found: &LineValue) {
    let is_time = matches!(found, LineValue::Timestamp(_));
    let is_span = matches!(found, LineValue::Duration(_));
    let as_text = match style {
        Style::Plain => is_time,
        Style::Text => true,
        Style::Go => is_span,
        Style::Microtime => is_time,
        Style::Milliseconds | Style::Seconds | Style::Nanoseconds => false,
    };
    let quoted = json && as_text;
    if quoted {
        buffer.push(b'"');
    }
    match (found, style) {
        (LineValue::Integer(number), _) => time::integer(buffer, *number),
        (LineValue::Double(number), _) => time::double(buffer, *number),
        (LineValue::Boolean(is), _) => buffer.extend_from_slice(if *is { b"true" } else { b"false" }),
        (LineValue::Duration(time) | LineValue::Timestamp(time), Style::Seconds) => {
            time::decimal(buffer, *time, PER_SECOND)
        }
        (LineValue::Duration(time) | LineValue::Timestamp(time), Style::Nanoseconds) => time::integer(buffer, *time),
        (LineValue::Duration(time), Style::Go) => time::go_duration(buffer, *time),
        (LineValue::Timestamp(time), Style::Milliseconds) | (LineValue::Duration(time), _) => {
            time::integer(buffer, time.div_euclid(PER_MILLISECOND));
        }
        (LineValue::Timestamp(time), Style::Microtime) => time::rfc3339(buffer, *time, 6),
        (LineValue::Timestamp(time), _) => time::rfc3339(buffer, *time, 3),
        (LineValue::Text(_) | LineValue::Made(_), _) => {}
    }
    if quoted {
        buffer.push(b'"');
    }
}

/// The value of a place, if there is one.
fn find<'a, H: Host>(plan: &LinePlan, place: &'a ValuePlace, moment: &'a Moment<H>) -> Option<LineValue<'a>> {
    match place {
        ValuePlace::Constant(value) => Some(LineValue::of(value)),
        ValuePlace::Slot(slot, Kind::Text, form) => formed(moment.values.bytes(*slot)?, *form),
        ValuePlace::Slot(slot, Kind::Boolean, _) => moment.values.boolean(*slot).map(LineValue::Boolean),
        ValuePlace::Slot(slot, kind, _) => {
            let number = moment.values.int(*slot)?;
            Some(match kind {
                Kind::Duration => LineValue::Duration(number),
                Kind::Timestamp => LineValue::Timestamp(number),
                _ => LineValue::Integer(number),
            })
        }
        ValuePlace::Engine(index) => moment.evaluated.get(*index)?.as_ref().map(LineValue::of),
        ValuePlace::Side(who, form) => match who.value(moment.stream) {
            LabelValue::Text(text) => formed(text, *form),
            LabelValue::Number(number) => Some(LineValue::Integer(number)),
            LabelValue::Flags(flags) => of_flags(flags),
            LabelValue::None => None,
        },
        ValuePlace::Made(made) => make(plan, *made, moment),
    }
}

impl<'a> LineValue<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text),
            Value::Integer(number) => Self::Integer(*number),
            Value::Double(number) => Self::Double(*number),
            Value::Boolean(is) => Self::Boolean(*is),
            Value::Duration(time) => Self::Duration(*time),
            Value::Timestamp(time) => Self::Timestamp(*time),
        }
    }
}

/// What is taken of a text; nothing of an empty one.
fn formed(text: &[u8], form: Form) -> Option<LineValue<'_>> {
    let part = |separator: u8, index: usize| text.split(|byte| *byte == separator).nth(index);
    let text = match form {
        Form::Whole => text,
        Form::Number => return core::str::from_utf8(text).ok()?.parse().ok().map(LineValue::Integer),
        Form::Host => host_of(text),
        Form::First => part(b',', 0)?,
        Form::Spiffe => text.strip_prefix(b"spiffe://").unwrap_or(text),
        Form::ParentTrace => part(b'-', 1)?,
        Form::ParentSpan => part(b'-', 2)?,
        // A lone `0` or `1` is only the sampling decision.
        Form::B3Trace => part(b'-', 0).filter(|trace| trace.len() > 1)?,
        Form::B3Span => part(b'-', 1)?,
    };
    (!text.is_empty()).then_some(LineValue::Text(text))
}

/// An address without its port: `10.0.0.1:80`, `[::1]:80`.
pub fn host_of(address: &[u8]) -> &[u8] {
    match address.iter().rposition(|byte| *byte == b':') {
        Some(colon) => {
            let host = address.get(..colon).unwrap_or(address);
            host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host)
        }
        None => address,
    }
}

fn make<'a, H: Host>(plan: &LinePlan, made: Made, moment: &'a Moment<H>) -> Option<LineValue<'a>> {
    let values = moment.values;
    let slots = &plan.slots;
    let since = |slot, index: usize| {
        let before = moment.connection.and_then(|(_, before)| before.get(index).copied()).unwrap_or(0);
        values.int(slot).map(|total| LineValue::Integer(total.saturating_sub(before)))
    };
    let is_grpc = || values.bytes(slots.content_type).is_some_and(is_grpc);
    match made {
        Made::Flags => of_flags(values.flags(slots.flags)),
        Made::GrpcStatus => is_grpc().then(|| LineValue::Integer(grpc_status(values.int(slots.grpc_status)))),
        Made::ElapsedWhenClosed if !matches!(moment.connection, Some((ConnectionEvent::Close, _))) => None,
        Made::Elapsed | Made::ElapsedWhenClosed => match (values.int(slots.duration), moment.connection) {
            (Some(duration), _) => Some(LineValue::Duration(duration)),
            (None, Some(_)) => Some(LineValue::Duration(moment.now.saturating_sub(values.int(slots.start)?).max(0))),
            (None, None) => None,
        },
        Made::Now => Some(LineValue::Timestamp(moment.now)),
        Made::Event => moment.connection.map(|(event, _)| LineValue::Text(event.name())),
        Made::ReceivedSince => since(slots.received, 0),
        Made::SentSince => since(slots.sent, 1),
        Made::Protocol => {
            let protocol = match moment.connection {
                Some(_) => Protocol::Tcp,
                None if is_grpc() => Protocol::Grpc,
                None => Protocol::Http,
            };
            Some(LineValue::Text(protocol.name().as_bytes()))
        }
        Made::DestinationIp => {
            let inbound = moment.stream.facts().direction == Direction::Inbound;
            let address = values.bytes(if inbound { slots.local } else { slots.upstream })?;
            formed(address, Form::Host)
        }
    }
}

/// The names of response flags; nothing where none is set.
fn of_flags(flags: u64) -> Option<LineValue<'static>> {
    (flags != 0).then(|| LineValue::Made(response_flags::text(flags)))
}

impl ConnectionEvent {
    /// As Mixer called it.
    fn name(self) -> &'static [u8] {
        match self {
            Self::Open => b"open",
            Self::Continue => b"continue",
            Self::Close => b"close",
        }
    }
}
