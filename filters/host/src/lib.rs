//! The only adapter from the host traits to the proxy-wasm ABI.
//!
//! The calls of the SDK panic on statuses that they do not expect, and a panic ends the VM for every stream of the
//! worker. So the host functions are declared here once more, and each answers with a result. Nothing is decided here.

mod abi;
mod logging;

use mesh_common::host::{HeaderMap, Host, HostError, MetricId, MetricKind};
use mesh_common::property::Property;

pub use logging::start;

/// Envoy, by way of proxy-wasm.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envoy;

impl Host for Envoy {
    fn property(&self, path: Property) -> Option<Vec<u8>> {
        abi::get_property(path.0).ok().flatten().filter(|value| !value.is_empty())
    }

    fn set_filter_state(&self, key: &str, value: &[u8]) -> Result<(), HostError> {
        abi::set_property(key, value)
    }

    fn declare_struct_state(&self, key: &str) -> Result<(), HostError> {
        abi::call_foreign_function("declare_property", &struct_declaration(key))
    }

    fn header(&self, map: HeaderMap, name: &str) -> Option<Vec<u8>> {
        abi::get_header(map_type(map), name).ok().flatten()
    }

    fn replace_header(&self, map: HeaderMap, name: &str, value: &str) -> Result<(), HostError> {
        abi::replace_header(map_type(map), name, value)
    }

    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<(), HostError> {
        abi::remove_header(map_type(map), name)
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
}

/// The bytes of the plugin's configuration.
pub fn plugin_configuration() -> Vec<u8> {
    abi::plugin_configuration().ok().flatten().unwrap_or_default()
}

fn map_type(map: HeaderMap) -> u32 {
    match map {
        HeaderMap::Request => 0,
        HeaderMap::Response => 2,
    }
}

/// Envoy's `DeclarePropertyArguments` for a read-write `google.protobuf.Struct` that lives as long as the stream:
/// field 1 the name, 3 the type (3 is protobuf), 4 the type URL.
fn struct_declaration(key: &str) -> Vec<u8> {
    const TYPE_URL: &str = "type.googleapis.com/google.protobuf.Struct";
    let mut message = Vec::new();
    let mut bytes_field = |tag: u8, text: &str| {
        message.push(tag);
        // Both texts are far shorter than the 128 bytes from which a length takes two bytes.
        message.push(text.len() as u8);
        message.extend_from_slice(text.as_bytes());
    };
    bytes_field(0x0a, key);
    bytes_field(0x22, TYPE_URL);
    message.extend_from_slice(&[0x18, 3]);
    message
}
