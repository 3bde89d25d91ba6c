//! Labels become Envoy's metrics, each label set once.
//!
//! Envoy cannot forget a metric that a module defined, and defining one is a thousand times dearer than using it. So
//! the metrics of a label set are defined at its first request and found by one lookup from then on, and there is an
//! end to how many label sets one worker defines.

use hashbrown::HashMap;
use mesh_common::host::{Host, HostError, MetricId, MetricKind};
use mesh_common::labels::Labels;
use mesh_common::metric_name;

use crate::symbols::{Symbol, Symbols};

/// The standard metrics of HTTP and gRPC requests, with what each records.
const METRICS: [Metric; 4] = [
    Metric { name: "istio_requests_total", kind: MetricKind::Counter, value: |_| Some(1) },
    Metric {
        name: "istio_request_duration_milliseconds",
        kind: MetricKind::Histogram,
        value: |request| request.duration_milliseconds,
    },
    Metric { name: "istio_request_bytes", kind: MetricKind::Histogram, value: |request| request.request_bytes },
    Metric { name: "istio_response_bytes", kind: MetricKind::Histogram, value: |request| request.response_bytes },
];

/// Counts the requests whose label sets were too many to tell apart.
const OVERFLOW_METRIC: &str = "stats_overflow_total";

struct Metric {
    name: &'static str,
    kind: MetricKind,
    value: fn(&Measured) -> Option<u64>,
}

/// What was measured of a request; `None` is not recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// From the first byte received to the last byte sent.
    pub duration_milliseconds: Option<u64>,
    /// Headers, body and trailers received.
    pub request_bytes: Option<u64>,
    /// Headers, body and trailers sent.
    pub response_bytes: Option<u64>,
}

/// The metrics of one label set; `None` is one that Envoy did not define.
type Series = [Option<MetricId>; METRICS.len()];

/// The metrics that this worker has defined.
pub struct Recorder {
    series: HashMap<Labels<Symbol>, Series>,
    max_label_sets: usize,
    overflow: Option<MetricId>,
}

impl Recorder {
    /// A recorder that defines about `max_series` metrics at most.
    pub fn new(max_series: usize) -> Self {
        Self { series: HashMap::new(), max_label_sets: max_series.div_ceil(METRICS.len()), overflow: None }
    }

    /// Records a request.
    pub fn record(&mut self, host: &impl Host, symbols: &Symbols, labels: &Labels<Symbol>, measured: &Measured) {
        let series = match self.series.get(labels) {
            Some(series) => *series,
            None => self.define(host, symbols, labels),
        };
        for (metric, id) in METRICS.iter().zip(series) {
            if let (Some(id), Some(value)) = (id, (metric.value)(measured)) {
                // With an id that Envoy gave, this cannot fail.
                let _ = host.record_metric(id, value);
            }
        }
    }

    fn define(&mut self, host: &impl Host, symbols: &Symbols, labels: &Labels<Symbol>) -> Series {
        if self.series.len() < self.max_label_sets {
            return self.define_series(host, symbols, labels);
        }
        self.count_overflow(host);
        let folded = fold(labels);
        match self.series.get(&folded) {
            Some(series) => *series,
            None => self.define_series(host, symbols, &folded),
        }
    }

    fn define_series(&mut self, host: &impl Host, symbols: &Symbols, labels: &Labels<Symbol>) -> Series {
        let pairs = labels.pairs().map(|(label, symbol)| (label, symbols.text(symbol)));
        let series = METRICS
            .each_ref()
            .map(|metric| define(host, metric.kind, &metric_name::encode(pairs.iter().copied(), metric.name)));
        self.series.insert(*labels, series);
        series
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
    Labels {
        reporter: labels.reporter,
        request_protocol: labels.request_protocol,
        ..Labels::all(Symbol::OVERFLOW)
    }
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

    fn labels(symbols: &mut Symbols, source_app: &str) -> Labels<Symbol> {
        let mut labels = Labels { reporter: symbols.of("source"), ..Labels::default() };
        labels.source.app = symbols.of(source_app);
        labels
    }

    const MEASURED: Measured =
        Measured { duration_milliseconds: Some(7), request_bytes: Some(100), response_bytes: Some(1000) };

    #[test]
    fn a_label_set_is_defined_once_and_recorded_each_time() {
        let (host, mut symbols, mut recorder) = (FakeHost::new(), Symbols::default(), Recorder::new(100));
        for _ in 0..3 {
            for app in ["a", "b"] {
                let labels = labels(&mut symbols, app);
                recorder.record(&host, &symbols, &labels, &MEASURED);
            }
        }
        assert_eq!(host.defined(), 2 * METRICS.len());
        let values: Vec<u64> = host.values().into_values().collect();
        assert_eq!(values, [3, 3]);
        for (metric, expected) in
            [("istio_request_duration_milliseconds", 21), ("istio_request_bytes", 300), ("istio_response_bytes", 3000)]
        {
            let samples: Vec<(u64, u64)> =
                host.histograms().into_iter().filter(|(name, _)| name.ends_with(metric)).map(|(_, value)| value).collect();
            assert_eq!(samples, [(3, expected), (3, expected)], "{metric}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_recorded() {
        let (host, mut symbols, mut recorder) = (FakeHost::new(), Symbols::default(), Recorder::new(100));
        let labels = labels(&mut symbols, "a");
        recorder.record(&host, &symbols, &labels, &Measured::default());
        assert_eq!(host.values().into_values().collect::<Vec<_>>(), [1]);
        assert!(host.histograms().into_values().all(|samples| samples == (0, 0)));
    }

    #[test]
    fn label_sets_beyond_the_cap_are_counted_together_and_none_is_lost() {
        let (host, mut symbols, mut recorder) = (FakeHost::new(), Symbols::default(), Recorder::new(40));
        for index in 0..1000 {
            let labels = labels(&mut symbols, &format!("app-{index}"));
            recorder.record(&host, &symbols, &labels, &MEASURED);
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
        assert_eq!(host.defined(), 40 + METRICS.len() + 1);
    }

    #[test]
    fn names_hold_every_label_in_order() {
        let (host, mut symbols, mut recorder) = (FakeHost::new(), Symbols::default(), Recorder::new(100));
        let labels = labels(&mut symbols, "a");
        recorder.record(&host, &symbols, &labels, &MEASURED);
        let name = host.values().into_keys().next().expect("defined");
        let fields: Vec<&str> = name.split(";.;").collect();
        let names: Vec<&str> = fields.iter().map(|field| field.split("=.=").next().unwrap_or_default()).collect();
        assert_eq!(names[..names.len() - 1], mesh_common::labels::names());
        assert_eq!(names.last(), Some(&"istio_requests_total"));
    }
}
