//! The filter on one worker: labels, then records.

use core::mem;

use mesh_common::config::ConfigError;
use mesh_common::direction::Direction;
use mesh_common::host::{Host, MetricKind, WarmCalls};
use mesh_common::labels;
use mesh_common::metric_name;
use mesh_common::peer::Peer;
use mesh_common::property;

use crate::config::Config;
use crate::labels::Labeler;
use crate::metrics::Family;
use crate::recorder::{LabelSet, Recorder};
use crate::symbols::Symbols;

/// What a warm request takes: with the standard metrics and labels, a known peer and mutual TLS.
pub const WARM_CALLS: WarmCalls = WarmCalls { inbound: 15, outbound: 14 };

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
    pub fn new(config: &Config, host: &impl Host) -> Result<Self, ConfigError> {
        let mut symbols = Symbols::new(config.separators.clone(), config.max_series);
        let recorder = Recorder::new(config, host, &mut symbols)?;
        let version = match Peer::local(host, &[]).istio_version {
            version if version.is_empty() => labels::UNKNOWN.into(),
            version => version,
        };
        let build = host.define_metric(MetricKind::Gauge, &metric_name::build(&version));
        if let Err(error) = build.and_then(|id| host.record_metric(id, 1)) {
            log::warn!("stats: istio_build is not set: {error}");
        }
        let root_id = host.text(property::PLUGIN_ROOT_ID).unwrap_or_default();
        Ok(Self {
            direction: Direction::of_root_id(&root_id),
            labeler: Labeler::new(host, &mut symbols, !config.disable_host_header_fallback),
            recorder,
            symbols,
        })
    }

    /// Reports the messages of a live gRPC request since the last time, once it is answered: before, its peer is not known.
    pub fn on_request_tick(&mut self, host: &impl Host, request: &mut Request) {
        if self.recorder.needs_stream(Family::Messages) || host.int(property::RESPONSE_CODE).is_none() {
            return;
        }
        if let Some(messages) = messages(host) {
            let direction = self.direction(host);
            let set = match request.messages_labels.take() {
                Some(set) => set,
                // The Host header is gone until the request ends.
                None if self.labeler.needs_host_header(host, &mut self.symbols) => return,
                None => {
                    let labels = self.labeler.request(host, &mut self.symbols, direction);
                    self.recorder.label_set(host, &mut self.symbols, Family::Messages, &labels)
                }
            };
            self.report_messages(host, request, set, messages);
        }
    }

    /// A request ends.
    pub fn on_request_end(&mut self, host: &impl Host, request: &mut Request) {
        let direction = self.direction(host);
        let labels = self.labeler.request(host, &mut self.symbols, direction);
        let values = [
            Some(1),
            host.int(property::REQUEST_DURATION)
                .and_then(|duration| unsigned(duration.checked_div(NANOSECONDS_PER_MILLISECOND)?)),
            host.int(property::REQUEST_TOTAL_SIZE).and_then(unsigned),
            host.int(property::RESPONSE_TOTAL_SIZE).and_then(unsigned),
        ];
        let set = self.recorder.label_set(host, &mut self.symbols, Family::Request, &labels);
        self.recorder.record(host, &self.symbols, &set, &values);
        if self.labeler.is_grpc(&labels) {
            if let Some(messages) = messages(host) {
                let set = request
                    .messages_labels
                    .take()
                    .unwrap_or_else(|| self.recorder.label_set(host, &mut self.symbols, Family::Messages, &labels));
                self.report_messages(host, request, set, messages);
            }
        }
    }

    /// Reports what passed through a live TCP connection since the last time.
    ///
    /// Until the peer is known, or known not to be, there is nothing to report it under. Metadata exchange says so with
    /// the first bytes; where none is attached, bytes are reported the second time that this comes up. Returns whether
    /// it has to be called again in a callback of the connection, because a label needs that.
    pub fn on_connection_tick(&mut self, host: &impl Host, connection: &mut Connection, within_tick: bool) -> bool {
        if connection.labels.is_none() || !connection.settled {
            let settled = self.peer_is_settled(host);
            if settled && !connection.settled {
                // What was reported under a peer that was not known yet stays; what comes is reported under this one.
                connection.settled = true;
                connection.labels = None;
            } else if !settled && connection.labels.is_none() {
                let silent = connection.traffic == Traffic::default();
                if silent || !mem::replace(&mut connection.waited, true) {
                    return false;
                }
            }
            if within_tick && connection.labels.is_none() && self.recorder.needs_stream(Family::Connection) {
                return true;
            }
        }
        self.report(host, connection, false);
        false
    }

    /// Reports a TCP connection that ends.
    pub fn on_connection_end(&mut self, host: &impl Host, connection: &mut Connection) {
        self.report(host, connection, true);
    }

    fn report(&mut self, host: &impl Host, connection: &mut Connection, closed: bool) {
        let set = match &connection.labels {
            Some(set) => set.with_response_flags(self.labeler.response_flags(host, &mut self.symbols)),
            None => {
                let direction = self.direction(host);
                let labels = self.labeler.connection(host, &mut self.symbols, direction);
                self.recorder.label_set(host, &mut self.symbols, Family::Connection, &labels)
            }
        };
        let opened = !mem::replace(&mut connection.opened, true);
        let traffic = mem::take(&mut connection.traffic);
        let values = [u64::from(opened), traffic.received, traffic.sent, u64::from(closed)];
        self.recorder.record(host, &self.symbols, &set, &values.map(|value| (value > 0).then_some(value)));
        connection.labels = Some(set);
    }

    fn report_messages(&mut self, host: &impl Host, request: &mut Request, set: LabelSet, messages: [u64; 2]) {
        let [requests, responses] = messages;
        let [reported_requests, reported_responses] = request.messages;
        let values = [requests.saturating_sub(reported_requests), responses.saturating_sub(reported_responses)];
        self.recorder.record(host, &self.symbols, &set, &values.map(|value| (value > 0).then_some(value)));
        request.messages = messages;
        request.messages_labels = Some(set);
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

/// What is remembered of an HTTP request.
#[derive(Debug, Default)]
pub struct Request {
    /// The gRPC messages that were reported: requests, responses.
    messages: [u64; 2],
    /// The labels under which they were.
    messages_labels: Option<LabelSet>,
}

/// What is remembered of a TCP connection.
#[derive(Debug, Default)]
pub struct Connection {
    /// What passed since the last report.
    pub traffic: Traffic,
    /// The labels of the last report.
    labels: Option<LabelSet>,
    /// Whether the labels were made when it was known whether there is a peer.
    settled: bool,
    /// Whether it was reported as opened.
    opened: bool,
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

/// The messages of the current gRPC request so far: requests, responses. `None` for other requests.
fn messages(host: &impl Host) -> Option<[u64; 2]> {
    let text = host.text(property::GRPC_MESSAGES)?;
    let (requests, responses) = text.split_once(',')?;
    Some([requests.parse().ok()?, responses.parse().ok()?])
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
        Stats::new(&config, host).expect("compiles")
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
        stats(&host).on_request_end(&host, &mut Request::default());
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
            stats(&host).on_request_end(&host, &mut Request::default());
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

    #[test]
    fn a_warm_request_makes_as_many_host_calls_as_stated() {
        for (root_id, expected) in [("stats_inbound", WARM_CALLS.inbound), ("stats_outbound", WARM_CALLS.outbound)] {
            let host = mesh(root_id);
            let mut stats = stats(&host);
            stats.on_request_end(&host, &mut Request::default());
            host.take_calls();
            stats.on_request_end(&host, &mut Request::default());
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
            stats.on_connection_tick(&host, &mut connection, true);
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
        stats.on_connection_tick(&host, &mut connection, true);
        assert_eq!(counted(&host), []);
        stats.on_connection_tick(&host, &mut connection, true);
        assert_eq!(counted(&host).len(), 3);
    }

    #[test]
    fn a_connection_that_is_idle_at_first_gets_the_labels_of_its_peer() {
        let peer = mesh("").state_of("downstream_peer").expect("a peer");
        let mut host = mesh("stats_inbound");
        host.without_state("downstream_peer");
        let mut stats = stats(&host);
        let mut connection = Connection::default();
        for _ in 0..5 {
            stats.on_connection_tick(&host, &mut connection, true);
        }
        assert_eq!(counted(&host), []);
        passed(&mut connection, 5, 5);
        host.with_text(property::DOWNSTREAM_PEER_ID, "productpage").with_state("downstream_peer", &peer);
        stats.on_connection_tick(&host, &mut connection, true);
        let names: Vec<String> = host.values().into_keys().filter(|name| name.contains("istio_tcp_")).collect();
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|name| name.contains("source_workload=.=productpage-v1;.;")), "{names:?}");
    }

    #[test]
    fn a_peer_that_introduces_itself_late_is_known_from_then_on() {
        let peer = mesh("").state_of("downstream_peer").expect("a peer");
        let mut host = mesh("stats_inbound");
        host.without_state("downstream_peer");
        let mut stats = stats(&host);
        let mut connection = Connection::default();
        for _ in 0..2 {
            passed(&mut connection, 0, 5);
            stats.on_connection_tick(&host, &mut connection, true);
        }
        host.with_text(property::DOWNSTREAM_PEER_ID, "productpage").with_state("downstream_peer", &peer);
        passed(&mut connection, 7, 0);
        stats.on_connection_tick(&host, &mut connection, true);
        stats.on_connection_end(&host, &mut connection);
        let values = host.values();
        let value = |workload: &str, metric: &str| {
            let matching =
                |name: &&String| name.contains(&format!("source_workload=.={workload};")) && name.ends_with(metric);
            values.keys().find(matching).and_then(|name| values.get(name)).copied()
        };
        assert_eq!(value("unknown", "opened_total"), Some(1));
        assert_eq!(value("unknown", "sent_bytes_total"), Some(10));
        assert_eq!(value("productpage-v1", "opened_total"), None, "opened once");
        assert_eq!(value("productpage-v1", "received_bytes_total"), Some(7));
        assert_eq!(value("productpage-v1", "closed_total"), Some(1));
    }

    #[test]
    fn messages_of_a_live_grpc_request_are_reported_as_they_come() {
        let mut host = mesh("stats_inbound");
        host.with_header(mesh_common::host::HeaderMap::Request, "content-type", "application/grpc");
        let mut stats = stats(&host);
        let mut request = Request::default();
        for messages in ["1,0", "1,3", "2,5"] {
            host.with_text(property::GRPC_MESSAGES, messages);
            stats.on_request_tick(&host, &mut request);
        }
        host.with_text(property::GRPC_MESSAGES, "2,6");
        stats.on_request_end(&host, &mut request);
        let values: Vec<(String, u64)> =
            host.values().into_iter().filter(|(name, _)| name.ends_with("_messages_total")).collect();
        let ends: Vec<(&str, u64)> =
            values.iter().map(|(name, value)| (name.rsplit(";.;").next().unwrap_or_default(), *value)).collect();
        assert_eq!(ends, [("istio_request_messages_total", 2), ("istio_response_messages_total", 6)]);
    }

    #[test]
    fn messages_whose_labels_need_what_is_gone_are_reported_at_the_end() {
        let mut host = mesh("stats_outbound");
        host.without(property::CLUSTER_NAME).with_text(property::GRPC_MESSAGES, "1,3");
        host.with_header(mesh_common::host::HeaderMap::Request, "content-type", "application/grpc");
        let mut stats = Stats::new(&Config::parse(b"{}").expect("valid"), &host).expect("compiles");
        let mut request = Request::default();
        stats.on_request_tick(&host, &mut request);
        assert!(!host.values().keys().any(|name| name.ends_with("_messages_total")));
        host.with_text(property::REQUEST_HOST, "reviews.example:9080");
        stats.on_request_end(&host, &mut request);
        let messages: Vec<String> =
            host.values().into_keys().filter(|name| name.ends_with("_messages_total")).collect();
        assert_eq!(messages.len(), 2);
        assert!(
            messages.iter().all(|name| name.contains("destination_service=.=reviews.example:9080;")),
            "{messages:?}"
        );
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
        stats.on_connection_tick(&host, &mut connection, true);
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
