//! Labels become Envoy's metrics, each label set once.
//!
//! Envoy cannot forget a metric that a module defined, and defining one is a thousand times dearer than using it. So a
//! metric is defined when it is first recorded with a label set and found by one lookup from then on, and there is an end
//! to how many one worker defines.

use std::rc::Rc;

use configuration::Problem;
use hashbrown::HashMap;
use host::{Host, HostError, MetricId, MetricKind};
use labels::Labels;

use crate::config::{StatsConfig, NANOSECONDS_PER_SECOND};
use crate::evaluation::Expressions;
use crate::label_set::LabelSet;
use crate::measurement::{Family, Measured, Measurement};
use crate::metrics::OVERFLOW_METRIC;
use crate::plan::{Number, Plans};
use crate::symbols::{Symbol, Symbols};

/// The metrics that this worker records, and those that it has defined.
pub struct Recorder {
    expressions: Expressions,
    plans: Plans,
    /// The metrics of each label set.
    series: Vec<Series>,
    by_labels: HashMap<Rc<LabelSet>, SeriesId>,
    max_series: usize,
    /// How many metrics the label sets have, defined already or not.
    reserved: usize,
    overflow: Option<MetricId>,
}

/// By what the metrics of a label set are found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesId(usize);

/// The metrics of a label set, in the order of its family's plan.
#[derive(Debug)]
struct Series {
    set: Rc<LabelSet>,
    slots: Box<[SeriesSlot]>,
}

/// A metric of one label set.
#[derive(Clone, Copy, Debug)]
enum SeriesSlot {
    Undefined,
    /// With the nanoseconds that do not make up a second yet.
    Defined(MetricId, u32),
    /// Envoy did not define it; it is not asked again.
    Refused,
}

impl Recorder {
    /// Compiles what `config` asks for. Call it while the plugin is configured.
    #[inline(never)]
    pub fn new(config: &StatsConfig, host: &impl Host, symbols: &mut Symbols, problems: &mut Vec<Problem>) -> Self {
        let (plans, expressions) = Plans::new(config, host, symbols, problems);
        Self {
            expressions,
            plans,
            series: Vec::new(),
            by_labels: HashMap::new(),
            max_series: config.max_series,
            reserved: 0,
            overflow: None,
        }
    }

    /// Whether `family` can be reported only in a callback of the stream, not within a tick: for its conditions, which
    /// the engine evaluates each time, or for the label set, unless that `is_known`.
    pub fn needs_stream(&self, family: Family, is_known: bool) -> bool {
        let plan = self.plans.of(family);
        !plan.conditions.is_empty() || (plan.needs_stream && !is_known)
    }

    /// Makes the attributes that labels and conditions of the current stream may be. Not within a tick.
    pub fn generate(&mut self, host: &impl Host, symbols: &Symbols) {
        self.expressions.generate(host, symbols);
    }

    /// The label set of the current stream.
    pub fn label_set(
        &self,
        host: &impl Host,
        symbols: &mut Symbols,
        family: Family,
        labels: &Labels<Symbol>,
    ) -> LabelSet {
        let plan = self.plans.of(family);
        LabelSet {
            family,
            standard: labels.select(&plan.used, Symbol::EMPTY),
            more: plan.expressions.iter().map(|index| self.expressions.label(host, symbols, *index)).collect(),
        }
    }

    /// Whether the labels of `family` are the standard ones alone, so that the same labels have the same series.
    pub fn is_standard(&self, family: Family) -> bool {
        self.plans.of(family).expressions.is_empty()
    }

    /// Whether a measurement is recorded at all.
    pub fn needs(&self, measurement: Measurement) -> bool {
        self.plans.of(measurement.family()).needs.get(measurement)
    }

    /// Records what was measured, and what expressions come to, by the metrics whose conditions hold now. What was not
    /// measured is not recorded, a metric without records is not defined, and a label set without any is not kept. Returns the series of `set`, or `None` if it has none because nothing was recorded or they are too many to
    /// tell apart.
    pub fn record(
        &mut self,
        host: &impl Host,
        symbols: &Symbols,
        set: &LabelSet,
        measured: &Measured,
    ) -> Option<SeriesId> {
        let held = self.plans.of(set.family).held(host);
        let mut series = self.by_labels.get(set).copied();
        if series.is_none() {
            if !self.records(host, set, held, measured) {
                return None;
            }
            if self.has_room(set) {
                series = Some(self.add(set.clone()));
            }
        }
        let id = series.unwrap_or_else(|| {
            self.count_overflow(host);
            let fold = set.fold();
            let known = self.by_labels.get(&fold).copied();
            known.unwrap_or_else(|| self.add(fold))
        });
        self.record_held(host, symbols, id, held, measured);
        series
    }

    /// Records requests to series that are known already.
    pub fn record_request(&mut self, host: &impl Host, symbols: &Symbols, id: SeriesId, measured: &Measured) {
        let held = self.plans.of(Family::Request).held(host);
        self.record_held(host, symbols, id, held, measured);
    }

    /// Records to series whose conditions hold as `held` says.
    fn record_held(&mut self, host: &impl Host, symbols: &Symbols, id: SeriesId, held: u64, measured: &Measured) {
        let Some(Series { set, slots }) = self.series.get_mut(id.0) else {
            return;
        };
        let plan = self.plans.of(set.family);
        for (slot, metric) in slots.iter_mut().zip(&plan.metrics) {
            let Some(value) = metric.value(host, &self.expressions, held, measured) else {
                continue;
            };
            if let SeriesSlot::Undefined = slot {
                *slot = match define(host, metric.kind, &metric.stat_name(symbols, set)) {
                    Some(id) => SeriesSlot::Defined(id, 0),
                    None => SeriesSlot::Refused,
                };
            }
            let SeriesSlot::Defined(id, rest) = slot else {
                continue;
            };
            let value = match metric.number {
                Number::Seconds => carry(value, rest),
                _ => value,
            };
            if value > 0 || metric.kind != MetricKind::Counter {
                // With an id that Envoy gave, this cannot fail.
                let _ = host.record_metric(*id, value);
            }
        }
    }

    /// Whether a new label set can be told from others.
    fn has_room(&self, set: &LabelSet) -> bool {
        let series = self.reserved.saturating_add(self.plans.of(set.family).metrics.len());
        series <= self.max_series && !set.contains(Symbol::OVERFLOW)
    }

    /// Whether anything is recorded for `set` of what was `measured`.
    fn records(&self, host: &impl Host, set: &LabelSet, held: u64, measured: &Measured) -> bool {
        let mut metrics = self.plans.of(set.family).metrics.iter();
        metrics.any(|metric| metric.value(host, &self.expressions, held, measured).is_some())
    }

    fn add(&mut self, set: LabelSet) -> SeriesId {
        let id = SeriesId(self.series.len());
        let count = self.plans.of(set.family).metrics.len();
        self.reserved = self.reserved.saturating_add(count);
        let set = Rc::new(set);
        self.by_labels.insert(Rc::clone(&set), id);
        self.series.push(Series { set, slots: vec![SeriesSlot::Undefined; count].into_boxed_slice() });
        id
    }

    fn count_overflow(&mut self, host: &impl Host) {
        if self.overflow.is_none() {
            self.overflow = define(host, MetricKind::Counter, OVERFLOW_METRIC);
            log::warn!(
                "stats: this worker has {} series, further label sets are counted with labels \"overflow\" (max_series)",
                self.reserved
            );
        }
        if let Some(id) = self.overflow {
            let _ = host.increment_metric(id, 1);
        }
    }
}

/// The whole seconds in `nanoseconds` and what was left from before; the new rest goes to `rest`.
fn carry(nanoseconds: u64, rest: &mut u32) -> u64 {
    let total = nanoseconds.saturating_add(u64::from(*rest));
    *rest = u32::try_from(total % NANOSECONDS_PER_SECOND).unwrap_or_default();
    total / NANOSECONDS_PER_SECOND
}

fn define(host: &impl Host, kind: MetricKind, name: &str) -> Option<MetricId> {
    let id = host.define_metric(kind, name);
    id.inspect_err(|error: &HostError| log::warn!("stats: {name} not defined: {error}")).ok()
}

#[cfg(test)]
mod tests;
