//! Labels become Envoy's metrics, each label set once.
//!
//! Envoy cannot forget a metric that a module defined, and defining one is a thousand times dearer than using it. So
//! the metrics of a label set are defined at its first request and found by one lookup from then on, and there is an
//! end to how many label sets one worker defines.

use hashbrown::HashMap;
use mesh_common::host::{Host, HostError, MetricId, MetricKind};
use mesh_common::labels::{self, Labels};
use mesh_common::metric_name;

use crate::symbols::{Symbol, Symbols};

/// Metrics that are recorded together, with the same labels.
#[derive(Debug)]
pub struct Family {
    metrics: [(&'static str, MetricKind); METRICS],
    /// The metrics have the first this many labels.
    labels: usize,
}

/// How many metrics a family has.
pub const METRICS: usize = 4;

/// What to record for each metric of a family; nothing is not recorded, and a metric without records not defined.
pub type Values = [Option<u64>; METRICS];

/// The metrics of HTTP and gRPC requests.
pub const REQUEST: Family = Family {
    metrics: [
        ("istio_requests_total", MetricKind::Counter),
        ("istio_request_duration_milliseconds", MetricKind::Histogram),
        ("istio_request_bytes", MetricKind::Histogram),
        ("istio_response_bytes", MetricKind::Histogram),
    ],
    labels: labels::COUNT,
};

/// The metrics of TCP connections.
pub const CONNECTION: Family = Family {
    metrics: [
        ("istio_tcp_connections_opened_total", MetricKind::Counter),
        ("istio_tcp_received_bytes_total", MetricKind::Counter),
        ("istio_tcp_sent_bytes_total", MetricKind::Counter),
        ("istio_tcp_connections_closed_total", MetricKind::Counter),
    ],
    labels: labels::TCP_COUNT,
};

/// Counts the records whose label sets were too many to tell apart.
const OVERFLOW_METRIC: &str = "stats_overflow_total";

/// A metric of one label set.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Undefined,
    Defined(MetricId),
    /// Envoy did not define it; it is not asked again.
    Refused,
}

/// The metrics that this worker has defined.
pub struct Recorder {
    /// By label set; those of one family never equal those of another, for the protocol is among them.
    series: HashMap<Labels<Symbol>, [Slot; METRICS]>,
    max_label_sets: usize,
    overflow: Option<MetricId>,
}

impl Recorder {
    /// A recorder that defines about `max_series` metrics at most.
    pub fn new(max_series: usize) -> Self {
        Self { series: HashMap::new(), max_label_sets: max_series.div_ceil(METRICS), overflow: None }
    }

    /// Records values of one label set.
    pub fn record(
        &mut self,
        host: &impl Host,
        symbols: &Symbols,
        family: &Family,
        labels: &Labels<Symbol>,
        values: Values,
    ) {
        if self.series.len() >= self.max_label_sets && !self.series.contains_key(labels) {
            self.count_overflow(host);
            self.record_series(host, symbols, family, &fold(labels), values);
        } else {
            self.record_series(host, symbols, family, labels, values);
        }
    }

    fn record_series(
        &mut self,
        host: &impl Host,
        symbols: &Symbols,
        family: &Family,
        labels: &Labels<Symbol>,
        values: Values,
    ) {
        let series = self.series.entry(*labels).or_insert([Slot::Undefined; METRICS]);
        for ((slot, value), (metric, kind)) in series.iter_mut().zip(values).zip(family.metrics) {
            let Some(value) = value else {
                continue;
            };
            if let Slot::Undefined = slot {
                let pairs = labels.pairs().into_iter().take(family.labels);
                let name = metric_name::encode(pairs.map(|(label, symbol)| (label, symbols.text(symbol))), metric);
                *slot = define(host, kind, &name).map_or(Slot::Refused, Slot::Defined);
            }
            if let Slot::Defined(id) = *slot {
                // With an id that Envoy gave, this cannot fail.
                let _ = host.record_metric(id, value);
            }
        }
    }

    fn count_overflow(&mut self, host: &impl Host) {
        if self.overflow.is_none() {
            self.overflow = define(host, MetricKind::Counter, OVERFLOW_METRIC);
            log::warn!(
                "stats: this worker tells {} label sets apart, further ones are counted with labels \"overflow\" \
                 (max_series)",
                self.max_label_sets
            );
        }
        if let Some(id) = self.overflow {
            let _ = host.increment_metric(id, 1);
        }
    }
}

/// The label set under which all those are counted that are too many: what remains cannot be many.
fn fold(labels: &Labels<Symbol>) -> Labels<Symbol> {
    Labels { reporter: labels.reporter, request_protocol: labels.request_protocol, ..Labels::all(Symbol::OVERFLOW) }
}

fn define(host: &impl Host, kind: MetricKind, name: &str) -> Option<MetricId> {
    let id = host.define_metric(kind, name);
    id.inspect_err(|error: &HostError| log::warn!("stats: {name} not defined: {error}")).ok()
}

#[cfg(test)]
mod tests {
    use mesh_common::fake::FakeHost;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn labels_of(symbols: &mut Symbols, source_app: &str) -> Labels<Symbol> {
        let mut labels = Labels { reporter: symbols.of("source"), ..Labels::default() };
        labels.source.app = symbols.of(source_app);
        labels
    }

    const VALUES: Values = [Some(1), Some(7), Some(100), Some(1000)];

    #[test]
    fn a_label_set_is_defined_once_and_recorded_each_time() {
        let (host, mut symbols, mut recorder) = (FakeHost::new(), Symbols::default(), Recorder::new(100));
        for _ in 0..3 {
            for app in ["a", "b"] {
                let labels = labels_of(&mut symbols, app);
                recorder.record(&host, &symbols, &REQUEST, &labels, VALUES);
            }
        }
        assert_eq!(host.defined(), 2 * METRICS);
        let values: Vec<u64> = host.values().into_values().collect();
        assert_eq!(values, [3, 3]);
        for (metric, expected) in
            [("istio_request_duration_milliseconds", 21), ("istio_request_bytes", 300), ("istio_response_bytes", 3000)]
        {
            let samples: Vec<(u64, u64)> = host
                .histograms()
                .into_iter()
                .filter(|(name, _)| name.ends_with(metric))
                .map(|(_, value)| value)
                .collect();
            assert_eq!(samples, [(3, expected), (3, expected)], "{metric}");
        }
    }

    #[test]
    fn what_was_not_measured_is_neither_recorded_nor_defined() {
        let (host, mut symbols, mut recorder) = (FakeHost::new(), Symbols::default(), Recorder::new(100));
        let labels = labels_of(&mut symbols, "a");
        recorder.record(&host, &symbols, &REQUEST, &labels, [Some(1), None, None, None]);
        assert_eq!(host.values().into_values().collect::<Vec<_>>(), [1]);
        assert_eq!(host.histograms().len(), 0);
        assert_eq!(host.defined(), 1);
    }

    #[test]
    fn label_sets_beyond_the_cap_are_counted_together_and_none_is_lost() {
        let (host, mut symbols, mut recorder) = (FakeHost::new(), Symbols::default(), Recorder::new(40));
        for index in 0..1000 {
            let labels = labels_of(&mut symbols, &format!("app-{index}"));
            recorder.record(&host, &symbols, &REQUEST, &labels, VALUES);
        }
        let values = host.values();
        let requests = |part: &str| -> u64 {
            let matching = values.iter().filter(|(name, _)| name.ends_with("requests_total") && name.contains(part));
            matching.map(|(_, value)| value).sum()
        };
        assert_eq!(requests(""), 1000);
        assert_eq!(requests("source_app=.=overflow;"), 990);
        assert_eq!(requests("reporter=.=source;"), 1000);
        assert_eq!(values.get(OVERFLOW_METRIC), Some(&990));
        assert_eq!(host.defined(), 40 + METRICS + 1);
    }

    #[test]
    fn names_hold_every_label_in_order() {
        let (host, mut symbols, mut recorder) = (FakeHost::new(), Symbols::default(), Recorder::new(100));
        let labels = labels_of(&mut symbols, "a");
        recorder.record(&host, &symbols, &REQUEST, &labels, VALUES);
        let name = host.values().into_keys().next().expect("defined");
        let fields: Vec<&str> = name.split(";.;").collect();
        let names: Vec<&str> = fields.iter().map(|field| field.split("=.=").next().unwrap_or_default()).collect();
        assert_eq!(names[..names.len() - 1], mesh_common::labels::names());
        assert_eq!(names.last(), Some(&"istio_requests_total"));
    }

    #[test]
    fn connections_have_no_code_and_no_grpc_status() {
        let (host, mut symbols, mut recorder) = (FakeHost::new(), Symbols::default(), Recorder::new(100));
        let labels = labels_of(&mut symbols, "a");
        recorder.record(&host, &symbols, &CONNECTION, &labels, [Some(1), None, None, None]);
        let name = host.values().into_keys().next().expect("defined");
        assert!(
            name.ends_with(";.;connection_security_policy=.=unknown;.;istio_tcp_connections_opened_total"),
            "{name}"
        );
    }
}
