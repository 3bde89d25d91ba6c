//! Text lines: Istio's default format, or a configured one with Envoy's command operators.

use configuration::{Cut, Quoted};
use expression::Kind;

use crate::fields::{Absent, FieldSource, Form, LineField, Made, Style};

/// Istio's default format, since 1.9.
pub const ISTIO: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% \
    %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" \
    %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \
    \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER% \
    %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%";

/// Where problems of a format are reported.
pub const PATH: &str = "text_format";

const fn operator(name: &'static str, sources: &'static [FieldSource], absent: Absent) -> LineField {
    LineField { name, sources, style: Style::Plain, absent }
}

const fn text(path: &'static str) -> FieldSource {
    FieldSource::Attribute(path, Kind::Text, Form::Whole)
}

const fn host(path: &'static str) -> FieldSource {
    FieldSource::Attribute(path, Kind::Text, Form::Host)
}

const fn integer(path: &'static str) -> FieldSource {
    FieldSource::Attribute(path, Kind::Integer, Form::Whole)
}

/// Operators that take nothing, by Envoy's names.
static OPERATORS: [LineField; 30] = [
    operator("START_TIME", &[FieldSource::Attribute("request\0time", Kind::Timestamp, Form::Whole)], Absent::Null),
    operator("PROTOCOL", &[text("request\0protocol")], Absent::Null),
    operator("RESPONSE_CODE", &[integer("response\0code")], Absent::Number(0)),
    operator("RESPONSE_FLAGS", &[FieldSource::Made(Made::Flags)], Absent::Null),
    operator("RESPONSE_CODE_DETAILS", &[text("response\0code_details")], Absent::Null),
    operator("CONNECTION_TERMINATION_DETAILS", &[text("connection\0termination_details")], Absent::Null),
    operator("UPSTREAM_TRANSPORT_FAILURE_REASON", &[text("upstream\0transport_failure_reason")], Absent::Null),
    operator("BYTES_RECEIVED", &[integer("request\0size")], Absent::Number(0)),
    operator("BYTES_SENT", &[integer("response\0size")], Absent::Number(0)),
    operator("DURATION", &[FieldSource::Made(Made::Elapsed)], Absent::Null),
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
    operator("GRPC_STATUS_NUMBER", &[FieldSource::Made(Made::GrpcStatus)], Absent::Null),
];

/// A part of a format.
pub enum Piece<'a> {
    /// A constant text.
    Text(&'a str),
    /// An operator: its value, and where that is cut.
    Value(OperatorValue<'a>, Option<usize>),
    /// Something that is none, with what is wrong.
    Wrong(String),
}

/// The value of an operator.
pub enum OperatorValue<'a> {
    /// That of a field which has no name but the operator's.
    Operator(&'static LineField),
    /// That of a field, by its name.
    Field(&'a str),
    /// An expression.
    Expression(&'a str),
    /// An attribute.
    Attribute(String),
    /// The first header of a map that exists: `X-A?X-B`. See [`header`].
    Headers(&'static str, &'a str),
}

/// The names of the operators without arguments.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|operator| operator.name)
}

/// Splits a format into parts; Istio's format if it is empty.
pub fn pieces(format: &str) -> Vec<Piece<'_>> {
    let format = if format.is_empty() { ISTIO } else { format };
    let mut pieces = Vec::new();
    let mut rest = format.strip_suffix('\n').unwrap_or(format);
    while let Some((text, after)) = rest.split_once('%') {
        pieces.push(Piece::Text(text));
        if let Some(after) = after.strip_prefix('%') {
            pieces.push(Piece::Text("%"));
            rest = after;
            continue;
        }
        match operator_end(after).and_then(|end| Some((after.get(..end)?, after.get(end.checked_add(1)?..)?))) {
            Some((inside, after)) => {
                pieces.push(piece(inside));
                rest = after;
            }
            None => {
                pieces.push(no_operator(after));
                rest = "";
            }
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Position of the percent sign that ends an operator. One inside brackets does not.
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

/// The part between two percent signs.
fn piece(text: &str) -> Piece<'_> {
    let Some((name, argument, max)) = read_operator(text) else { return no_operator(text) };
    match value(name, argument) {
        Some(value) => Piece::Value(value, max),
        None => Piece::Wrong(format!(
            "%{}% is not known here; operators of Envoy that are not in the README need Envoy's own access logger",
            Cut(name)
        )),
    }
}

fn no_operator(text: &str) -> Piece<'_> {
    let text = Quoted(text);
    Piece::Wrong(format!("{text} is no operator, must be as \"%REQ(X-USER?:PATH):20%\"; a percent sign is \"%%\""))
}

/// The value of an operator that is known.
fn value<'a>(name: &str, argument: Option<&'a str>) -> Option<OperatorValue<'a>> {
    Some(match (name, argument) {
        ("REQ", Some(names)) => OperatorValue::Headers("request\0headers\0", names),
        ("RESP", Some(names)) => OperatorValue::Headers("response\0headers\0", names),
        ("TRAILER", Some(names)) => OperatorValue::Headers("response\0trailers\0", names),
        ("FILTER_STATE", Some(key)) => {
            // Of the forms that Envoy has for it, only the plain one is text.
            let key = key.strip_suffix(":PLAIN").unwrap_or(key);
            OperatorValue::Attribute(["filter_state\0", key].concat())
        }
        ("DYNAMIC_METADATA", Some(path)) => {
            OperatorValue::Attribute(["metadata\0filter_metadata\0", &path.replace(':', "\0")].concat())
        }
        ("FIELD", Some(name)) => OperatorValue::Field(name),
        ("CEL", Some(text)) => OperatorValue::Expression(text),
        (_, None) => OperatorValue::Operator(OPERATORS.iter().find(|operator| operator.name == name)?),
        (_, Some(_)) => return None,
    })
}

/// The attribute with a header's value.
pub fn header(map: &str, name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        // These have their own attributes.
        ":method" => "request\0method".into(),
        ":path" => "request\0path".into(),
        ":authority" => "request\0host".into(),
        ":scheme" => "request\0scheme".into(),
        other => [map, other].concat(),
    }
}

/// `NAME`, `NAME(argument)` or `NAME(argument):10`: the name, the argument, and the length.
fn read_operator(text: &str) -> Option<(&str, Option<&str>, Option<usize>)> {
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
    Some((name, argument, max))
}
