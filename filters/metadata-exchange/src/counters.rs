//! The counters of metadata exchange: rejected peers by reason, and the counters of Istio's TCP filter.

use host::{Host, MetricId, MetricKind};

/// Why a peer's metadata is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It exceeds the maximum length.
    TooLarge,
    /// It cannot be decoded.
    Malformed,
    /// Its namespace is not that of the peer's certificate.
    Forged,
}

/// A counted event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeEvent {
    /// A peer that is not believed, over HTTP or TCP.
    Rejected(Rejection),
    /// A TCP connection on which the exchange is tried.
    ExchangeTried,
    /// A TCP connection on which it is not tried: no mutual TLS, or not configured.
    ExchangeNotTried,
    /// A TCP connection to which we added our metadata.
    MetadataAdded,
    /// A TCP connection whose first bytes are not metadata.
    InitialHeaderNotFound,
    /// A TCP connection that begins like metadata, but the metadata cannot be decoded.
    HeaderNotFound,
}

/// The counters by [`ExchangeEvent`]; the last five are named by Istio, the first two of them after what its filter negotiates.
pub const NAMES: [&str; 8] = [
    "metadata_exchange_peer_too_large_total",
    "metadata_exchange_peer_malformed_total",
    "metadata_exchange_peer_forged_total",
    "metadata_exchange.alpn_protocol_found",
    "metadata_exchange.alpn_protocol_not_found",
    "metadata_exchange.metadata_added",
    "metadata_exchange.initial_header_not_found",
    "metadata_exchange.header_not_found",
];

impl ExchangeEvent {
    fn index(self) -> usize {
        match self {
            Self::Rejected(Rejection::TooLarge) => 0,
            Self::Rejected(Rejection::Malformed) => 1,
            Self::Rejected(Rejection::Forged) => 2,
            Self::ExchangeTried => 3,
            Self::ExchangeNotTried => 4,
            Self::MetadataAdded => 5,
            Self::InitialHeaderNotFound => 6,
            Self::HeaderNotFound => 7,
        }
    }
}

/// The counters. Each is defined when it is first needed.
#[derive(Debug, Default)]
pub struct ExchangeCounters {
    ids: [Option<MetricId>; NAMES.len()],
}

impl ExchangeCounters {
    /// Counts one.
    pub fn count(&mut self, host: &impl Host, event: ExchangeEvent) {
        let (Some(id), Some(name)) = (self.ids.get_mut(event.index()), NAMES.get(event.index())) else {
            return;
        };
        if id.is_none() {
            *id = host.define_metric(MetricKind::Counter, name).ok();
        }
        if let Some(Err(error)) = id.map(|id| host.increment_metric(id, 1)) {
            log::debug!("{name} not counted: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use host::fake::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn each_event_has_a_counter_of_its_own() {
        let (host, mut counters) = (FakeHost::new(), ExchangeCounters::default());
        for event in [
            ExchangeEvent::Rejected(Rejection::TooLarge),
            ExchangeEvent::Rejected(Rejection::Malformed),
            ExchangeEvent::Rejected(Rejection::Forged),
            ExchangeEvent::ExchangeTried,
            ExchangeEvent::ExchangeNotTried,
            ExchangeEvent::MetadataAdded,
            ExchangeEvent::InitialHeaderNotFound,
            ExchangeEvent::HeaderNotFound,
        ] {
            counters.count(&host, event);
            counters.count(&host, event);
        }
        assert_eq!(host.defined(), NAMES.len());
        assert!(host.values().into_values().all(|value| value == 2));
    }
}
