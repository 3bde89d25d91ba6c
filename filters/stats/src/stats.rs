//! The filter on one worker: finds the labels, then records.

use core::mem;
use core::time::Duration;

use collections::bounded::BoundedCache;
use configuration::{ConfigError, Problem};
use host::property;
use host::{Host, MetricKind, WarmCalls};
use labels::facts::{AlreadyRead, Facts, Protocol};
use labels::peer::Peer;
use labels::resolver::{Needs, Resolver};
use labels::response_flags::{self, Mark};
use labels::side::Side;
use labels::UNKNOWN;
use series::metric_name;

use crate::config::StatsConfig;
use crate::label_set::{LabelSet, StreamLabels};
use crate::labels::{of_flags, of_stream, owner};
use crate::measurement::{Family, Measured, Measurement};
use crate::recorder::{Recorder, SeriesId};
use crate::symbols::Symbols;

/// Host calls of a warm request with the standard metrics and labels, a known peer and mutual TLS.
pub const WARM_CALLS: WarmCalls = WarmCalls { inbound: 13, outbound: 13 };

/// Most requests' facts in the cache.
const MAX_FACTS: usize = 2_000;
/// Longer facts are not cached: clients choose the Host header.
const MAX_FACTS_BYTES: usize = 2_048;

/// Stats on one worker.
pub struct Stats {
    /// Time between two reports of a live stream.
    pub reporting_period: Duration,
    symbols: Symbols,
    resolver: Resolver,
    recorder: Recorder,
    seen: BoundedCache<Facts, Seen>,
    /// Makes every stream read its injected faults.
    _mark: Option<Mark>,
}

/// The cached result for a request's facts.
#[derive(Clone, Copy, Debug)]
struct Seen {
    labels: StreamLabels,
    /// The series, if the facts alone determine it.
    series: Option<SeriesId>,
}

impl Stats {
    /// Reads the configuration and this proxy's metadata, and sets `istio_build`. Call it while the plugin is configured.
    pub fn new(json: &[u8], host: &impl Host) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let config = StatsConfig::parse_with(json, &mut problems);
        let local = Peer::local(host, &[]);
        let stats = Self::of_config(&config, &local, host, &mut problems);
        ConfigError::unless_empty(problems)?;
        stats.declare(host, &local);
        Ok(stats)
    }

    /// Creates the filter from a parsed configuration. `local` is this proxy's metadata. Call it while the plugin is
    /// configured. The result is not usable if there are `problems`.
    #[inline(never)]
    pub fn of_config(config: &StatsConfig, local: &Peer, host: &impl Host, problems: &mut Vec<Problem>) -> Self {
        let mut symbols = Symbols::new(config.separators.clone(), config.max_series);
        let recorder = Recorder::new(config, host, &mut symbols, problems);
        let root_id = host.text(property::PLUGIN_ROOT_ID).unwrap_or_default();
        Self {
            reporting_period: config.tcp_reporting_duration,
            resolver: Resolver::new(local.clone(), &root_id, Needs::ALL, !config.disable_host_header_fallback),
            recorder,
            symbols,
            seen: BoundedCache::new(MAX_FACTS),
            _mark: config.fault_flags.then(Mark::new),
        }
    }

    /// Tells Envoy of the configured attributes, and sets `istio_build`. Call it once, while the plugin is configured.
    pub fn declare(&self, host: &impl Host, local: &Peer) {
        self.recorder.declare(host);
        set_build(host, &local.istio_version);
    }

    /// Clears what a configuration update may have changed: the services of clusters, and our certificates. Call it every
    /// reporting period.
    pub fn refresh(&mut self) {
        self.resolver.refresh();
        self.seen = BoundedCache::new(MAX_FACTS);
    }

    /// Reports the messages of a live gRPC request since the last time, once it is answered: before, its peer is not known.
    pub fn on_request_tick(&mut self, host: &impl Host, request: &mut ReportedRequest, before: AlreadyRead) {
        if self.recorder.only_tells()
            || self.recorder.needs_stream(Family::Messages, false)
            || host.int(property::RESPONSE_CODE).is_none()
        {
            return;
        }
        if let Some(messages) = messages(host) {
            let set = match request.messages_labels.take() {
                Some(set) => set,
                // The Host header cannot be read until the request ends.
                None if self.resolver.needs_host_header(host) => return,
                None => {
                    let facts = self.resolver.facts_of_request(host, before);
                    let labels = self.labels(host, &facts);
                    self.recorder.label_set(host, &mut self.symbols, Family::Messages, &labels)
                }
            };
            self.report_messages(host, request, set, messages);
        }
    }

    /// A request ends. `before` is what need not be asked for again.
    pub fn on_request_end(&mut self, host: &impl Host, request: &mut ReportedRequest, before: AlreadyRead) {
        self.on_request_end_telling(host, request, before, |_, _| ());
    }

    /// The same. Returns the facts, and the duration in nanoseconds if a metric needs it.
    pub fn on_request_end_telling(
        &mut self,
        host: &impl Host,
        request: &mut ReportedRequest,
        before: AlreadyRead,
        tell: impl FnOnce(&Facts, Option<u64>),
    ) {
        self.recorder.generate(host, &self.symbols);
        let facts = self.resolver.facts_of_request(host, before);
        let messages = if facts.protocol == Protocol::Grpc { messages(host) } else { None };
        let mut measured = self.measured(host);
        if let Some([requests, responses]) = messages.filter(|_| self.recorder.only_tells()) {
            measured.set(Measurement::RequestMessages, Some(requests).filter(|count| *count > 0));
            measured.set(Measurement::ResponseMessages, Some(responses).filter(|count| *count > 0));
        }
        tell(&facts, measured.get(Measurement::Duration));
        let labels = match self.seen.get(&facts) {
            Some(Seen { labels, series: Some(series) }) => {
                self.recorder.record_request(host, &self.symbols, series, &measured);
                labels
            }
            Some(Seen { labels, series: None }) => {
                self.record_request(host, &labels, &measured);
                labels
            }
            None => {
                let labels = self.labels(host, &facts);
                let series = self.record_request(host, &labels, &measured);
                let series = series.filter(|_| self.recorder.is_standard(Family::Request));
                if facts.own_len() <= MAX_FACTS_BYTES {
                    self.seen.insert(facts, Seen { labels, series });
                }
                labels
            }
        };
        if let Some(messages) = messages.filter(|_| !self.recorder.only_tells()) {
            let set = request
                .messages_labels
                .take()
                .unwrap_or_else(|| self.recorder.label_set(host, &mut self.symbols, Family::Messages, &labels));
            self.report_messages(host, request, set, messages);
        }
    }

    /// The measured values of a request. Reads only what a metric records.
    fn measured(&self, host: &impl Host) -> Measured {
        let read = |measurement, path| {
            let value = || u64::try_from(host.int(path)?).ok();
            (measurement, self.recorder.needs(measurement).then(value).flatten())
        };
        Measured::from([
            (Measurement::Requests, Some(1)),
            read(Measurement::Duration, property::REQUEST_DURATION),
            read(Measurement::RequestBytes, property::REQUEST_TOTAL_SIZE),
            read(Measurement::ResponseBytes, property::RESPONSE_TOTAL_SIZE),
        ])
    }

    /// The labels of the current stream with these facts.
    fn labels(&mut self, host: &impl Host, facts: &Facts) -> StreamLabels {
        let stream = self.resolver.resolve(host, facts);
        let owner = owner(&mut self.symbols, &stream);
        self.symbols.open(self.recorder.has_room(owner));
        StreamLabels { standard: of_stream(&mut self.symbols, &stream), owner }
    }

    fn record_request(&mut self, host: &impl Host, labels: &StreamLabels, measured: &Measured) -> Option<SeriesId> {
        let set = self.recorder.label_set(host, &mut self.symbols, Family::Request, labels);
        self.recorder.record(host, &self.symbols, &set, measured)
    }

    /// Reports the traffic of a live TCP connection since its last report.
    ///
    /// Until the peer is known, or known not to be, there is nothing to report it under. Metadata exchange says so with
    /// the first bytes; where none is attached, bytes are reported the second time that this comes up. Returns whether
    /// it has to be called again in a callback of the connection, because a label or a condition needs that.
    pub fn on_connection_tick(
        &mut self,
        host: &impl Host,
        connection: &mut ReportedConnection,
        within_tick: bool,
    ) -> bool {
        if self.recorder.only_tells() {
            // It is reported at its end, with the reports that it would have had.
            connection.due = connection.due.saturating_add(1);
            return false;
        }
        if connection.labels.is_none() || !connection.settled {
            let settled = self.peer_is_settled(host);
            if settled && !connection.settled {
                // Earlier reports without a known peer stay as they are. Later reports have this peer.
                connection.settled = true;
                connection.labels = None;
            } else if !settled && connection.labels.is_none() {
                let silent = connection.traffic == Traffic::default();
                if silent || !mem::replace(&mut connection.waited, true) {
                    return false;
                }
            }
        }
        if self.recorder.needs_stream(Family::Connection, connection.labels.is_some()) {
            if within_tick {
                connection.due = connection.due.saturating_add(1);
                return true;
            }
            self.recorder.generate(host, &self.symbols);
        }
        self.report(host, connection, false);
        false
    }

    /// Reports a TCP connection that ends.
    pub fn on_connection_end(&mut self, host: &impl Host, connection: &mut ReportedConnection) {
        if !connection.settled && self.peer_is_settled(host) {
            connection.labels = None;
        }
        self.recorder.generate(host, &self.symbols);
        self.report(host, connection, true);
    }

    fn report(&mut self, host: &impl Host, connection: &mut ReportedConnection, closed: bool) {
        let set = match &connection.labels {
            Some(set) => set.with_response_flags(of_flags(&mut self.symbols, response_flags::of_stream(host))),
            None => {
                let facts = self.resolver.facts_of_connection(host);
                let labels = self.labels(host, &facts);
                self.recorder.label_set(host, &mut self.symbols, Family::Connection, &labels)
            }
        };
        let opened = !mem::replace(&mut connection.opened, true);
        let traffic = mem::take(&mut connection.traffic);
        // Mixer's proxies reported a connection at its begin, at regular times, and at its end.
        let continued = mem::take(&mut connection.due).max(u64::from(!closed));
        let reports = continued.saturating_add(opened.into()).saturating_add(closed.into());
        let measured = counted([
            (Measurement::ConnectionsOpened, opened.into()),
            (Measurement::ReceivedBytes, traffic.received),
            (Measurement::SentBytes, traffic.sent),
            (Measurement::ConnectionsClosed, closed.into()),
            (Measurement::Reports, reports),
            (Measurement::Continuations, continued),
        ]);
        self.recorder.record(host, &self.symbols, &set, &measured);
        connection.labels = Some(set);
    }

    fn report_messages(&mut self, host: &impl Host, request: &mut ReportedRequest, set: LabelSet, messages: [u64; 2]) {
        let [requests, responses] = messages;
        let [reported_requests, reported_responses] = request.messages;
        let measured = counted([
            (Measurement::RequestMessages, requests.saturating_sub(reported_requests)),
            (Measurement::ResponseMessages, responses.saturating_sub(reported_responses)),
        ]);
        self.recorder.record(host, &self.symbols, &set, &measured);
        request.messages = messages;
        request.messages_labels = Some(set);
    }

    fn peer_is_settled(&self, host: &impl Host) -> bool {
        host.property(Side::of(self.resolver.direction(host)).peer_id).is_some()
    }
}

/// State of an HTTP request.
#[derive(Debug, Default)]
pub struct ReportedRequest {
    /// The gRPC messages that were reported: requests, responses.
    messages: [u64; 2],
    /// The labels of those reports.
    messages_labels: Option<LabelSet>,
}

/// State of a TCP connection.
#[derive(Debug, Default)]
pub struct ReportedConnection {
    /// What passed since the last report.
    pub traffic: Traffic,
    /// The labels of the last report.
    labels: Option<LabelSet>,
    /// Whether it was known if there is a peer when the labels were made.
    settled: bool,
    /// Whether it was reported as opened.
    opened: bool,
    /// Whether a report was skipped because the peer was not known.
    waited: bool,
    /// Reports that ticks left to a callback of the connection.
    due: u64,
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

/// Counts since the last report; `None` for zero.
fn counted<const N: usize>(counts: [(Measurement, u64); N]) -> Measured {
    Measured::from(counts.map(|(measurement, count)| (measurement, (count > 0).then_some(count))))
}

/// Sets `istio_build`, with the version as label.
fn set_build(host: &impl Host, version: &str) {
    let version = if version.is_empty() { UNKNOWN } else { version };
    let build = host.define_metric(MetricKind::Gauge, &metric_name::build(version));
    if let Err(error) = build.and_then(|id| host.record_metric(id, 1)) {
        log::warn!("stats: istio_build is not set: {error}");
    }
}

/// The messages of the current gRPC request so far: requests, responses. `None` for other requests.
fn messages(host: &impl Host) -> Option<[u64; 2]> {
    let text = host.text(property::GRPC_MESSAGES)?;
    let (requests, responses) = text.split_once(',')?;
    Some([requests.parse().ok()?, responses.parse().ok()?])
}

#[cfg(test)]
mod tests;
