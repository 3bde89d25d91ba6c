//! The lines of Mixer's stdio adapter for Istio's default instances `accesslog` and `tcpaccesslog`.
//!
//! `level`, `time` and `instance` come first, then the variables sorted by name. Of Mixer's 41 variables of a request, two
//! are always empty. `apiClaims` would have to be rebuilt from a token's claims. `apiKey` is a secret, and is logged only
//! if it is named.

use expression::Kind;
use labels::End;
use labels::Label;

use crate::fields::{Absent, FieldSource, Form, LineField, Made, Style};
use crate::who::Who;

/// Mixer's names of the default instances for requests and for connections.
pub const INSTANCES: [&str; 2] = ["accesslog.instance.istio-system", "tcpaccesslog.instance.istio-system"];

const EMPTY: Absent = Absent::Text("");
const ZERO: Absent = Absent::Number(0);
const UNKNOWN: Absent = Absent::Text("unknown");
const NO_IP: Absent = Absent::Text("0.0.0.0");

const fn field(name: &'static str, sources: &'static [FieldSource], absent: Absent) -> LineField {
    LineField { name, sources, style: Style::Plain, absent }
}

const fn styled(name: &'static str, sources: &'static [FieldSource], style: Style, absent: Absent) -> LineField {
    LineField { name, sources, style, absent }
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

const fn label(label: Label) -> FieldSource {
    side(Who::Label(label))
}

const SOURCE_IP: FieldSource = FieldSource::Attribute("source\0address", Kind::Text, Form::Host);
const POLICY: &str = "metadata\0filter_metadata\0envoy.filters.http.rbac\0shadow_effective_policy_id";
const RESULT: &str = "metadata\0filter_metadata\0envoy.filters.http.rbac\0shadow_engine_result";

/// What Mixer wrote as the time of a line of a request, or of a connection.
pub const TIMES: [LineField; 2] = [
    styled(
        "time",
        &[FieldSource::Attribute("request\0time", Kind::Timestamp, Form::Whole), FieldSource::Made(Made::Now)],
        Style::Microtime,
        Absent::Null,
    ),
    styled("time", &[FieldSource::Made(Made::Now)], Style::Microtime, Absent::Null),
];

/// The variables of `accesslog`.
pub const REQUEST: [LineField; 41] = [
    field("apiClaims", &[], EMPTY),
    field("apiKey", &[], EMPTY),
    field("clientTraceId", &[text("request\0headers\0x-client-trace-id")], EMPTY),
    field("connection_security_policy", &[SECURITY_POLICY], UNKNOWN),
    field("destinationApp", &[label(Label::DestinationApp)], EMPTY),
    field("destinationIp", &[FieldSource::Made(Made::DestinationIp)], NO_IP),
    field("destinationName", &[side(Who::Name(End::Destination))], UNKNOWN),
    field("destinationNamespace", &[label(Label::DestinationWorkloadNamespace)], Absent::Text("default")),
    field("destinationOwner", &[side(Who::Owner(End::Destination))], UNKNOWN),
    field("destinationPrincipal", &[FieldSource::Side(Who::Label(Label::DestinationPrincipal), Form::Spiffe)], EMPTY),
    field("destinationServiceHost", &[SERVICE_HOST, text("request\0host")], EMPTY),
    field("destinationWorkload", &[label(Label::DestinationWorkload)], UNKNOWN),
    field("grpcMessage", &[text("response\0trailers\0grpc-message"), text("response\0headers\0grpc-message")], EMPTY),
    styled("grpcStatus", &[FieldSource::Made(Made::GrpcStatus)], Style::Text, EMPTY),
    field("httpAuthority", &[text("request\0host")], EMPTY),
    styled("latency", &[FieldSource::Made(Made::Elapsed)], Style::Go, Absent::NoTime),
    field("method", &[text("request\0method")], EMPTY),
    field("permissiveResponseCode", &[text(RESULT)], Absent::Text("none")),
    field("permissiveResponsePolicyID", &[text(POLICY)], Absent::Text("none")),
    field("protocol", &[text("request\0scheme")], Absent::Text("http")),
    field("receivedBytes", &[integer("request\0total_size")], ZERO),
    field("referer", &[text("request\0referer")], EMPTY),
    field("reporter", &[REPORTER], UNKNOWN),
    field("requestId", &[text("request\0headers\0x-request-id")], EMPTY),
    field("requestSize", &[integer("request\0size")], ZERO),
    field("requestedServerName", &[SERVER_NAME], EMPTY),
    // Mixer's proxies reported status 500 for a request without a response.
    field("responseCode", &[integer("response\0code")], Absent::Number(500)),
    field("responseFlags", &[FieldSource::Made(Made::Flags)], Absent::Text("-")),
    field("responseSize", &[integer("response\0size")], ZERO),
    styled("responseTimestamp", &[FieldSource::Made(Made::Now)], Style::Microtime, EMPTY),
    field("sentBytes", &[integer("response\0total_size")], ZERO),
    field("sourceApp", &[label(Label::SourceApp)], EMPTY),
    field("sourceIp", &[SOURCE_IP], NO_IP),
    field("sourceName", &[side(Who::Name(End::Source))], UNKNOWN),
    field("sourceNamespace", &[label(Label::SourceWorkloadNamespace)], Absent::Text("default")),
    field("sourceOwner", &[side(Who::Owner(End::Source))], UNKNOWN),
    field("sourcePrincipal", &[FieldSource::Side(Who::Label(Label::SourcePrincipal), Form::Spiffe)], EMPTY),
    field("sourceWorkload", &[label(Label::SourceWorkload)], UNKNOWN),
    field("url", &[text("request\0path")], EMPTY),
    field("userAgent", &[text("request\0useragent")], EMPTY),
    field("xForwardedFor", &[text("request\0headers\0x-forwarded-for")], NO_IP),
];

/// The variables of `tcpaccesslog`.
pub const CONNECTION: [LineField; 26] = [
    styled("connectionDuration", &[FieldSource::Made(Made::ElapsedWhenClosed)], Style::Go, Absent::NoTime),
    field("connectionEvent", &[FieldSource::Made(Made::Event)], EMPTY),
    field("connection_security_policy", &[SECURITY_POLICY], UNKNOWN),
    field("destinationApp", &[label(Label::DestinationApp)], EMPTY),
    field("destinationIp", &[FieldSource::Made(Made::DestinationIp)], NO_IP),
    field("destinationName", &[side(Who::Name(End::Destination))], UNKNOWN),
    field("destinationNamespace", &[label(Label::DestinationWorkloadNamespace)], Absent::Text("default")),
    field("destinationOwner", &[side(Who::Owner(End::Destination))], UNKNOWN),
    field("destinationPrincipal", &[FieldSource::Side(Who::Label(Label::DestinationPrincipal), Form::Spiffe)], EMPTY),
    field("destinationServiceHost", &[SERVICE_HOST], EMPTY),
    field("destinationWorkload", &[label(Label::DestinationWorkload)], UNKNOWN),
    field("protocol", &[FieldSource::Made(Made::Protocol)], Absent::Text("tcp")),
    field("receivedBytes", &[FieldSource::Made(Made::ReceivedSince)], ZERO),
    field("reporter", &[REPORTER], UNKNOWN),
    field("requestedServerName", &[SERVER_NAME], EMPTY),
    field("responseFlags", &[FieldSource::Made(Made::Flags)], Absent::Text("-")),
    field("sentBytes", &[FieldSource::Made(Made::SentSince)], ZERO),
    field("sourceApp", &[label(Label::SourceApp)], EMPTY),
    field("sourceIp", &[SOURCE_IP], NO_IP),
    field("sourceName", &[side(Who::Name(End::Source))], UNKNOWN),
    field("sourceNamespace", &[label(Label::SourceWorkloadNamespace)], Absent::Text("default")),
    field("sourceOwner", &[side(Who::Owner(End::Source))], UNKNOWN),
    field("sourcePrincipal", &[FieldSource::Side(Who::Label(Label::SourcePrincipal), Form::Spiffe)], EMPTY),
    field("sourceWorkload", &[label(Label::SourceWorkload)], UNKNOWN),
    field("totalReceivedBytes", &[integer("request\0size")], ZERO),
    field("totalSentBytes", &[integer("response\0size")], ZERO),
];

const SECURITY_POLICY: FieldSource = label(Label::ConnectionSecurityPolicy);
const SERVICE_HOST: FieldSource = label(Label::DestinationService);
const REPORTER: FieldSource = label(Label::Reporter);
const SERVER_NAME: FieldSource = text("connection\0requested_server_name");
