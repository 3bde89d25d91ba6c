//! The configuration of telemetry: one section for each filter.

use access_log::config::LogConfig;
use configuration::{self, ConfigError, Problem, Section};
use metadata_exchange::config::ExchangeConfig;
use stats::config::StatsConfig;

/// The configuration of telemetry.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryConfig {
    /// `metadata_exchange`.
    pub metadata_exchange: ExchangeConfig,
    /// `stats`.
    pub stats: StatsConfig,
    /// `access_log`; `None` for no access log.
    pub access_log: Option<LogConfig>,
    /// `share_peers`: write peers to filter state for other filters and access loggers.
    pub share_peers: bool,
}

impl TelemetryConfig {
    /// Reads the plugin configuration.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        configuration::parse(json, Self::read)
    }

    /// Reads the plugin configuration. Collects problems and continues where possible, for a caller with more to check.
    pub fn parse_with(json: &[u8], problems: &mut Vec<Problem>) -> Self {
        configuration::parse_with(json, problems, Self::read)
    }

    fn read(section: &mut Section) -> Self {
        Self {
            metadata_exchange: section.object_or_empty("metadata_exchange", ExchangeConfig::read),
            stats: section.object_or_empty("stats", StatsConfig::read),
            access_log: section.object("access_log", LogConfig::read_for_requests),
            share_peers: section.boolean("share_peers", false),
        }
    }
}
