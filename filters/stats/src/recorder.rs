//! Turns label sets into Envoy's metrics, once each.
//!
//! Envoy cannot remove a metric that a module defined, and defining one costs a thousand times as much as using it. So a
//! metric is defined when it is first recorded with a label set; later records find it with one lookup. Each worker defines
//! a limited number of metrics.

use core::fmt::Write;
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
use crate::plan::{Counted, Number, Plans};
use crate::states::{self, Keys, Marks};
use crate::symbols::{Symbol, Symbols};

/// The metrics that this worker records, and the series that it has defined.
pub struct Recorder {
    expressions: Expressions,
    plans: Plans,
    /// The series of each label set.
    series: Vec<Series>,
    by_labels: HashMap<Rc<LabelSet>, SeriesId>,
    max_series: usize,
    /// Number of metrics of all label sets, defined already or not.
    reserved: usize,
    overflow: Option<MetricId>,
    /// Where Envoy counts.
    marks: Option<Marks>,
}

/// Index of a series in [`Recorder::series`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesId(usize);

/// The metrics of a label set, in the order of its family's plan.
#[derive(Debug)]
struct Series {
    set: Rc<LabelSet>,
    slots: Box<[SeriesSlot]>,
}

/// A metric with one label set.
#[derive(Clone, Copy, Debug)]
enum SeriesSlot {
    Undefined,
    /// With the nanoseconds that are not yet a full second.
    Defined(MetricId, u32),
    /// Envoy counts it. With the nanoseconds that are not yet a full second.
    Told(u32),
    /// Envoy refused to define it. It is not defined again.
    Refused,
}

impl Recorder {
    /// Compiles the metrics of `config`. Call it while the plugin is configured.
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
            marks: config.envoy_counts.as_deref().map(|name| Marks::new(host, &Keys::new(name))),
        }
    }

    /// Tells Envoy of the configured attributes. Call it once, while the plugin is configured: Envoy takes no name twice.
    pub fn declare(&self, host: &impl Host) {
        self.expressions.declare(host);
        if let Some(marks) = &self.marks {
            let [requests, connections] = [Family::Request, Family::Connection].map(|family| self.plans.of(family));
            requests.declare(host, &[]);
            connections.declare(host, &requests.states);
            marks.declare(host);
        }
    }

    /// Whether Envoy counts what this tells it when a stream ends.
    pub fn only_tells(&self) -> bool {
        self.marks.is_some()
    }

    /// Whether a report of `family` needs a callback of the stream, so that a tick cannot make it. Conditions need one,
    /// because the engine evaluates them each time; so do label expressions, unless the label set `is_known`.
    pub fn needs_stream(&self, family: Family, is_known: bool) -> bool {
        let plan = self.plans.of(family);
        !plan.conditions.is_empty() || (plan.needs_stream && !is_known)
    }

    /// Evaluates the configured attributes for the current stream. A tick cannot do this.
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

    /// Whether `family` has standard labels only, so that equal labels have the same series.
    pub fn is_standard(&self, family: Family) -> bool {
        self.plans.of(family).expressions.is_empty()
    }

    /// Whether any metric records the measurement.
    pub fn needs(&self, measurement: Measurement) -> bool {
        self.plans.of(measurement.family()).needs.get(measurement)
    }

    /// Records measured values and results of expressions in the metrics whose conditions hold now. Values that were not
    /// measured are not recorded. A metric without records is not defined, and a label set without records is not kept.
    /// Returns the series of `set`, or `None` if nothing was recorded or there are too many label sets.
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
            if self.has_room(set, measured) {
                series = Some(self.add(set.clone(), measured));
            }
        }
        let id = series.unwrap_or_else(|| {
            self.count_overflow(host);
            let fold = set.fold();
            let known = self.by_labels.get(&fold).copied();
            known.unwrap_or_else(|| self.add(fold, measured))
        });
        self.record_held(host, symbols, id, held, measured);
        series
    }

    /// Leaves the labels and numbers of the current stream to Envoy.
    fn tell(&mut self, host: &impl Host, symbols: &Symbols, id: SeriesId, held: u64, measured: &Measured) {
        let (Some(marks), Some(Series { set, .. })) = (&self.marks, self.series.get(id.0)) else { return };
        let plan = self.plans.of(set.family);
        let number = id.0 as u32;
        let before = marks.read(host);
        if before != Some(number) {
            let before = before.and_then(|before| self.series.get(before as usize));
            let before = before.map(|series| &series.set).filter(|before| before.family == set.family);
            for state in &plan.states {
                let text = state.text(symbols, set);
                if before.is_none_or(|before| state.text(symbols, before) != text) {
                    states::set(host, &state.key, text.as_bytes());
                }
            }
            marks.write(host, number);
        }
        let (counts_all, mut decimal) = (plan.counts_all, String::new());
        let Some(Series { slots, .. }) = self.series.get_mut(id.0) else { return };
        for (slot, metric) in slots.iter_mut().zip(&plan.metrics) {
            let Counted::Told(key) = &metric.counted else { continue };
            let Some(mut value) = metric.value(host, &self.expressions, held, measured) else { continue };
            if matches!(metric.number, Number::Seconds) {
                let mut rest = match slot {
                    SeriesSlot::Told(rest) => *rest,
                    _ => 0,
                };
                value = carry(value, &mut rest);
                *slot = SeriesSlot::Told(rest);
            }
            decimal.clear();
            let _ = write!(decimal, "{value}");
            states::set(host, key, decimal.as_bytes());
        }
        if counts_all {
            marks.count(host);
        }
    }

    /// Records a request in a known series.
    pub fn record_request(&mut self, host: &impl Host, symbols: &Symbols, id: SeriesId, measured: &Measured) {
        let held = self.plans.of(Family::Request).held(host);
        self.record_held(host, symbols, id, held, measured);
    }

    /// Records in a series; `held` are the conditions that hold.
    fn record_held(&mut self, host: &impl Host, symbols: &Symbols, id: SeriesId, held: u64, measured: &Measured) {
        if self.marks.is_some() {
            return self.tell(host, symbols, id, held, measured);
        }
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
                // Cannot fail: Envoy returned this id.
                let _ = host.record_metric(*id, value);
            }
        }
    }

    /// Whether there is room for a new label set.
    fn has_room(&self, set: &LabelSet, measured: &Measured) -> bool {
        let series = self.reserved.saturating_add(self.plans.of(set.family).width(measured));
        series <= self.max_series && !set.contains(Symbol::OVERFLOW)
    }

    /// Whether any metric records the values `measured` for `set`.
    fn records(&self, host: &impl Host, set: &LabelSet, held: u64, measured: &Measured) -> bool {
        let plan = self.plans.of(set.family);
        let mut metrics = plan.metrics.iter();
        plan.counts_all || metrics.any(|metric| metric.value(host, &self.expressions, held, measured).is_some())
    }

    fn add(&mut self, set: LabelSet, measured: &Measured) -> SeriesId {
        let id = SeriesId(self.series.len());
        let plan = self.plans.of(set.family);
        let count = plan.metrics.len();
        self.reserved = self.reserved.saturating_add(plan.width(measured));
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

/// The whole seconds in `nanoseconds` plus `rest`. The remainder becomes the new `rest`.
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
