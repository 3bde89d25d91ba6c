//! The fields that a line can have, by name, with their sources and forms.
//!
//! The default fields are those of Istio's JSON access log, and fields for both workloads. [`crate::mixer`] has the
//! variables of Mixer's access log.

use expression::Kind;
use labels::End;
use labels::Label;

use crate::who::Who;

/// A field.
#[derive(Clone, Copy, Debug)]
pub struct LineField {
    /// Its name.
    pub name: &'static str,
    /// Where its value comes from: from the first of these that has one.
    pub sources: &'static [FieldSource],
    /// How it is written.
    pub style: Style,
    /// What to write if there is no value.
    pub absent: Absent,
}

/// The source of a value.
#[derive(Clone, Copy, Debug)]
pub enum FieldSource {
    /// An attribute of the stream, by its path.
    Attribute(&'static str, Kind, Form),
    /// A value of one side of the stream.
    Side(Who, Form),
    /// Computed from several attributes.
    Made(Made),
}

/// A value computed from several attributes, or from none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Short names of the response flags.
    Flags,
    /// Status of a gRPC request.
    GrpcStatus,
    /// Duration of the stream so far.
    Elapsed,
    /// Duration of a connection, once it is closed.
    ElapsedWhenClosed,
    /// Time when the line is written.
    Now,
    /// `open`, `continue` or `close`, for a connection.
    Event,
    /// Bytes received since the connection's previous line.
    ReceivedSince,
    /// Bytes sent since the connection's previous line.
    SentSince,
    /// `http`, `grpc` or `tcp`.
    Protocol,
    /// Address of the destination: inbound the listener's, outbound the upstream's.
    DestinationIp,
}

/// The part of a text to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it.
    Whole,
    /// The integer that it contains.
    Number,
    /// An address without the port.
    Host,
    /// The part before the first comma.
    First,
    /// Without `spiffe://`.
    Spiffe,
    /// The trace id in W3C's `traceparent`.
    ParentTrace,
    /// The span id in W3C's `traceparent`.
    ParentSpan,
    /// The trace id in Zipkin's `b3`.
    B3Trace,
    /// The span id in Zipkin's `b3`.
    B3Span,
}

/// Form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By type: durations in whole milliseconds, times in RFC 3339 with milliseconds.
    Plain,
    /// Always as text.
    Text,
    /// Whole milliseconds; for a time, since 1970.
    Milliseconds,
    /// Seconds with a fraction; for a time, since 1970.
    Seconds,
    /// Nanoseconds; for a time, since 1970.
    Nanoseconds,
    /// A duration in Go's and Mixer's form.
    Go,
    /// A time in Mixer's form: RFC 3339 with microseconds.
    Microtime,
}

/// What to write if there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// `null`; in text formats `-`.
    Null,
    /// A text.
    Text(&'static str),
    /// A number.
    Number(i64),
    /// The duration `0s`.
    NoTime,
}

const fn field(name: &'static str, sources: &'static [FieldSource], absent: Absent) -> LineField {
    LineField { name, sources, style: Style::Plain, absent }
}

const fn text(path: &'static str) -> FieldSource {
    FieldSource::Attribute(path, Kind::Text, Form::Whole)
}

const fn integer(path: &'static str) -> FieldSource {
    FieldSource::Attribute(path, Kind::Integer, Form::Whole)
}

const fn side(who: Who) -> FieldSource {
    FieldSource::Side(who, Form::Whole)
}

const UNKNOWN: Absent = Absent::Text("unknown");

/// A field with the name and value of a label.
macro_rules! of_label {
    ($label:ident) => {
        field(Label::$label.name(), &[side(Who::Label(Label::$label))], UNKNOWN)
    };
}

const START: FieldSource = FieldSource::Attribute("request\0time", Kind::Timestamp, Form::Whole);
const ORIGINAL_PATH: FieldSource = text("request\0headers\0x-envoy-original-path");
const TRACEPARENT: &str = "request\0headers\0traceparent";
const B3: &str = "request\0headers\0b3";
const SERVICE_TIME: &str = "response\0headers\0x-envoy-upstream-service-time";

/// The fields of a line unless configured otherwise, in order. The first 24 have the names of Istio's JSON access log.
pub const DEFAULT: [LineField; 48] = [
    field("start_time", &[START], Absent::Null),
    field("method", &[text("request\0method")], Absent::Null),
    field("path", &[ORIGINAL_PATH, text("request\0path")], Absent::Null),
    field("protocol", &[text("request\0protocol")], Absent::Null),
    field("response_code", &[integer("response\0code")], Absent::Number(0)),
    field("response_flags", &[FieldSource::Made(Made::Flags)], Absent::Text("-")),
    field("response_code_details", &[text("response\0code_details")], Absent::Null),
    field("connection_termination_details", &[text("connection\0termination_details")], Absent::Null),
    field("upstream_transport_failure_reason", &[text("upstream\0transport_failure_reason")], Absent::Null),
    field("bytes_received", &[integer("request\0size")], Absent::Number(0)),
    field("bytes_sent", &[integer("response\0size")], Absent::Number(0)),
    field("duration", &[FieldSource::Made(Made::Elapsed)], Absent::Null),
    field("upstream_service_time", &[FieldSource::Attribute(SERVICE_TIME, Kind::Text, Form::Number)], Absent::Null),
    field("x_forwarded_for", &[text("request\0headers\0x-forwarded-for")], Absent::Null),
    field("user_agent", &[text("request\0useragent")], Absent::Null),
    field("request_id", &[text("request\0id")], Absent::Null),
    field("authority", &[text("request\0host")], Absent::Null),
    field("upstream_host", &[text("upstream\0address")], Absent::Null),
    field("upstream_cluster", &[text("xds\0cluster_name")], Absent::Null),
    field("upstream_local_address", &[text("upstream\0local_address")], Absent::Null),
    field("downstream_local_address", &[text("destination\0address")], Absent::Null),
    field("downstream_remote_address", &[text("source\0address")], Absent::Null),
    field("requested_server_name", &[text("connection\0requested_server_name")], Absent::Null),
    field("route_name", &[text("xds\0route_name")], Absent::Null),
    of_label!(Reporter),
    of_label!(SourceWorkload),
    of_label!(SourceWorkloadNamespace),
    of_label!(SourcePrincipal),
    of_label!(SourceApp),
    of_label!(SourceVersion),
    of_label!(SourceCanonicalService),
    of_label!(SourceCanonicalRevision),
    of_label!(SourceCluster),
    of_label!(DestinationWorkload),
    of_label!(DestinationWorkloadNamespace),
    of_label!(DestinationPrincipal),
    of_label!(DestinationApp),
    of_label!(DestinationVersion),
    of_label!(DestinationService),
    of_label!(DestinationServiceName),
    of_label!(DestinationServiceNamespace),
    of_label!(DestinationCanonicalService),
    of_label!(DestinationCanonicalRevision),
    of_label!(DestinationCluster),
    of_label!(ConnectionSecurityPolicy),
    field("grpc_status", &[FieldSource::Made(Made::GrpcStatus)], Absent::Null),
    field(
        "trace_id",
        &[
            FieldSource::Attribute(TRACEPARENT, Kind::Text, Form::ParentTrace),
            text("request\0headers\0x-b3-traceid"),
            FieldSource::Attribute(B3, Kind::Text, Form::B3Trace),
        ],
        Absent::Null,
    ),
    field(
        "span_id",
        &[
            FieldSource::Attribute(TRACEPARENT, Kind::Text, Form::ParentSpan),
            text("request\0headers\0x-b3-spanid"),
            FieldSource::Attribute(B3, Kind::Text, Form::B3Span),
        ],
        Absent::Null,
    ),
];

/// What a line of a TCP connection has before the default fields.
pub const EVENT: LineField = field("connection_event", &[FieldSource::Made(Made::Event)], Absent::Null);

/// More fields that a configuration can name.
pub const OTHER: [LineField; 16] = [
    field("source_name", &[side(Who::Name(End::Source))], UNKNOWN),
    field("source_owner", &[side(Who::Owner(End::Source))], UNKNOWN),
    field("destination_name", &[side(Who::Name(End::Destination))], UNKNOWN),
    field("destination_owner", &[side(Who::Owner(End::Destination))], UNKNOWN),
    field("source_ip", &[SOURCE_IP], Absent::Null),
    field("destination_ip", &[FieldSource::Made(Made::DestinationIp)], Absent::Null),
    field("request_protocol", &[FieldSource::Made(Made::Protocol)], Absent::Null),
    field("scheme", &[text("request\0scheme")], Absent::Null),
    field("url_path", &[text("request\0url_path")], Absent::Null),
    field("referer", &[text("request\0referer")], Absent::Null),
    field("grpc_message", &[GRPC_MESSAGE, GRPC_MESSAGE_OF_HEADERS], Absent::Null),
    field("request_total_bytes", &[integer("request\0total_size")], Absent::Number(0)),
    field("response_total_bytes", &[integer("response\0total_size")], Absent::Number(0)),
    field("upstream_request_attempt_count", &[integer("upstream\0request_attempt_count")], Absent::Number(0)),
    field("connection_id", &[integer("connection\0id")], Absent::Null),
    field("end_time", &[FieldSource::Made(Made::Now)], Absent::Null),
];

const SOURCE_IP: FieldSource = FieldSource::Attribute("source\0address", Kind::Text, Form::Host);
const GRPC_MESSAGE: FieldSource = text("response\0trailers\0grpc-message");
const GRPC_MESSAGE_OF_HEADERS: FieldSource = text("response\0headers\0grpc-message");
