//! What is counted, by rule.

use host::Host;
use series::metric::LazyMetric;

use crate::abort::AbortKind;

/// Requests that were delayed, counted when the delay begins.
pub const DELAYS: &str = "fault_delays_injected_total";
/// Requests that were aborted, also by the way in which.
pub const ABORTS: &str = "fault_aborts_injected_total";
/// Requests that were let pass because as many were delayed as may be.
pub const OVERFLOW: &str = "fault_overflow_total";
/// Delayed requests whose client left, or whose time was up, before the delay was over.
pub const CANCELLED: &str = "fault_delay_cancelled_total";
/// Requests that matched a rule with `startAfter`.
pub const MATCHED: &str = "fault_matched_total";
/// Requests to which a rule with `maxInjections` did something.
pub const INJECTED: &str = "fault_injected_total";
/// Requests that are being delayed.
pub const ACTIVE: &str = "fault_active";
/// Requests that are being delayed by a plugin with `maxActiveFaults`.
pub const PLUGIN_ACTIVE: &str = "fault_plugin_active";
/// Requests that are being delayed by a rule with `maxActiveFaults`.
pub const RULE_ACTIVE: &str = "fault_rule_active";

/// The labels of what limits are kept by. Plugins of one proxy may have rules of one name, but each has its own limits.
const LIMITED: [&str; 2] = ["rule", "plugin"];

/// All of them, with their labels.
pub const METRICS: [(&str, &[&str]); 9] = [
    (DELAYS, &["rule"]),
    (ABORTS, &["rule", "code"]),
    (OVERFLOW, &["rule"]),
    (CANCELLED, &["rule"]),
    (MATCHED, &LIMITED),
    (INJECTED, &LIMITED),
    (ACTIVE, &[]),
    (PLUGIN_ACTIVE, &["plugin"]),
    (RULE_ACTIVE, &LIMITED),
];

/// The aborts of one rule, by what the requests were ended with.
#[derive(Debug)]
pub struct AbortCounters {
    prefix: String,
    rule: String,
    counters: Vec<(AbortKind, LazyMetric)>,
}

impl AbortCounters {
    /// Those of a rule, of which none was needed.
    pub fn new(prefix: &str, rule: &str) -> Self {
        Self { prefix: prefix.into(), rule: rule.into(), counters: Vec::new() }
    }

    /// Counts one.
    pub fn count(&mut self, host: &impl Host, kind: AbortKind) {
        if let Some((_, counter)) = self.counters.iter_mut().find(|(known, _)| *known == kind) {
            return counter.add(host, 1);
        }
        let code = match kind {
            AbortKind::Http(status) => status.to_string(),
            AbortKind::Grpc(status) => format!("grpc{status}"),
            AbortKind::Reset => "reset".into(),
        };
        let mut counter = LazyMetric::counter(&self.prefix, ABORTS, &[("rule", &self.rule), ("code", &code)]);
        counter.add(host, 1);
        self.counters.push((kind, counter));
    }
}
