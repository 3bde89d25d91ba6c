//! Counters and gauges that change rarely.

use crate::metric_name::{self, Separators};
use host::{Host, MetricId, MetricKind};

/// A counter or gauge, defined in Envoy when it is first needed.
///
/// All workers share it, so its value is the sum over all workers.
#[derive(Debug)]
pub struct LazyMetric {
    kind: MetricKind,
    name: String,
    id: Option<MetricId>,
}

impl LazyMetric {
    /// A counter named `prefix` and `name`, with labels.
    pub fn counter(prefix: &str, name: &str, labels: &[(&str, &str)]) -> Self {
        let mut stat = metric_name::encode(&Separators::default(), labels.iter().copied(), prefix);
        stat.push_str(name);
        Self { kind: MetricKind::Counter, name: stat, id: None }
    }

    /// A gauge named `prefix` + `name`, with labels.
    pub fn gauge(prefix: &str, name: &str, labels: &[(&str, &str)]) -> Self {
        Self { kind: MetricKind::Gauge, ..Self::counter(prefix, name, labels) }
    }

    /// Adds `by`, which may be negative only for a gauge.
    pub fn add(&mut self, host: &impl Host, by: i64) {
        if let Some(Err(error)) = self.id(host).map(|id| host.increment_metric(id, by)) {
            log::debug!("{} not counted: {error}", self.name);
        }
    }

    /// Its value.
    pub fn value(&mut self, host: &impl Host) -> u64 {
        let value = self.id(host).and_then(|id| host.metric(id));
        // A gauge can be negative after a worker lost its VM; then it counts as 0.
        value.filter(|value| i64::try_from(*value).is_ok()).unwrap_or_default()
    }

    fn id(&mut self, host: &impl Host) -> Option<MetricId> {
        if self.id.is_none() {
            self.id = host.define_metric(self.kind, &self.name).ok();
        }
        self.id
    }
}
