//! Which side of a request this proxy is.

use host::property::LISTENER_DIRECTION;
use host::Host;

/// The filters whose root id may tell the direction.
const FILTERS: [&str; 5] = ["stats", "metadata_exchange", "access_log", "tcp_access_log", "telemetry"];

/// Which way traffic passes the listener, as Envoy's `traffic_direction` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards this workload: the proxy is the destination's.
    Inbound,
    /// Away from this workload, or through a gateway: the proxy is the source's.
    Outbound,
}

impl Direction {
    /// What a root id says that is a filter's name and a direction, like Istio's `stats_inbound`; `None` for any other.
    pub fn of_root_id(root_id: &str) -> Option<Self> {
        let (filter, direction) = split_root_id(root_id);
        direction.filter(|_| FILTERS.contains(&filter))
    }

    /// What `reporter` says of it: whose proxy this one is.
    pub fn reporter(self) -> &'static str {
        match self {
            Self::Inbound => "destination",
            Self::Outbound => "source",
        }
    }

    /// What the listener of the current stream says. A listener without a direction serves a gateway or a client.
    pub fn of_listener(host: &impl Host) -> Self {
        match host.int(LISTENER_DIRECTION) {
            Some(1) => Self::Inbound,
            _ => Self::Outbound,
        }
    }
}

/// What a root id says before its end that is a direction, and that direction.
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
        assert_eq!(Direction::of_root_id("tcp_access_log_inbound"), Some(Direction::Inbound));
        assert_eq!(Direction::of_root_id("my_inbound"), None);
        assert_eq!(Direction::of_root_id("stats_sideways"), None);
        assert_eq!(Direction::of_root_id(""), None);
    }
}
