//! Limits on how often a rule injects.

use host::Host;
use series::metric::LazyMetric;

use crate::config::FaultRule;
use crate::metrics;

/// The limits of one rule. They count in metrics, which all workers share. Two workers that decide at the same moment may
/// exceed a limit by one each.
#[derive(Debug)]
pub struct RuleLimits {
    /// `startAfter`: requests that pass.
    first: Option<Limit>,
    /// `maxInjections`.
    injections: Option<Limit>,
    exhausted: bool,
    /// `maxActiveFaults`.
    active: Option<AtOnce>,
}

/// `maxActiveFaults`: most requests delayed at once.
#[derive(Debug)]
pub struct AtOnce {
    gauge: LazyMetric,
    max: u64,
}

/// A counter with a maximum.
#[derive(Debug)]
struct Limit {
    counter: LazyMetric,
    max: u64,
    /// Value when the rule was configured: a new configuration starts at zero.
    before: u64,
}

impl Limit {
    fn new(mut counter: LazyMetric, max: u64, host: &impl Host) -> Self {
        let before = counter.value(host);
        Self { counter, max, before }
    }

    fn is_reached(&mut self, host: &impl Host) -> bool {
        self.counter.value(host).saturating_sub(self.before) >= self.max
    }
}

impl AtOnce {
    /// As many as this gauge holds, which must be no other's; none at first.
    pub fn new(gauge: LazyMetric, max: u64) -> Self {
        Self { gauge, max }
    }

    /// Whether the maximum is reached.
    pub fn is_full(&mut self, host: &impl Host) -> bool {
        self.gauge.value(host) >= self.max
    }

    /// Adds `by` to the number of delayed requests.
    pub fn count(&mut self, host: &impl Host, by: i64) {
        self.gauge.add(host, by);
    }
}

impl RuleLimits {
    /// Those of a rule that begins now, of the plugin of this name.
    pub fn new(rule: &FaultRule, plugin: &str, prefix: &str, host: &impl Host) -> Self {
        let labels = [("rule", rule.name.as_str()), ("plugin", plugin)];
        let limit = |name, max| Limit::new(LazyMetric::counter(prefix, name, &labels), max, host);
        let gauge = || LazyMetric::gauge(prefix, metrics::RULE_ACTIVE, &labels);
        Self {
            first: (rule.start_after > 0).then(|| limit(metrics::MATCHED, rule.start_after)),
            injections: rule.max_injections.map(|max| limit(metrics::INJECTED, max)),
            exhausted: false,
            active: rule.max_active.map(|max| AtOnce::new(gauge(), max)),
        }
    }

    /// Counts a matching request. Returns whether the rule may inject.
    pub fn admit(&mut self, host: &impl Host) -> bool {
        if let Some(first) = &mut self.first {
            let is_over = first.is_reached(host);
            first.counter.add(host, 1);
            if !is_over {
                return false;
            }
        }
        self.exhausted = self.exhausted || self.injections.as_mut().is_some_and(|limit| limit.is_reached(host));
        !self.exhausted
    }

    /// Counts a request with an injected fault.
    pub fn injected(&mut self, host: &impl Host) {
        if let Some(limit) = &mut self.injections {
            limit.counter.add(host, 1);
        }
    }

    /// Whether `maxInjections` is reached, so that the rule has ended.
    pub fn are_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Whether `maxActiveFaults` is reached.
    pub fn is_full(&mut self, host: &impl Host) -> bool {
        self.active.as_mut().is_some_and(|active| active.is_full(host))
    }

    /// Adds `by` to the number of delayed requests.
    pub fn count(&mut self, host: &impl Host, by: i64) {
        if let Some(active) = &mut self.active {
            active.count(host, by);
        }
    }
}
