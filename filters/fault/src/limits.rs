//! How often a rule may do something.

use mesh_common::host::Host;
use mesh_common::metric::Metric;

use crate::config::Rule;
use crate::metrics;

/// The limits of one rule, which all workers keep together, since they count in the same metrics. Two workers that
/// decide at the same moment may both do what was left for one.
#[derive(Debug)]
pub struct Limits {
    /// `startAfter`: requests that pass.
    first: Option<Limit>,
    /// `maxInjections`.
    injections: Option<Limit>,
    exhausted: bool,
    /// `maxActiveFaults`.
    active: Option<(Metric, u64)>,
}

/// A counter, and how far it may go.
#[derive(Debug)]
struct Limit {
    counter: Metric,
    max: u64,
    /// What it held when the rule was configured: a rule that is configured anew begins anew.
    before: u64,
}

impl Limit {
    fn new(name: &str, rule: &Rule, prefix: &str, max: u64, host: &impl Host) -> Self {
        let mut counter = Metric::counter(prefix, name, &[("rule", &rule.name)]);
        let before = counter.value(host);
        Self { counter, max, before }
    }

    fn is_reached(&mut self, host: &impl Host) -> bool {
        self.counter.value(host).saturating_sub(self.before) >= self.max
    }
}

impl Limits {
    /// Those of a rule that begins now.
    pub fn new(rule: &Rule, prefix: &str, host: &impl Host) -> Self {
        let first = (rule.start_after > 0).then(|| Limit::new(metrics::MATCHED, rule, prefix, rule.start_after, host));
        let injections = rule.max_injections.map(|max| Limit::new(metrics::INJECTED, rule, prefix, max, host));
        let gauge = || Metric::gauge(prefix, metrics::RULE_ACTIVE, &[("rule", &rule.name)]);
        Self { first, injections, exhausted: false, active: rule.max_active.map(|max| (gauge(), max)) }
    }

    /// A request matches. Whether the rule may do something to it.
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

    /// Something was done to a request.
    pub fn injected(&mut self, host: &impl Host) {
        if let Some(limit) = &mut self.injections {
            limit.counter.add(host, 1);
        }
    }

    /// Whether the rule will never again do something.
    pub fn are_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Whether as many requests are delayed as may be.
    pub fn is_full(&mut self, host: &impl Host) -> bool {
        self.active.as_mut().is_some_and(|(gauge, max)| gauge.value(host) >= *max)
    }

    /// A request is being delayed.
    pub fn enter(&mut self, host: &impl Host) {
        self.count(host, 1);
    }

    /// A request is no longer delayed.
    pub fn leave(&mut self, host: &impl Host) {
        self.count(host, -1);
    }

    fn count(&mut self, host: &impl Host, by: i64) {
        if let Some((gauge, _)) = &mut self.active {
            gauge.add(host, by);
        }
    }
}
