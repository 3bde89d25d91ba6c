//! The filter on one worker: labels, then records.

use core::mem;

use mesh_common::direction::Direction;
use mesh_common::host::{Host, MetricKind};
use mesh_common::labels::{self, Labels};
use mesh_common::metric_name;
use mesh_common::peer::Peer;
use mesh_common::property;

use crate::config::Config;
use crate::labels::Labeler;
use crate::recorder::{Recorder, CONNECTION, REQUEST};
use crate::symbols::{Symbol, Symbols};

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
            version if version.is_empty() => labels::UNKNOWN.into(),
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

    /// A request ends.
    pub fn on_request_end(&mut self, host: &impl Host) {
        let direction = self.direction(host);
        let labels = self.labeler.request(host, &mut self.symbols, direction);
        let values = [
            Some(1),
            host.int(property::REQUEST_DURATION)
                .and_then(|duration| unsigned(duration.checked_div(NANOSECONDS_PER_MILLISECOND)?)),
            host.int(property::REQUEST_TOTAL_SIZE).and_then(unsigned),
            host.int(property::RESPONSE_TOTAL_SIZE).and_then(unsigned),
        ];
        self.recorder.record(host, &self.symbols, &REQUEST, &labels, values);
    }

    /// Reports what passed through a live TCP connection since the last time.
    ///
    /// Until the peer is known, or known not to be, there is nothing to report it under; so the first time that this
    /// comes up, it is left for the next time.
    pub fn on_connection_tick(&mut self, host: &impl Host, connection: &mut Connection) {
        if connection.labels.is_none() && !connection.waited && !self.peer_is_settled(host) {
            connection.waited = true;
            return;
        }
        self.report(host, connection, false);
    }

    /// Reports a TCP connection that ends.
    pub fn on_connection_end(&mut self, host: &impl Host, connection: &mut Connection) {
        self.report(host, connection, true);
    }

    fn report(&mut self, host: &impl Host, connection: &mut Connection, closed: bool) {
        let labels = match connection.labels {
            Some(labels) => Labels { response_flags: self.labeler.response_flags(host, &mut self.symbols), ..labels },
            None => {
                let direction = self.direction(host);
                self.labeler.connection(host, &mut self.symbols, direction)
            }
        };
        let opened = connection.labels.is_none();
        connection.labels = Some(labels);
        let traffic = mem::take(&mut connection.traffic);
        let values = [u64::from(opened), traffic.received, traffic.sent, u64::from(closed)];
        let values = values.map(|value| (value > 0).then_some(value));
        self.recorder.record(host, &self.symbols, &CONNECTION, &labels, values);
    }

    fn peer_is_settled(&self, host: &impl Host) -> bool {
        let id = match self.direction(host) {
            Direction::Inbound => property::DOWNSTREAM_PEER_ID,
            Direction::Outbound => property::UPSTREAM_PEER_ID,
        };
        host.property(id).is_some()
    }

    fn direction(&self, host: &impl Host) -> Direction {
        self.direction.unwrap_or_else(|| Direction::of_listener(host))
    }
}

/// What is remembered of a TCP connection.
#[derive(Debug, Default)]
pub struct Connection {
    /// What passed since the last report.
    pub traffic: Traffic,
    /// The labels since the first report.
    labels: Option<Labels<Symbol>>,
    /// Whether a report was left out because the peer was not known.
    waited: bool,
}

/// Bytes through a TCP connection, as seen from the downstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received from the downstream.
    pub received: u64,
    /// Sent to the downstream.
    pub sent: u64,
}

impl Traffic {
    /// Counts bytes from the downstream.
    pub fn receive(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(bytes as u64);
    }

    /// Counts bytes to the downstream.
    pub fn send(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes as u64);
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
        let config = Config::parse(br#"{"disable_host_header_fallback": true}"#).expect("valid");
        Stats::new(&config, host)
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
        stats(&host).on_request_end(&host);
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
            stats(&host).on_request_end(&host);
            assert_eq!(reporters(&host), [expected], "{root_id} {listener}");
        }
    }

    #[test]
    fn the_build_is_reported_with_the_version_of_the_proxy() {
        let host = mesh("stats_inbound");
        stats(&host);
        assert_eq!(
            host.values().into_iter().collect::<Vec<_>>(),
            [("component.proxy.tag.1.5.0;.istio_build".into(), 1)]
        );
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
            stats.on_request_end(&host);
            host.take_calls();
            stats.on_request_end(&host);
            assert_eq!(host.take_calls(), expected, "{root_id}");
        }
    }

    fn counted(host: &FakeHost) -> Vec<(String, u64)> {
        let short = |name: String| name.rsplit(";.;istio_tcp_").next().map(String::from);
        let values = host.values().into_iter().filter(|(name, _)| name.contains("istio_tcp_"));
        values.filter_map(|(name, value)| Some((short(name)?, value))).collect()
    }

    fn passed(connection: &mut Connection, received: usize, sent: usize) {
        connection.traffic.receive(received);
        connection.traffic.send(sent);
    }

    #[test]
    fn a_long_connection_is_seen_while_it_lives_and_exact_at_its_end() {
        let mut host = mesh("stats_inbound");
        host.with_text(property::DOWNSTREAM_PEER_ID, "productpage");
        let mut stats = stats(&host);
        let mut connection = Connection::default();
        for (received, sent) in [(5, 20), (0, 0), (7, 30)] {
            passed(&mut connection, received, sent);
            stats.on_connection_tick(&host, &mut connection);
        }
        let live = [("connections_opened_total", 1), ("received_bytes_total", 12), ("sent_bytes_total", 50)];
        assert_eq!(counted(&host), live.map(|(name, value)| (name.to_string(), value)));
        passed(&mut connection, 1, 0);
        stats.on_connection_end(&host, &mut connection);
        let all = [
            ("connections_closed_total", 1),
            ("connections_opened_total", 1),
            ("received_bytes_total", 13),
            ("sent_bytes_total", 50),
        ];
        assert_eq!(counted(&host), all.map(|(name, value)| (name.to_string(), value)));
    }

    #[test]
    fn a_connection_without_a_known_peer_waits_one_report() {
        let mut host = mesh("stats_inbound");
        host.without_state("downstream_peer");
        let mut stats = stats(&host);
        let mut connection = Connection::default();
        passed(&mut connection, 5, 5);
        stats.on_connection_tick(&host, &mut connection);
        assert_eq!(counted(&host), []);
        stats.on_connection_tick(&host, &mut connection);
        assert_eq!(counted(&host).len(), 3);
    }

    #[test]
    fn a_silent_connection_has_no_series_of_bytes() {
        let host = mesh("stats_outbound");
        let mut connection = Connection::default();
        stats(&host).on_connection_end(&host, &mut connection);
        let expected = [("connections_closed_total", 1), ("connections_opened_total", 1)];
        assert_eq!(counted(&host), expected.map(|(name, value)| (name.to_string(), value)));
    }

    #[test]
    fn a_connection_has_the_flags_of_the_moment_and_the_labels_of_its_first_report() {
        let mut host = mesh("stats_inbound");
        host.with_text(property::DOWNSTREAM_PEER_ID, "productpage");
        let mut stats = stats(&host);
        let mut connection = Connection::default();
        stats.on_connection_tick(&host, &mut connection);
        host.with_int(property::RESPONSE_FLAGS, 0x20).without_state("downstream_peer");
        stats.on_connection_end(&host, &mut connection);
        let names: Vec<String> = host.values().into_keys().filter(|name| name.contains("istio_tcp_")).collect();
        assert_eq!(names.len(), 2);
        for name in names {
            let flags = if name.ends_with("opened_total") { "-" } else { "UF" };
            assert!(name.contains(&format!(";.;response_flags=.={flags};.;")), "{name}");
            assert!(name.contains("source_workload=.=productpage-v1;.;"), "{name}");
            assert!(name.contains("request_protocol=.=tcp;.;"), "{name}");
        }
    }
}
