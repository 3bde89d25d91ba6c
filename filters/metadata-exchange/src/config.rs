//! The plugin configuration.

use configuration::{self, ConfigError, Section};

/// Default size of the peer cache per worker.
const DEFAULT_PEERS: u64 = 500;
/// A larger cache would let untrusted clients fill megabytes per worker.
const MAX_PEERS: u64 = 10_000;
/// More labels would not fit into the header.
const MAX_ADDITIONAL_LABELS: usize = 32;

/// The only protocol of metadata exchange over TCP, by its ALPN name.
const PROTOCOL: &str = "istio-peer-exchange";

/// The configuration of metadata exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeConfig {
    /// `max_peer_cache_size`: peers remembered, so that their headers are decoded once. 0 remembers none.
    pub max_peer_cache_size: usize,
    /// `protocol`: if set, this proxy sends its metadata first on TCP connections that it opens. Set it only where every
    /// called workload supports the exchange: others would read the metadata as data.
    pub introduce: bool,
    /// `additional_labels`: labels of this workload to send, besides those that metrics use.
    pub additional_labels: Vec<String>,
}

impl ExchangeConfig {
    /// Reads the plugin configuration.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        configuration::parse(json, Self::read)
    }

    /// Reads the configuration of metadata exchange.
    #[inline(never)]
    pub fn read(section: &mut Section) -> Self {
        Self {
            max_peer_cache_size: usize::try_from(section.integer("max_peer_cache_size", 0..=MAX_PEERS, DEFAULT_PEERS))
                .unwrap_or(usize::MAX),
            introduce: section.choice("protocol", &[PROTOCOL]).is_some(),
            additional_labels: section.texts("additional_labels", MAX_ADDITIONAL_LABELS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn istio_s_configuration_is_the_defaults() {
        let expected = Ok(ExchangeConfig { max_peer_cache_size: 500, introduce: false, additional_labels: vec![] });
        assert_eq!(ExchangeConfig::parse(b""), expected);
        assert_eq!(ExchangeConfig::parse(b"{}\n"), expected);
    }

    #[test]
    fn every_field_is_read() {
        assert_eq!(
            ExchangeConfig::parse(
                br#"{"max_peer_cache_size": 7, "protocol": "istio-peer-exchange", "additional_labels": ["role"]}"#
            ),
            Ok(ExchangeConfig { max_peer_cache_size: 7, introduce: true, additional_labels: vec!["role".into()] })
        );
    }

    #[test]
    fn every_wrong_field_is_named() {
        let json = br#"{"max_peer_cache_size": -1, "additional_labels": "role", "max_peers": 1, "protocol": "h2"}"#;
        assert_eq!(
            ExchangeConfig::parse(json).map_err(|error| error.to_string()),
            Err("configuration refused, 4 problems: \
                 max_peer_cache_size: -1 is not allowed, must be a whole number from 0 to 10000; \
                 protocol: \"h2\" is not allowed, must be \"istio-peer-exchange\"; \
                 additional_labels: \"role\" is not allowed, must be a list of at most 32 texts, none empty; \
                 max_peers: unknown field (value 1), known are additional_labels, max_peer_cache_size, protocol"
                .into())
        );
    }
}
