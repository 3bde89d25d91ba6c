//! The `Host` trait, implemented by Envoy.

use core::time::Duration;

use host::pairs;
use host::property::Property;
use host::{
    Body, Buffer, Call, CallToken, Expression, HeaderMap, Host, HostError, MetricId, MetricKind, Reply, StateKind,
};

use crate::abi;

/// Envoy, through proxy-wasm.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envoy;

impl Host for Envoy {
    fn property(&self, path: Property) -> Option<Vec<u8>> {
        abi::get_property(path.0).ok().flatten().filter(|value| !value.is_empty())
    }

    fn set_filter_state(&self, key: &str, value: &[u8]) -> Result<(), HostError> {
        abi::set_property(key, value)
    }

    fn declare_filter_state(&self, key: &str, kind: StateKind) -> Result<(), HostError> {
        abi::call_foreign_function("declare_property", &declaration(key, kind)).map(|_| ())
    }

    fn header(&self, map: HeaderMap, name: &str) -> Option<Vec<u8>> {
        abi::get_header(map_type(map), name).ok().flatten()
    }

    fn header_pairs(&self, map: HeaderMap) -> Option<Vec<u8>> {
        abi::get_header_pairs(map_type(map)).ok().flatten()
    }

    fn replace_header(&self, map: HeaderMap, name: &str, value: &str) -> Result<(), HostError> {
        abi::replace_header(map_type(map), name, value)
    }

    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<(), HostError> {
        abi::remove_header(map_type(map), name)
    }

    fn buffer(&self, buffer: Buffer, size: usize) -> Option<Vec<u8>> {
        abi::get_buffer(buffer_type(buffer), size).ok().flatten()
    }

    fn replace_front(&self, buffer: Buffer, size: usize, bytes: &[u8]) -> Result<(), HostError> {
        abi::set_buffer(buffer_type(buffer), size, bytes)
    }

    fn body(&self, body: Body, size: usize) -> Option<Vec<u8>> {
        let buffer = match body {
            Body::Request => 0,
            Body::Response => 1,
            Body::CallResponse => 4,
        };
        abi::get_buffer(buffer, size).ok().flatten()
    }

    fn call(&self, call: &Call) -> Result<CallToken, HostError> {
        abi::http_call(call).map(CallToken)
    }

    fn reply(&self, reply: &Reply) -> Result<(), HostError> {
        let headers = reply.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        abi::send_local_response(reply, &pairs::encode(headers))
    }

    fn resume_request(&self) -> Result<(), HostError> {
        abi::continue_stream(HTTP_REQUEST)
    }

    fn reset_request(&self) -> Result<(), HostError> {
        abi::close_stream(HTTP_REQUEST)
    }

    fn resume(&self, buffer: Buffer) -> Result<(), HostError> {
        let stream = match buffer {
            Buffer::Downstream => 2,
            Buffer::Upstream => 3,
        };
        abi::continue_stream(stream)
    }

    fn set_context(&self, context_id: u32) -> Result<(), HostError> {
        abi::set_effective_context(context_id)
    }

    fn create_expression(&self, text: &str) -> Result<Expression, HostError> {
        const CALL: &str = "expr_create";
        let token = abi::call_foreign_function(CALL, text.as_bytes())?.unwrap_or_default();
        let token = token.try_into().map_err(|_| HostError { call: CALL, status: abi::INTERNAL_FAILURE })?;
        Ok(Expression(u32::from_le_bytes(token)))
    }

    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>> {
        abi::call_foreign_function("expr_evaluate", &expression.0.to_le_bytes()).ok().flatten()
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError> {
        let kind = match kind {
            MetricKind::Counter => 0,
            MetricKind::Gauge => 1,
            MetricKind::Histogram => 2,
        };
        abi::define_metric(kind, name).map(MetricId)
    }

    fn increment_metric(&self, id: MetricId, by: i64) -> Result<(), HostError> {
        abi::increment_metric(id.0, by)
    }

    fn record_metric(&self, id: MetricId, value: u64) -> Result<(), HostError> {
        abi::record_metric(id.0, value)
    }

    fn metric(&self, id: MetricId) -> Option<u64> {
        abi::get_metric(id.0).ok()
    }

    fn monotonic_time(&self) -> Option<Duration> {
        abi::clock_time(1).ok().map(Duration::from_nanos)
    }

    fn wall_time(&self) -> Option<Duration> {
        abi::clock_time(0).ok().map(Duration::from_nanos)
    }

    fn random(&self) -> Option<[u8; 16]> {
        abi::random().ok()
    }

    fn set_tick_period(&self, period: Duration) -> Result<(), HostError> {
        abi::set_tick_period(u32::try_from(period.as_millis()).unwrap_or(u32::MAX))
    }
}

/// Envoy's number for the stream that carries a request's bytes.
const HTTP_REQUEST: u32 = 0;

fn buffer_type(buffer: Buffer) -> u32 {
    match buffer {
        Buffer::Downstream => 2,
        Buffer::Upstream => 3,
    }
}

fn map_type(map: HeaderMap) -> u32 {
    match map {
        HeaderMap::Request => 0,
        HeaderMap::Response => 2,
        HeaderMap::ResponseTrailers => 3,
        HeaderMap::CallResponse => 6,
        HeaderMap::CallTrailers => 7,
    }
}

/// Envoy's `DeclarePropertyArguments` for read-write filter state. Field 1 is the name, 3 the type (1 is text, 3 protobuf), 4 the
/// type URL of a protobuf message, 5 how long it lives (2 is as long as the connection; without it, as long as the stream).
fn declaration(key: &str, kind: StateKind) -> Vec<u8> {
    const TYPE_URL: &str = "type.googleapis.com/google.protobuf.Struct";
    let mut message = Vec::new();
    bytes_field(&mut message, 0x0a, key);
    match kind {
        StateKind::Text => message.extend_from_slice(&[0x18, 1]),
        StateKind::ConnectionText => message.extend_from_slice(&[0x18, 1, 0x28, 2]),
        StateKind::Struct => {
            message.extend_from_slice(&[0x18, 3]);
            bytes_field(&mut message, 0x22, TYPE_URL);
        }
    }
    message
}

/// A field of a protobuf message. Texts of 128 bytes or more are cut, because their length would take two bytes.
fn bytes_field(message: &mut Vec<u8>, tag: u8, text: &str) {
    let text = text.as_bytes().get(..127).unwrap_or(text.as_bytes());
    message.push(tag);
    message.push(text.len() as u8);
    message.extend_from_slice(text);
}
