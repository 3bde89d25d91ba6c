//! The modules' own readers of configurations.

use access_log::access_log::AccessLog;
use catalog::Filter;
use configuration::{ConfigError, Problem};
use fault::config::FaultConfig;
use host::fake::FakeHost;
use host::property;
use metadata_exchange::config::ExchangeConfig;
use remixer::telemetry::Telemetry;
use shadow::config::ShadowConfig;
use stats::stats::Stats;

/// Whose configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reader {
    /// Of telemetry.
    Telemetry,
    /// Of metadata exchange.
    MetadataExchange,
    /// Of stats.
    Stats,
    /// Of the access log.
    AccessLog,
    /// Of fault injection.
    Fault,
    /// Of traffic shadowing.
    Shadow,
}

impl Reader {
    /// That of a filter of the catalog.
    pub fn of(filter: &Filter) -> Option<Self> {
        match filter.name {
            "telemetry" => Some(Self::Telemetry),
            "metadata exchange" => Some(Self::MetadataExchange),
            "stats" => Some(Self::Stats),
            "access log" => Some(Self::AccessLog),
            "fault" => Some(Self::Fault),
            "shadow" => Some(Self::Shadow),
            _ => None,
        }
    }

    /// What a module would refuse in `configuration`, if the plugin had this root id and VM. Whether Envoy can compile the
    /// expressions is not checked.
    pub fn problems(self, root_id: &str, vm_id: &str, configuration: &[u8]) -> Vec<Problem> {
        let mut host = FakeHost::new();
        host.with_all_expressions();
        host.with_text(property::PLUGIN_ROOT_ID, root_id).with_text(property::PLUGIN_VM_ID, vm_id);
        let read: Result<(), ConfigError> = match self {
            Self::Telemetry => Telemetry::new(configuration, &host).map(drop),
            Self::MetadataExchange => ExchangeConfig::parse(configuration).map(drop),
            Self::Stats => Stats::new(configuration, &host).map(drop),
            Self::AccessLog => AccessLog::new(configuration, &host).map(drop),
            Self::Fault => FaultConfig::parse(configuration).map(drop),
            Self::Shadow => ShadowConfig::parse(configuration).map(drop),
        };
        read.err().map(ConfigError::into_problems).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_of_the_catalog_has_a_reader() {
        for filter in catalog::FILTERS {
            let reader = Reader::of(filter).unwrap_or_else(|| panic!("{}", filter.name));
            assert_eq!(reader.problems(filter.roots[0].id, "", b"{}"), []);
            let problems = reader.problems(filter.roots[0].id, "", br#"{"no_such_field": 1}"#);
            assert_eq!(problems[0].path, "no_such_field", "{}", filter.name);
        }
    }
}
