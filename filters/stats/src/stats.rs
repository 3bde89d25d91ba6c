//! The filter on one worker: labels, then records.

use mesh_common::direction::Direction;
use mesh_common::host::{Host, MetricKind};
use mesh_common::metric_name;
use mesh_common::peer::Peer;
use mesh_common::property;

use crate::config::Config;
use crate::labels::Labeler;
use crate::recorder::{Measured, Recorder};
use crate::symbols::Symbols;

const NANOSECONDS_PER_MILLISECOND: i64 = 1_000_000;

/// Stats on one worker.
pub struct Stats {
    /// Known where the root id tells it, else asked of each stream's listener.
    direction: Option<Direction>,
    symbols: Symbols,
    labeler: Labeler,
    recorder: Recorder,
}

impl Stats {
    /// Reads who this proxy is and sets `istio_build`. Call it while the plugin is configured.
    pub fn new(config: &Config, host: &impl Host) -> Self {
        let version = match Peer::local(host, &[]).istio_version {
            version if version.is_empty() => mesh_common::labels::UNKNOWN.into(),
            version => version,
        };
        let build = host.define_metric(MetricKind::Gauge, &metric_name::build(&version));
        if let Err(error) = build.and_then(|id| host.record_metric(id, 1)) {
            log::warn!("stats: istio_build is not set: {error}");
        }
        let mut symbols = Symbols::default();
        let root_id = host.text(property::PLUGIN_ROOT_ID).unwrap_or_default();
        Self {
            direction: Direction::of_root_id(&root_id),
            labeler: Labeler::new(host, &mut symbols, !config.disable_host_header_fallback),
            recorder: Recorder::new(config.max_series),
            symbols,
        }
    }

    /// A stream ends.
    pub fn on_log(&mut self, host: &impl Host) {
        let direction = self.direction.unwrap_or_else(|| Direction::of_listener(host));
        let labels = self.labeler.labels(host, &mut self.symbols, direction);
        let measured = Measured {
            duration_milliseconds: host
                .int(property::REQUEST_DURATION)
                .and_then(|duration| unsigned(duration.checked_div(NANOSECONDS_PER_MILLISECOND)?)),
            request_bytes: host.int(property::REQUEST_TOTAL_SIZE).and_then(unsigned),
            response_bytes: host.int(property::RESPONSE_TOTAL_SIZE).and_then(unsigned),
        };
        self.recorder.record(host, &self.symbols, &labels, &measured);
    }
}

fn unsigned(number: i64) -> Option<u64> {
    u64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use mesh_common::fake::FakeHost;
    use mesh_common::property::{node_metadata, Property};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn stats(host: &FakeHost) -> Stats {
        Stats::new(&Config { disable_host_header_fallback: true, max_series: 1000 }, host)
    }

    /// A node where a mutual TLS request with a known peer just ended.
    fn mesh(root_id: &str) -> FakeHost {
        let peer = Peer { workload_name: "productpage-v1".into(), namespace: "default".into(), ..Peer::default() };
        let mut host = FakeHost::new();
        host.with_text(property::PLUGIN_ROOT_ID, root_id)
            .with_text(Property(&node_metadata("ISTIO_VERSION")), "1.5.0")
            .with_text(property::CLUSTER_NAME, "outbound|9080||reviews.default.svc.cluster.local")
            .with_int(property::RESPONSE_CODE, 200)
            .with_int(property::RESPONSE_FLAGS, 0)
            .with_int(property::REQUEST_DURATION, 12_900_000)
            .with_int(property::REQUEST_TOTAL_SIZE, 120)
            .with_int(property::RESPONSE_TOTAL_SIZE, 3400)
            .with_boolean(property::CONNECTION_MTLS, true);
        for path in [
            property::CONNECTION_PEER_SAN,
            property::CONNECTION_LOCAL_SAN,
            property::UPSTREAM_PEER_SAN,
            property::UPSTREAM_LOCAL_SAN,
        ] {
            host.with_text(path, "spiffe://cluster.local/ns/default/sa/any");
        }
        for state in ["upstream_peer", "downstream_peer"] {
            host.with_state(state, &peer.to_state());
        }
        host
    }

    fn reporters(host: &FakeHost) -> Vec<String> {
        let names = host.values().into_keys().filter(|name| name.ends_with("istio_requests_total"));
        names.map(|name| name.split(";.;").next().unwrap_or_default().to_string()).collect()
    }

    #[test]
    fn sizes_are_bytes_and_the_duration_whole_milliseconds() {
        let host = mesh("stats_inbound");
        stats(&host).on_log(&host);
        for (metric, expected) in
            [("istio_request_duration_milliseconds", 12), ("istio_request_bytes", 120), ("istio_response_bytes", 3400)]
        {
            let histograms = host.histograms();
            let (_, samples) = histograms.iter().find(|(name, _)| name.ends_with(metric)).expect(metric);
            assert_eq!(*samples, (1, expected), "{metric}");
        }
    }

    #[test]
    fn the_root_id_tells_the_direction_or_else_the_listener() {
        for (root_id, listener, expected) in [
            ("stats_inbound", 2, "reporter=.=destination"),
            ("stats_outbound", 1, "reporter=.=source"),
            ("my_stats", 1, "reporter=.=destination"),
            ("my_stats", 2, "reporter=.=source"),
            ("", 0, "reporter=.=source"),
        ] {
            let mut host = mesh(root_id);
            host.with_int(property::LISTENER_DIRECTION, listener);
            stats(&host).on_log(&host);
            assert_eq!(reporters(&host), [expected], "{root_id} {listener}");
        }
    }

    #[test]
    fn the_build_is_reported_with_the_version_of_the_proxy() {
        let host = mesh("stats_inbound");
        stats(&host);
        assert_eq!(host.values().into_iter().collect::<Vec<_>>(), [("component.proxy.tag.1.5.0;.istio_build".into(), 1)]);
        let host = FakeHost::new();
        stats(&host);
        assert_eq!(host.values().into_keys().collect::<Vec<_>>(), ["component.proxy.tag.unknown;.istio_build"]);
    }

    /// Each host call crosses the sandbox: the numbers are a promise, kept in the README.
    #[test]
    fn a_warm_request_makes_at_most_this_many_host_calls() {
        for (root_id, expected) in [("stats_inbound", 15), ("stats_outbound", 14)] {
            let host = mesh(root_id);
            let mut stats = stats(&host);
            stats.on_log(&host);
            host.take_calls();
            stats.on_log(&host);
            assert_eq!(host.take_calls(), expected, "{root_id}");
        }
    }
}
