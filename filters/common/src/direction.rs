//! Which side of a request this proxy is.

use crate::host::Host;
use crate::property::LISTENER_DIRECTION;

/// Which way traffic passes the listener, as Envoy's `traffic_direction` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards this workload: the proxy is the destination's.
    Inbound,
    /// Away from this workload, or through a gateway: the proxy is the source's.
    Outbound,
}

impl Direction {
    /// What Istio's root ids say (`stats_inbound`, `stats_outbound`); `None` for any other id.
    pub fn of_root_id(root_id: &str) -> Option<Self> {
        match root_id {
            "stats_inbound" => Some(Self::Inbound),
            "stats_outbound" => Some(Self::Outbound),
            _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn istio_root_ids_tell_the_direction() {
        assert_eq!(Direction::of_root_id("stats_inbound"), Some(Direction::Inbound));
        assert_eq!(Direction::of_root_id("stats_outbound"), Some(Direction::Outbound));
        assert_eq!(Direction::of_root_id("my_inbound"), None);
        assert_eq!(Direction::of_root_id(""), None);
    }
}
