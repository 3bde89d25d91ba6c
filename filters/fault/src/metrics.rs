//! The metrics of fault injection.

use host::Host;
use series::metric::LazyMetric;

use crate::abort::AbortKind;

/// Delayed requests, counted when the delay begins.
pub const DELAYS: &str = "fault_delays_injected_total";
/// Aborted requests, by what they get instead of an answer.
pub const ABORTS: &str = "fault_aborts_injected_total";
/// Requests that passed because `maxActiveFaults` was reached.
pub const OVERFLOW: &str = "fault_overflow_total";
/// Delayed requests that ended before their delay: the client left, or a timeout ended them.
pub const CANCELLED: &str = "fault_delay_cancelled_total";
/// Requests that matched a rule with `startAfter`.
pub const MATCHED: &str = "fault_matched_total";
/// Requests into which a rule with `maxInjections` injected a fault.
pub const INJECTED: &str = "fault_injected_total";
/// Requests that are currently delayed.
pub const ACTIVE: &str = "fault_active";
/// Requests that are currently delayed by a plugin with `maxActiveFaults`.
pub const PLUGIN_ACTIVE: &str = "fault_plugin_active";
/// Requests that are currently delayed by a rule with `maxActiveFaults`.
pub const RULE_ACTIVE: &str = "fault_rule_active";

/// Labels of the metrics for limits. Two plugins of a proxy may have rules with the same name, but each has its own limits.
const LIMITED: [&str; 2] = ["rule", "plugin"];

/// All metrics, with their labels.
pub const METRICS: [(&str, &[&str]); 9] = [
    (DELAYS, &["rule"]),
    (ABORTS, &["rule", "result"]),
    (OVERFLOW, &["rule"]),
    (CANCELLED, &["rule"]),
    (MATCHED, &LIMITED),
    (INJECTED, &LIMITED),
    (ACTIVE, &[]),
    (PLUGIN_ACTIVE, &["plugin"]),
    (RULE_ACTIVE, &LIMITED),
];

/// The abort counters of one rule, by kind of abort.
#[derive(Debug)]
pub struct AbortCounters {
    prefix: String,
    rule: String,
    counters: Vec<(AbortKind, LazyMetric)>,
}

impl AbortCounters {
    /// No counter is defined yet.
    pub fn new(prefix: &str, rule: &str) -> Self {
        Self { prefix: prefix.into(), rule: rule.into(), counters: Vec::new() }
    }

    /// Counts an abort.
    pub fn count(&mut self, host: &impl Host, kind: AbortKind) {
        if let Some((_, counter)) = self.counters.iter_mut().find(|(known, _)| *known == kind) {
            return counter.add(host, 1);
        }
        let result = match kind {
            AbortKind::Http(status) => status.to_string(),
            AbortKind::Grpc(status) => format!("grpc{status}"),
            AbortKind::Reset => "reset".into(),
        };
        let mut counter = LazyMetric::counter(&self.prefix, ABORTS, &[("rule", &self.rule), ("result", &result)]);
        counter.add(host, 1);
        self.counters.push((kind, counter));
    }
}
