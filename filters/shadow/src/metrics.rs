//! The metrics of shadowing, by mirror.

use host::{Host, MetricId, MetricKind};
use series::metric_name::{self, Separators};

/// Copies sent to a mirror.
pub const REQUESTS: &str = "shadow_requests_total";
/// Requests selected for a mirror but not mirrored, by the reason.
pub const SKIPPED: &str = "shadow_skipped_total";
/// Copies that Envoy refused to send, by the reason.
pub const DISPATCH_FAILED: &str = "shadow_dispatch_failed_total";
/// Sent copies, by the class of their answer, or the reason why there is none.
pub const RESPONSES: &str = "shadow_responses_total";
/// Compared pairs, by result.
pub const COMPARE: &str = "shadow_compare_total";
/// Comparisons left out, completely or in part, by the reason.
pub const UNCOMPARED: &str = "shadow_uncompared_total";
/// Compared pairs, by the classes of both statuses: the original's first.
pub const STATUS_PAIRS: &str = "shadow_status_pairs_total";
/// Pairs with two answers of upstreams, by which one was slower.
pub const LATENCY: &str = "shadow_latency_total";
/// Latency of the mirror's upstream in such a pair.
pub const SHADOW_LATENCY: &str = "shadow_latency_ms";
/// Latency of the original's upstream in such a pair.
pub const PRIMARY_LATENCY: &str = "shadow_primary_latency_ms";
/// Copies whose trailers were left out.
pub const TRAILERS_DROPPED: &str = "shadow_trailers_dropped_total";
/// Copies that wait for an answer.
pub const IN_FLIGHT: &str = "shadow_in_flight";
/// Bytes of copies: held here until they are sent, then by Envoy until they are answered.
pub const BUFFERED: &str = "shadow_buffered_bytes";

/// All metrics, with their labels. These have few names, because each takes an expression in the bootstrap.
pub const METRICS: [(&str, &[&str]); 13] = [
    (REQUESTS, &["mirror"]),
    (SKIPPED, &["mirror", "result"]),
    (DISPATCH_FAILED, &["mirror", "result"]),
    (RESPONSES, &["mirror", "result"]),
    (COMPARE, &["mirror", "role", "result"]),
    (UNCOMPARED, &["mirror", "result"]),
    (STATUS_PAIRS, &["mirror", "result"]),
    (LATENCY, &["mirror", "result"]),
    (SHADOW_LATENCY, &["mirror"]),
    (PRIMARY_LATENCY, &["mirror"]),
    (TRAILERS_DROPPED, &["mirror"]),
    (IN_FLIGHT, &[]),
    (BUFFERED, &[]),
];

/// Why a request was not mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Its body is larger than the mirror's limit.
    BodyTooLarge,
    /// The limit of held bytes is reached.
    MemoryCap,
    /// The limit of copies in flight is reached.
    InFlightCap,
    /// The mirror's rate limit is reached.
    RateCap,
    /// It is a tunnel.
    Upgrade,
    /// It is a copy already.
    Loop,
    /// It ended before it was complete.
    Incomplete,
    /// No upstream answered the original, and the mirror waits for such an answer.
    PrimaryUnavailable,
    /// The configuration was replaced before the copy was sent.
    Cancelled,
}

impl Skip {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::BodyTooLarge,
        Self::MemoryCap,
        Self::InFlightCap,
        Self::RateCap,
        Self::Upgrade,
        Self::Loop,
        Self::Incomplete,
        Self::PrimaryUnavailable,
        Self::Cancelled,
    ];

    /// Its value of the label `result`.
    pub fn name(self) -> &'static str {
        match self {
            Self::BodyTooLarge => "body_too_large",
            Self::MemoryCap => "memory_cap",
            Self::InFlightCap => "inflight_cap",
            Self::RateCap => "rate_cap",
            Self::Upgrade => "upgrade",
            Self::Loop => "loop",
            Self::Incomplete => "incomplete",
            Self::PrimaryUnavailable => "primary_unavailable",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The metrics of one mirror. Each series is defined when it is first needed. Labels have few values.
#[derive(Debug)]
pub struct MirrorCounters {
    prefix: String,
    mirror: String,
    known: Vec<(Sample, MetricId)>,
}

/// A metric with its label values after `mirror`.
type Sample = (&'static str, [&'static str; 2]);

impl MirrorCounters {
    /// Those of a mirror, of which none was needed.
    pub fn new(prefix: &str, mirror: &str) -> Self {
        Self { prefix: prefix.into(), mirror: mirror.into(), known: Vec::new() }
    }

    /// Increments a counter.
    pub fn count(&mut self, host: &impl Host, metric: &'static str, values: [&'static str; 2]) {
        if let Some(id) = self.id(host, MetricKind::Counter, (metric, values)) {
            report(metric, host.increment_metric(id, 1));
        }
    }

    /// Adds a sample to a histogram.
    pub fn record(&mut self, host: &impl Host, metric: &'static str, value: u64) {
        if let Some(id) = self.id(host, MetricKind::Histogram, (metric, [""; 2])) {
            report(metric, host.record_metric(id, value));
        }
    }

    fn id(&mut self, host: &impl Host, kind: MetricKind, sample: Sample) -> Option<MetricId> {
        if let Some((_, id)) = self.known.iter().find(|(known, _)| *known == sample) {
            return Some(*id);
        }
        let (metric, values) = sample;
        let (_, labels) = METRICS.iter().find(|(name, _)| *name == metric)?;
        let pair = values.join("/");
        let [first, second] = if metric == STATUS_PAIRS { [pair.as_str(), ""] } else { values };
        let values = [self.mirror.as_str(), first, second];
        let labels = labels.iter().copied().zip(values);
        let name = metric_name::encode(&Separators::default(), labels, &[&self.prefix, metric].concat());
        let id = host.define_metric(kind, &name).ok()?;
        self.known.push((sample, id));
        Some(id)
    }
}

/// A gauge that is the sum over all workers.
#[derive(Debug)]
pub struct Share {
    name: String,
    id: Option<MetricId>,
    told: usize,
}

impl Share {
    /// A gauge to which this worker has added nothing.
    pub fn new(prefix: &str, name: &str) -> Self {
        Self { name: [prefix, name].concat(), id: None, told: 0 }
    }

    /// This worker's last value.
    pub fn told(&self) -> usize {
        self.told
    }

    /// Sets this worker's value.
    pub fn tell(&mut self, host: &impl Host, now: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let more = number(now).saturating_sub(number(self.told));
        if more == 0 {
            return;
        }
        if self.id.is_none() {
            self.id = host.define_metric(MetricKind::Gauge, &self.name).ok();
        }
        if let Some(id) = self.id {
            report(&self.name, host.increment_metric(id, more));
            self.told = now;
        }
    }
}

fn report(metric: &str, result: Result<(), host::HostError>) {
    if let Err(error) = result {
        log::debug!("shadow: {metric} not counted: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use host::fake::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn each_sample_is_defined_once_with_its_labels() {
        let host = FakeHost::new();
        let mut counters = MirrorCounters::new("p_", "v2");
        for _ in 0..3 {
            counters.count(&host, REQUESTS, [""; 2]);
            counters.count(&host, COMPARE, ["control", "match"]);
            counters.count(&host, STATUS_PAIRS, ["2xx", "reset"]);
            counters.record(&host, SHADOW_LATENCY, 7);
        }
        assert_eq!(host.defined(), 4);
        let names: Vec<(String, u64)> = host.values().into_iter().collect();
        let expected = [
            ("mirror=.=v2;.;p_shadow_requests_total", 3),
            ("mirror=.=v2;.;result=.=2xx/reset;.;p_shadow_status_pairs_total", 3),
            ("mirror=.=v2;.;role=.=control;.;result=.=match;.;p_shadow_compare_total", 3),
        ];
        assert_eq!(names, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(host.histograms().into_values().collect::<Vec<_>>(), [(3, 21)]);
    }

    #[test]
    fn a_gauge_is_what_all_workers_have() {
        let host = FakeHost::new();
        let mut shares = [Share::new("", IN_FLIGHT), Share::new("", IN_FLIGHT)];
        for now in [[3, 0], [3, 5], [1, 5], [0, 0]] {
            for (share, now) in shares.iter_mut().zip(now) {
                share.tell(&host, now);
            }
            assert_eq!(host.values().get(IN_FLIGHT).copied(), Some(now.iter().sum::<usize>() as u64));
        }
    }

    #[test]
    fn each_reason_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Skip::ALL.iter().map(|skip| skip.name()).collect();
        assert_eq!(names.len(), Skip::ALL.len());
    }
}
