//! The plugin configuration: Istio's `stats.PluginConfig` in JSON.

use core::time::Duration;

use mesh_common::config::{self, ConfigError};

/// Series defined per worker unless configured otherwise: 2,000 label sets of four metrics, about 40 MB in Envoy.
const DEFAULT_SERIES: u64 = 8_000;
/// More would take Envoy hundreds of megabytes per worker.
const MAX_SERIES: u64 = 1_000_000;

/// How often live TCP connections are reported unless configured otherwise, and how often they may be.
const DEFAULT_REPORTING: Duration = Duration::from_secs(15);
const MIN_REPORTING: Duration = Duration::from_millis(100);
const MAX_REPORTING: Duration = Duration::from_secs(3600);

/// What an operator can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `disable_host_header_fallback`: where the cluster does not tell its service, leave the Host header alone. A
    /// client chooses it, so a listener that strangers reach must not make labels of it.
    pub disable_host_header_fallback: bool,
    /// `tcp_reporting_duration`: how often live TCP connections are reported.
    pub tcp_reporting_duration: Duration,
    /// `max_series`: series that one worker defines; label sets beyond are counted together.
    pub max_series: usize,
}

impl Config {
    /// Reads the plugin configuration.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        config::parse(json, |section| {
            // Istio's own configurations hold these; they mean nothing here.
            section.ignore(&["debug", "stat_prefix", "max_peer_cache_size"]);
            Self {
                tcp_reporting_duration: section.duration(
                    "tcp_reporting_duration",
                    MIN_REPORTING..=MAX_REPORTING,
                    DEFAULT_REPORTING,
                ),
                disable_host_header_fallback: section.boolean("disable_host_header_fallback", false),
                max_series: usize::try_from(section.integer("max_series", 100..=MAX_SERIES, DEFAULT_SERIES))
                    .unwrap_or(usize::MAX),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn istio_s_default_configurations_are_read() {
        let defaults = Config {
            disable_host_header_fallback: false,
            tcp_reporting_duration: Duration::from_secs(15),
            max_series: 8_000,
        };
        for (json, expected) in [
            ("", defaults.clone()),
            ("{}", defaults.clone()),
            ("{\n  \"debug\": \"false\",\n  \"stat_prefix\": \"istio\",\n}\n", defaults.clone()),
            (
                r#"{"debug": "false", "stat_prefix": "istio", "disable_host_header_fallback": true}"#,
                Config { disable_host_header_fallback: true, ..defaults.clone() },
            ),
            (
                r#"{"tcp_reporting_duration": "500ms"}"#,
                Config { tcp_reporting_duration: Duration::from_millis(500), ..defaults },
            ),
        ] {
            assert_eq!(Config::parse(json.as_bytes()), Ok(expected), "{json}");
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let json = br#"{"disable_host_header_fallback": 1, "max_series": "many", "tcp_reporting_duration": "1ms"}"#;
        assert_eq!(
            Config::parse(json).map_err(|error| error.to_string()),
            Err("configuration refused, 3 problems: \
                 tcp_reporting_duration: \"1ms\" is not allowed, must be a duration such as \"15s\" or \"500ms\", from 100ms to 3600s; \
                 disable_host_header_fallback: 1 is not allowed, must be true or false; \
                 max_series: \"many\" is not allowed, must be a whole number from 100 to 1000000"
                .into())
        );
    }
}
