//! Why a peer's metadata is not believed, and how often.

use mesh_common::host::{Host, MetricId, MetricKind};

/// Why a peer's metadata is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The header is longer than is allowed.
    TooLarge,
    /// The header is no base64, or not of a `google.protobuf.Struct`.
    Malformed,
    /// The namespace is not that of the peer's certificate.
    Forged,
}

impl Rejection {
    /// The counter of this reason.
    pub fn counter(self) -> &'static str {
        match self {
            Self::TooLarge => "metadata_exchange_peer_too_large_total",
            Self::Malformed => "metadata_exchange_peer_malformed_total",
            Self::Forged => "metadata_exchange_peer_forged_total",
        }
    }
}

/// The counters, defined when they are first needed.
#[derive(Debug, Default)]
pub struct RejectionCounters {
    too_large: Option<MetricId>,
    malformed: Option<MetricId>,
    forged: Option<MetricId>,
}

impl RejectionCounters {
    /// Counts one.
    pub fn count(&mut self, host: &impl Host, rejection: Rejection) {
        let id = match rejection {
            Rejection::TooLarge => &mut self.too_large,
            Rejection::Malformed => &mut self.malformed,
            Rejection::Forged => &mut self.forged,
        };
        if id.is_none() {
            *id = host.define_metric(MetricKind::Counter, rejection.counter()).ok();
        }
        if let Some(id) = *id {
            if let Err(error) = host.increment_metric(id, 1) {
                log::debug!("{} not counted: {error}", rejection.counter());
            }
        }
    }
}
