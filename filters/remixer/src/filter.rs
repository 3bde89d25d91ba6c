//! Selects the filter of a plugin.

use configuration::{joined, ConfigError, Problem, Quoted};
use labels::direction::split_root_id;

/// The filters of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginFilter {
    /// Metadata exchange alone, over HTTP or TCP.
    MetadataExchange,
    /// Only stats, for HTTP or TCP.
    Stats,
    /// Only the access log, for HTTP or TCP.
    AccessLog,
    /// Metadata exchange, stats and, if configured, the access log in one pass, for HTTP.
    Telemetry,
    /// Fault injection, for HTTP.
    Fault,
}

impl PluginFilter {
    /// The names of the filters.
    pub const NAMES: [&'static str; 5] = ["metadata_exchange", "stats", "access_log", "telemetry", "fault"];

    /// The filter for a root id. The root id is the filter's name, with an optional suffix `_inbound` or `_outbound`.
    /// Filters that also support TCP connections can have the prefix `tcp_`.
    pub fn of_root_id(root_id: &str) -> Option<Self> {
        let (name, _) = split_root_id(root_id);
        match name {
            "metadata_exchange" | "tcp_metadata_exchange" => Some(Self::MetadataExchange),
            "stats" | "tcp_stats" => Some(Self::Stats),
            "access_log" | "tcp_access_log" => Some(Self::AccessLog),
            "telemetry" => Some(Self::Telemetry),
            "fault" => Some(Self::Fault),
            _ => None,
        }
    }

    /// What is wrong with a root id that names no filter.
    pub fn unknown(root_id: &str) -> ConfigError {
        let quoted = Quoted(root_id).to_string();
        let message = joined(&[&quoted, " is not a filter, must be one of ", &joined(&Self::NAMES, ", ")], "");
        Problem { path: "root_id".into(), message }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_root_id_names_its_filter() {
        for (root_id, filter) in [
            ("stats", Some(PluginFilter::Stats)),
            ("stats_inbound", Some(PluginFilter::Stats)),
            ("tcp_stats_outbound", Some(PluginFilter::Stats)),
            ("metadata_exchange", Some(PluginFilter::MetadataExchange)),
            ("tcp_metadata_exchange", Some(PluginFilter::MetadataExchange)),
            ("tcp_metadata_exchange_inbound", Some(PluginFilter::MetadataExchange)),
            ("access_log", Some(PluginFilter::AccessLog)),
            ("tcp_access_log_inbound", Some(PluginFilter::AccessLog)),
            ("telemetry_outbound", Some(PluginFilter::Telemetry)),
            ("fault", Some(PluginFilter::Fault)),
            ("fault_outbound", Some(PluginFilter::Fault)),
            ("tcp_telemetry", None),
            ("tcp_fault", None),
            ("", None),
            ("Stats", None),
            ("statistics", None),
        ] {
            assert_eq!(PluginFilter::of_root_id(root_id), filter, "{root_id}");
        }
        let error = PluginFilter::unknown("Stats").to_string();
        assert!(
            error.contains("1 problem: root_id: \"Stats\" is not a filter, must be one of metadata_exchange, "),
            "{error}"
        );
        assert!(PluginFilter::NAMES.iter().all(|name| PluginFilter::of_root_id(name).is_some()));
    }
}
