//! Turns label sets into Envoy's metrics, once each.
//!
//! Envoy cannot remove a metric that a module defined, and defining one costs a thousand times as much as using it. So a
//! metric is defined when it is first recorded with a label set; later records find it with one lookup. Each worker defines
//! a limited number of metrics. Label sets beyond it are folded, and have a tenth more for what they keep.

use core::fmt::Write;
use std::rc::Rc;

use configuration::{Problem, Quoted};
use hashbrown::HashMap;
use host::{Host, HostError, MetricId, MetricKind};

use crate::config::{StatsConfig, NANOSECONDS_PER_SECOND};
use crate::evaluation::Expressions;
use crate::folding::{Folding, Kept};
use crate::label_set::{LabelSet, StreamLabels};
use crate::measurement::{Family, Measured, Measurement};
use crate::metrics::OVERFLOW_METRIC;
use crate::plan::{Counted, Number, Plans};
use crate::room::{Owner, Room};
use crate::states::{self, Keys, Marks};
use crate::symbols::{Symbol, Symbols};

/// Least series that folded label sets have room for; a tenth of `max_series`, if that is more.
const LEAST_FOLDED: usize = 100;

/// The owner of folded label sets that name no service.
const NOBODY: Owner = Owner { service: Symbol::OVERFLOW, caller: Symbol::OVERFLOW };

/// The metrics that this worker records, and the series that it has defined.
pub struct Recorder {
    expressions: Expressions,
    plans: Plans,
    /// The series of each label set.
    series: Vec<Series>,
    /// The places of label sets in it.
    by_labels: HashMap<Rc<LabelSet>, usize>,
    /// For the metrics of label sets, defined already or not.
    room: Room,
    /// The same for folded label sets.
    folded_room: Room,
    folding: Folding,
    overflow: Option<MetricId>,
    /// Where Envoy counts.
    marks: Option<Marks>,
}

/// Where a label set is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesId {
    /// Index in [`Recorder::series`].
    place: usize,
    /// There was no room for its own series.
    is_folded: bool,
}

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
        let folded_series = config.max_series.checked_div(10).unwrap_or_default().max(LEAST_FOLDED);
        Self {
            expressions,
            plans,
            series: Vec::new(),
            by_labels: HashMap::new(),
            room: Room::new(config.max_series),
            folded_room: Room::new(folded_series),
            folding: Folding::new(symbols),
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

    /// Whether new label sets of `owner` have room.
    pub fn has_room(&self, owner: Owner) -> bool {
        self.room.is_open(owner)
    }

    /// The label set of the current stream.
    pub fn label_set(
        &self,
        host: &impl Host,
        symbols: &mut Symbols,
        family: Family,
        labels: &StreamLabels,
    ) -> LabelSet {
        let plan = self.plans.of(family);
        symbols.open(self.has_room(labels.owner));
        LabelSet {
            family,
            standard: labels.standard.select(&plan.used, Symbol::EMPTY),
            more: plan.expressions.iter().map(|index| self.expressions.label(host, symbols, *index)).collect(),
            owner: labels.owner,
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
    /// Returns where it is recorded from now on, or `None` if nothing was recorded.
    pub fn record(
        &mut self,
        host: &impl Host,
        symbols: &Symbols,
        set: &LabelSet,
        measured: &Measured,
    ) -> Option<SeriesId> {
        let held = self.plans.of(set.family).held(host);
        let id = match self.by_labels.get(set) {
            Some(place) => SeriesId { place: *place, is_folded: false },
            None if !self.records(host, set, held, measured) => return None,
            None => self.admit(symbols, set, measured),
        };
        self.record_at(host, symbols, id, held, measured);
        Some(id)
    }

    /// Gives a new label set its series, or those of what is left of it.
    #[inline(never)]
    fn admit(&mut self, symbols: &Symbols, set: &LabelSet, measured: &Measured) -> SeriesId {
        let plan = self.plans.of(set.family);
        let width = plan.width(measured);
        if !set.contains(Symbol::OVERFLOW) && self.room.take(set.owner, width) {
            return SeriesId { place: self.add(set.clone()), is_folded: false };
        }
        let fold = |kept| self.folding.fold(symbols, set, &plan.codes, kept);
        let [with_service, with_flags, least] = [Kept::Service, Kept::Flags, Kept::Least].map(fold);
        for (fold, owner) in [(with_service, set.owner), (with_flags, NOBODY)] {
            if let Some(place) = self.by_labels.get(&fold) {
                return SeriesId { place: *place, is_folded: true };
            }
            if self.folded_room.take(owner, width) {
                return SeriesId { place: self.add(fold), is_folded: true };
            }
        }
        let known = self.by_labels.get(&least).copied();
        SeriesId { place: known.unwrap_or_else(|| self.add(least)), is_folded: true }
    }

    /// Leaves the labels and numbers of the current stream to Envoy. Returns whether Envoy counts any.
    fn tell(&mut self, host: &impl Host, symbols: &Symbols, place: usize, held: u64, measured: &Measured) -> bool {
        let (Some(marks), Some(Series { set, .. })) = (&self.marks, self.series.get(place)) else { return false };
        let plan = self.plans.of(set.family);
        let number = place as u32;
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
        let (mut counts, mut decimal) = (plan.counts_all, String::new());
        let Some(Series { slots, .. }) = self.series.get_mut(place) else { return false };
        for (slot, metric) in slots.iter_mut().zip(&plan.metrics) {
            let Counted::Told(key) = &metric.counted else { continue };
            let Some(mut value) = metric.value(host, &self.expressions, held, measured) else { continue };
            counts = true;
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
        if plan.counts_all {
            marks.count(host);
        }
        counts
    }

    /// Records a request in a known series.
    pub fn record_request(&mut self, host: &impl Host, symbols: &Symbols, id: SeriesId, measured: &Measured) {
        let held = self.plans.of(Family::Request).held(host);
        self.record_at(host, symbols, id, held, measured);
    }

    fn record_at(&mut self, host: &impl Host, symbols: &Symbols, id: SeriesId, held: u64, measured: &Measured) {
        let is_recorded = match self.marks {
            Some(_) => self.tell(host, symbols, id.place, held, measured),
            None => self.record_held(host, symbols, id.place, held, measured),
        };
        if is_recorded && id.is_folded {
            self.count_overflow(host, symbols, id.place);
        }
    }

    /// Records in a series; `held` are the conditions that hold. Returns whether there was anything to record.
    fn record_held(
        &mut self,
        host: &impl Host,
        symbols: &Symbols,
        place: usize,
        held: u64,
        measured: &Measured,
    ) -> bool {
        let Some(Series { set, slots }) = self.series.get_mut(place) else {
            return false;
        };
        let mut is_recorded = false;
        let plan = self.plans.of(set.family);
        for (slot, metric) in slots.iter_mut().zip(&plan.metrics) {
            let Some(value) = metric.value(host, &self.expressions, held, measured) else {
                continue;
            };
            is_recorded = true;
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
        is_recorded
    }

    /// Whether any metric records the values `measured` for `set`.
    fn records(&self, host: &impl Host, set: &LabelSet, held: u64, measured: &Measured) -> bool {
        let plan = self.plans.of(set.family);
        let mut metrics = plan.metrics.iter();
        plan.counts_all || metrics.any(|metric| metric.value(host, &self.expressions, held, measured).is_some())
    }

    #[inline(never)]
    fn add(&mut self, set: LabelSet) -> usize {
        let place = self.series.len();
        let count = self.plans.of(set.family).metrics.len();
        let set = Rc::new(set);
        self.by_labels.insert(Rc::clone(&set), place);
        self.series.push(Series { set, slots: vec![SeriesSlot::Undefined; count].into_boxed_slice() });
        place
    }

    #[inline(never)]
    fn count_overflow(&mut self, host: &impl Host, symbols: &Symbols, place: usize) {
        if self.overflow.is_none() {
            self.overflow = define(host, MetricKind::Counter, OVERFLOW_METRIC);
            let owner = self.series.get(place).map_or(NOBODY, |series| series.set.owner);
            log::warn!(
                "stats: no room for label sets of {} called by {}, with {} of {} series: new ones are \"overflow\" (max_series)",
                Quoted(symbols.text(owner.service)),
                Quoted(symbols.text(owner.caller)),
                self.room.of(owner),
                self.room.taken()
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
