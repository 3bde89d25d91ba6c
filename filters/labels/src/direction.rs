//! The direction of traffic through this proxy.

use host::property::LISTENER_DIRECTION;
use host::Host;

/// Filters whose root id may contain the direction.
const FILTERS: [&str; 6] = ["stats", "tcp_stats", "metadata_exchange", "access_log", "tcp_access_log", "telemetry"];

/// Direction of the listener: Envoy's `traffic_direction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards this workload: this is the destination's proxy.
    Inbound,
    /// Away from this workload, or through a gateway: this is the source's proxy.
    Outbound,
}

impl Direction {
    /// The direction in a root id like Istio's `stats_inbound`: a filter's name and a direction. `None` for any other root
    /// id.
    pub fn of_root_id(root_id: &str) -> Option<Self> {
        let (filter, direction) = split_root_id(root_id);
        direction.filter(|_| FILTERS.contains(&filter))
    }

    /// The label `reporter`: which side's proxy this is.
    pub fn reporter(self) -> &'static str {
        match self {
            Self::Inbound => "destination",
            Self::Outbound => "source",
        }
    }

    /// The direction of the current stream's listener. A listener without a direction belongs to a gateway or a client:
    /// outbound.
    pub fn of_listener(host: &impl Host) -> Self {
        Self::told_by_listener(host).unwrap_or(Self::Outbound)
    }

    /// The direction of the current stream's listener, if it has one.
    pub fn told_by_listener(host: &impl Host) -> Option<Self> {
        match host.int(LISTENER_DIRECTION) {
            Some(1) => Some(Self::Inbound),
            Some(2) => Some(Self::Outbound),
            _ => None,
        }
    }
}

/// Splits a direction off the end of a root id.
pub fn split_root_id(root_id: &str) -> (&str, Option<Direction>) {
    for (end, direction) in [("_inbound", Direction::Inbound), ("_outbound", Direction::Outbound)] {
        if let Some(filter) = root_id.strip_suffix(end) {
            return (filter, Some(direction));
        }
    }
    (root_id, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn root_ids_tell_the_direction() {
        assert_eq!(Direction::of_root_id("stats_inbound"), Some(Direction::Inbound));
        assert_eq!(Direction::of_root_id("stats_outbound"), Some(Direction::Outbound));
        assert_eq!(Direction::of_root_id("metadata_exchange_inbound"), Some(Direction::Inbound));
        assert_eq!(Direction::of_root_id("telemetry_outbound"), Some(Direction::Outbound));
        assert_eq!(Direction::of_root_id("tcp_stats_inbound"), Some(Direction::Inbound));
        assert_eq!(Direction::of_root_id("tcp_access_log_inbound"), Some(Direction::Inbound));
        assert_eq!(Direction::of_root_id("my_inbound"), None);
        assert_eq!(Direction::of_root_id("stats_sideways"), None);
        assert_eq!(Direction::of_root_id(""), None);
    }
}
