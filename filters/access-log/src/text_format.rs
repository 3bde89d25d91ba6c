//! Lines of text: Istio's default format, or one of the operator's own, with Envoy's command operators.

use expression::Kind;
use host::Host;

use crate::config::Operand;
use crate::fields::{self, Absent, Field, Form, Made, Source, Style};
use crate::plan::{find, Cell, Place, Planner};

/// Istio's default format, since 1.9.
pub const ISTIO: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% \
    %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" \
    %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \
    \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER% \
    %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%";

/// Where mistakes of a format are reported.
const PATH: &str = "text_format";

const fn operator(name: &'static str, sources: &'static [Source], absent: Absent) -> Field {
    Field { name, sources, style: Style::Plain, absent }
}

const fn text(path: &'static str) -> Source {
    Source::Attribute(path, Kind::Text, Form::Whole)
}

const fn host(path: &'static str) -> Source {
    Source::Attribute(path, Kind::Text, Form::Host)
}

const fn integer(path: &'static str) -> Source {
    Source::Attribute(path, Kind::Integer, Form::Whole)
}

/// Operators that take nothing, by Envoy's names.
const OPERATORS: [Field; 30] = [
    operator("START_TIME", &[Source::Attribute("request\0time", Kind::Timestamp, Form::Whole)], Absent::Null),
    operator("PROTOCOL", &[text("request\0protocol")], Absent::Null),
    operator("RESPONSE_CODE", &[integer("response\0code")], Absent::Number(0)),
    operator("RESPONSE_FLAGS", &[Source::Made(Made::Flags)], Absent::Null),
    operator("RESPONSE_CODE_DETAILS", &[text("response\0code_details")], Absent::Null),
    operator("CONNECTION_TERMINATION_DETAILS", &[text("connection\0termination_details")], Absent::Null),
    operator("UPSTREAM_TRANSPORT_FAILURE_REASON", &[text("upstream\0transport_failure_reason")], Absent::Null),
    operator("BYTES_RECEIVED", &[integer("request\0size")], Absent::Number(0)),
    operator("BYTES_SENT", &[integer("response\0size")], Absent::Number(0)),
    operator("DURATION", &[Source::Made(Made::Elapsed)], Absent::Null),
    operator("UPSTREAM_HOST", &[text("upstream\0address")], Absent::Null),
    operator("UPSTREAM_CLUSTER", &[text("xds\0cluster_name")], Absent::Null),
    operator("UPSTREAM_CLUSTER_RAW", &[text("xds\0cluster_name")], Absent::Null),
    operator("UPSTREAM_LOCAL_ADDRESS", &[text("upstream\0local_address")], Absent::Null),
    operator("UPSTREAM_REMOTE_ADDRESS", &[text("upstream\0address")], Absent::Null),
    operator("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", &[host("upstream\0address")], Absent::Null),
    operator("UPSTREAM_REQUEST_ATTEMPT_COUNT", &[integer("upstream\0request_attempt_count")], Absent::Number(0)),
    operator("UPSTREAM_PEER_URI_SAN", &[text("upstream\0uri_san_peer_certificate")], Absent::Null),
    operator("DOWNSTREAM_LOCAL_ADDRESS", &[text("destination\0address")], Absent::Null),
    operator("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", &[host("destination\0address")], Absent::Null),
    operator("DOWNSTREAM_REMOTE_ADDRESS", &[text("source\0address")], Absent::Null),
    operator("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", &[host("source\0address")], Absent::Null),
    operator("DOWNSTREAM_PEER_URI_SAN", &[text("connection\0uri_san_peer_certificate")], Absent::Null),
    operator("DOWNSTREAM_TLS_VERSION", &[text("connection\0tls_version")], Absent::Null),
    operator("REQUESTED_SERVER_NAME", &[text("connection\0requested_server_name")], Absent::Null),
    operator("ROUTE_NAME", &[text("xds\0route_name")], Absent::Null),
    operator("VIRTUAL_HOST_NAME", &[text("xds\0virtual_host_name")], Absent::Null),
    operator("FILTER_CHAIN_NAME", &[text("xds\0filter_chain_name")], Absent::Null),
    operator("CONNECTION_ID", &[integer("connection\0id")], Absent::Null),
    operator("GRPC_STATUS_NUMBER", &[Source::Made(Made::GrpcStatus)], Absent::Null),
];

/// A piece of a format.
enum Piece<'a> {
    Text(&'a str),
    /// An operator: its name, what stands in its brackets, and where it cuts.
    Operator(&'a str, Option<&'a str>, Option<usize>),
    /// Something that is none.
    Wrong(&'a str),
}

/// The names of the operators that take nothing.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.into_iter().map(|operator| operator.name)
}

/// Plans the lines of a format; of Istio's if it is empty.
pub fn plan(planner: &mut Planner<impl Host>, format: &str) {
    let format = if format.is_empty() { ISTIO } else { format };
    let mut before = Vec::new();
    for piece in pieces(format.strip_suffix('\n').unwrap_or(format)) {
        match piece {
            Piece::Text(text) => before.extend_from_slice(text.as_bytes()),
            Piece::Operator(name, argument, max) => match cell(planner, name, argument) {
                Ok(cell) => {
                    let before = core::mem::take(&mut before);
                    planner.take(Cell { before, max: max.unwrap_or(usize::MAX), ..cell });
                }
                Err(message) => planner.refuse(PATH, message),
            },
            Piece::Wrong(text) => {
                planner.refuse(
                    PATH,
                    format!("{text:?} is no operator, must be as \"%REQ(X-USER?:PATH):20%\"; a percent sign is \"%%\""),
                );
            }
        }
    }
    planner.end_with(before);
}

/// The value of an operator, or what is wrong with it.
fn cell(planner: &mut Planner<impl Host>, name: &str, argument: Option<&str>) -> Result<Cell, String> {
    let places = match (name, argument) {
        ("REQ", Some(names)) => headers(planner, "request\0headers\0", names),
        ("RESP", Some(names)) => headers(planner, "response\0headers\0", names),
        ("TRAILER", Some(names)) => headers(planner, "response\0trailers\0", names),
        ("FILTER_STATE", Some(key)) => {
            // Of the forms in which Envoy writes it, only the plain one is text.
            let key = key.strip_suffix(":PLAIN").unwrap_or(key);
            let path = ["filter_state\0", key].concat();
            vec![Place::Slot(planner.reads.slot(&path), Kind::Text, Form::Whole)]
        }
        ("DYNAMIC_METADATA", Some(path)) => {
            let path = ["metadata\0filter_metadata\0", &path.replace(':', "\0")].concat();
            vec![Place::Slot(planner.reads.slot(&path), Kind::Text, Form::Whole)]
        }
        ("FIELD", Some(name)) => {
            let field = find(name).ok_or_else(|| format!("{name:?} is not a known field"))?;
            return Ok(planner.known(&field));
        }
        ("CEL", Some(text)) => {
            let operand = Operand { path: PATH.into(), text: text.into(), known: false, kind: Kind::Text };
            planner.operand(&operand).into_iter().collect()
        }
        (_, None) => {
            let known = OPERATORS.iter().find(|operator| operator.name == name);
            let field: &fields::Field = known.ok_or_else(|| unknown(name))?;
            return Ok(planner.known(field));
        }
        (_, Some(_)) => return Err(unknown(name)),
    };
    Ok(Cell { absent: Some(planner.absent(Absent::Null)), ..Cell::of(places) })
}

fn unknown(name: &str) -> String {
    format!("%{name}% is not known here; operators of Envoy that are not in the README need Envoy's own access logger")
}

/// A header, or another where there is none: `X-A?X-B`.
fn headers(planner: &mut Planner<impl Host>, map: &str, names: &str) -> Vec<Place> {
    let slots = names.split('?').map(|name| {
        let lower = name.to_ascii_lowercase();
        let path = match lower.as_str() {
            // These have attributes of their own.
            ":method" => "request\0method".into(),
            ":path" => "request\0path".into(),
            ":authority" => "request\0host".into(),
            ":scheme" => "request\0scheme".into(),
            other => [map, other].concat(),
        };
        Place::Slot(planner.reads.slot(&path), Kind::Text, Form::Whole)
    });
    slots.collect()
}

/// Takes a format apart.
fn pieces(format: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((text, after)) = rest.split_once('%') {
        pieces.push(Piece::Text(text));
        if let Some(after) = after.strip_prefix('%') {
            pieces.push(Piece::Text("%"));
            rest = after;
            continue;
        }
        match operator_end(after).and_then(|end| Some((after.get(..end)?, after.get(end.checked_add(1)?..)?))) {
            Some((inside, after)) => {
                pieces.push(read_operator(inside).unwrap_or(Piece::Wrong(inside)));
                rest = after;
            }
            None => {
                pieces.push(Piece::Wrong(after));
                rest = "";
            }
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Where the percent sign is that closes an operator; one within brackets does not.
fn operator_end(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            '%' if depth == 0 => return Some(index),
            _ => {}
        }
    }
    None
}

/// `NAME`, `NAME(argument)` or `NAME(argument):10`.
fn read_operator(text: &str) -> Option<Piece<'_>> {
    let end = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    let (argument, rest) = match rest.strip_prefix('(') {
        Some(rest) => {
            let (argument, rest) = rest.rsplit_once(')')?;
            (Some(argument).filter(|argument| !argument.is_empty()), rest)
        }
        None => (None, rest),
    };
    let max = match rest.strip_prefix(':') {
        Some(digits) => Some(digits.parse().ok()?),
        None if rest.is_empty() => None,
        None => return None,
    };
    Some(Piece::Operator(name, argument, max))
}
