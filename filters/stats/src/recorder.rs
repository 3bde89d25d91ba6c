//! Labels become Envoy's metrics, each label set once.
//!
//! Envoy cannot forget a metric that a module defined, and defining one is a thousand times dearer than using it. So a
//! metric is defined when it is first recorded with a label set and found by one lookup from then on, and there is an end
//! to how many one worker defines.

use std::rc::Rc;

use collections::text_map::TextMap;
use configuration::Problem;
use expression;
use hashbrown::HashMap;
use host::{Expression, Host, HostError, MetricId, MetricKind};
use labels::{Labels, UNKNOWN};
use series::metric_name;

use crate::config::{Config, NANOSECONDS_PER_SECOND};
use crate::evaluation::{Expressions, A_NUMBER};
use crate::metrics::{self, Family, Source, Value};
use crate::symbols::{Symbol, Symbols};

/// As many values of its own as any family has.
const MAX_VALUES: usize = 6;
/// Which of the values of requests is their duration in nanoseconds.
const NANOSECONDS: usize = 4;

/// Different conditions of HTTP, and of TCP: each is evaluated at each report, and whether it holds is a bit.
pub const MAX_CONDITIONS: usize = 64;

/// Counts the records whose label sets were too many to tell apart.
pub const OVERFLOW_METRIC: &str = "stats_overflow_total";

/// All labels of a stream: the standard ones, and what the family's expressions come to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelSet {
    family: Family,
    labels: Labels<Symbol>,
    more: Vec<Symbol>,
}

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
    slots: Box<[Slot]>,
}

/// What is recorded of each family.
#[derive(Debug)]
struct Plans {
    request: Plan,
    messages: Plan,
    connection: Plan,
}

/// What is recorded of a family.
#[derive(Debug)]
struct Plan {
    metrics: Vec<Metric>,
    /// The standard labels that any of the metrics has; others do not tell label sets apart.
    used: Labels<bool>,
    /// The expressions that make labels.
    expressions: Vec<usize>,
    /// The conditions of metrics, at most [`MAX_CONDITIONS`].
    conditions: Vec<Expression>,
    /// Whether any expression of a label can be evaluated only in a callback of the stream.
    needs_stream: bool,
    /// Which of the family's own values are recorded.
    needs: [bool; MAX_VALUES],
}

/// A metric, ready to be recorded.
#[derive(Debug)]
struct Metric {
    name: String,
    kind: MetricKind,
    value: Number,
    /// The bit of the family's condition that must hold; none if it is always recorded.
    condition: u64,
    tags: Vec<(String, Part)>,
}

#[derive(Debug)]
enum Number {
    /// One of the family's own values, by index.
    Standard(usize),
    /// So many times one of the family's own values, by index.
    Times(u64, usize),
    /// One if the request took at most so many nanoseconds, or else nothing.
    AtMost(u64),
    /// The nanoseconds that it took, as whole seconds.
    Seconds,
    /// What an expression comes to.
    Expression(usize),
}

/// Where a label's value is: a part of a label set by index, or what is the same in all.
#[derive(Clone, Debug)]
enum Part {
    Label(usize),
    Identity(usize),
    More(usize),
    Fixed(Symbol),
    First(Vec<Part>),
}

/// A metric of one label set.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Undefined,
    /// With the nanoseconds that do not make up a second yet.
    Defined(MetricId, u32),
    /// Envoy did not define it; it is not asked again.
    Refused,
}

impl Recorder {
    /// Compiles what `config` asks for. Call it while the plugin is configured.
    #[inline(never)]
    pub fn new(config: &Config, host: &impl Host, symbols: &mut Symbols, problems: &mut Vec<Problem>) -> Self {
        let metrics = metrics::of_config(config, problems);
        let mut expressions = Expressions::new(host, symbols, &config.attributes, problems);
        let mut compiler = Compiler { config, host, symbols, expressions: &mut expressions, problems };
        let mut request = Plan::new(&metrics, Family::Request, &mut compiler);
        let mut messages = Plan::new(&metrics, Family::Messages, &mut compiler);
        let mut connection = Plan::new(&metrics, Family::Connection, &mut compiler);
        for plan in [&mut request, &mut messages, &mut connection] {
            plan.needs_stream = plan.expressions.iter().any(|index| expressions.needs_stream(*index));
        }
        Self {
            expressions,
            plans: Plans { request, messages, connection },
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
            labels: labels.select(&plan.used, Symbol::EMPTY),
            more: plan.expressions.iter().map(|index| self.expressions.label(host, symbols, *index)).collect(),
        }
    }

    /// Whether the labels of `family` are the standard ones alone, so that the same labels have the same series.
    pub fn is_standard(&self, family: Family) -> bool {
        self.plans.of(family).expressions.is_empty()
    }

    /// Whether the family's own value number `index` is recorded at all.
    pub fn needs_value(&self, family: Family, index: usize) -> bool {
        self.plans.of(family).needs.get(index).copied().unwrap_or(true)
    }

    /// Records the family's own values, and those that are expressions, of the metrics whose conditions hold now. A value
    /// that is not there is not recorded, a metric without records is not defined, and a label set without any is not
    /// kept. Returns the series of `set`, or `None` if it has none because nothing was recorded or they are too many to
    /// tell apart.
    pub fn record(
        &mut self,
        host: &impl Host,
        symbols: &Symbols,
        set: &LabelSet,
        values: &[Option<u64>],
    ) -> Option<SeriesId> {
        let held = self.plans.of(set.family).held(host);
        let mut series = self.by_labels.get(set).copied();
        if series.is_none() {
            if !self.records(host, set, held, values) {
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
        self.record_held(host, symbols, id, held, values);
        series
    }

    /// Records requests to series that are known already.
    pub fn record_request(&mut self, host: &impl Host, symbols: &Symbols, id: SeriesId, values: &[Option<u64>]) {
        let held = self.plans.request.held(host);
        self.record_held(host, symbols, id, held, values);
    }

    /// Records to series whose conditions hold as `held` says.
    fn record_held(&mut self, host: &impl Host, symbols: &Symbols, id: SeriesId, held: u64, values: &[Option<u64>]) {
        let Some(Series { set, slots }) = self.series.get_mut(id.0) else {
            return;
        };
        let plan = self.plans.of(set.family);
        for (slot, metric) in slots.iter_mut().zip(&plan.metrics) {
            let Some(value) = metric.value(host, &self.expressions, held, values) else {
                continue;
            };
            if let Slot::Undefined = slot {
                *slot = match define(host, metric.kind, &metric.stat_name(symbols, set)) {
                    Some(id) => Slot::Defined(id, 0),
                    None => Slot::Refused,
                };
            }
            let Slot::Defined(id, rest) = slot else {
                continue;
            };
            let value = match metric.value {
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

    /// Whether anything is recorded for `set` when the family's own values are `values`.
    fn records(&self, host: &impl Host, set: &LabelSet, held: u64, values: &[Option<u64>]) -> bool {
        let mut metrics = self.plans.of(set.family).metrics.iter();
        metrics.any(|metric| metric.value(host, &self.expressions, held, values).is_some())
    }

    fn add(&mut self, set: LabelSet) -> SeriesId {
        let id = SeriesId(self.series.len());
        let count = self.plans.of(set.family).metrics.len();
        self.reserved = self.reserved.saturating_add(count);
        let set = Rc::new(set);
        self.by_labels.insert(Rc::clone(&set), id);
        self.series.push(Series { set, slots: vec![Slot::Undefined; count].into_boxed_slice() });
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

impl LabelSet {
    /// The same with the response flags of a later moment, where they are among the labels.
    pub fn with_response_flags(&self, flags: Symbol) -> Self {
        let mut set = self.clone();
        if set.labels.response_flags != Symbol::EMPTY {
            set.labels.response_flags = flags;
        }
        set
    }

    fn contains(&self, symbol: Symbol) -> bool {
        self.labels.pairs().iter().any(|(_, other)| *other == symbol) || self.more.contains(&symbol)
    }

    /// The label set under which all those are counted that are too many: what remains cannot be many.
    fn fold(&self) -> Self {
        Self {
            family: self.family,
            labels: Labels {
                reporter: self.labels.reporter,
                request_protocol: self.labels.request_protocol,
                ..Labels::all(Symbol::OVERFLOW)
            },
            more: self.more.iter().map(|_| Symbol::OVERFLOW).collect(),
        }
    }
}

/// Compiles the expressions of a configuration.
struct Compiler<'a, H> {
    config: &'a Config,
    host: &'a H,
    symbols: &'a mut Symbols,
    expressions: &'a mut Expressions,
    problems: &'a mut Vec<Problem>,
}

impl<H: Host> Compiler<'_, H> {
    /// An expression of a label.
    fn expression(&mut self, text: &str) -> usize {
        let path = path_of_label(self.config, text);
        self.expressions.add(self.host, self.symbols, text, &path, self.problems)
    }

    fn condition(&mut self, text: &str, path: &str) -> Option<Expression> {
        self.expressions.condition(self.host, text, path, self.problems)
    }

    /// An expression of a value. One that is refused is reported for each definition that has it.
    fn number(&mut self, text: &str, path: String) -> usize {
        if self.expressions.has_label(text, A_NUMBER, &path, self.problems) {
            return usize::MAX; // Nothing is recorded by a configuration that is refused.
        }
        let told = self.problems.len();
        let index = self.expressions.add(self.host, self.symbols, text, &path, self.problems);
        if self.problems.len() == told && !self.expressions.may_be_number(index, text) {
            let message = format!(
                "{text:?} is not allowed for HTTP, must be a whole number, or an attribute or expression of one"
            );
            self.problems.push(Problem { path, message });
        }
        index
    }
}

impl Plans {
    fn of(&self, family: Family) -> &Plan {
        match family {
            Family::Request => &self.request,
            Family::Messages => &self.messages,
            Family::Connection => &self.connection,
        }
    }
}

impl Plan {
    /// What of `metrics` is recorded for `family`.
    fn new<H: Host>(metrics: &[metrics::Metric], family: Family, compiler: &mut Compiler<H>) -> Self {
        let mut expressions: Vec<usize> = Vec::new();
        let (mut conditions, mut texts): (Vec<Expression>, Vec<&str>) = (Vec::new(), Vec::new());
        let mut compiled = Vec::new();
        for metric in metrics.iter().filter(|metric| metric.family == family) {
            let value = match &metric.value {
                Value::Standard(index) => Number::Standard(*index),
                Value::AtMost(bound) | Value::Bucket(bound, _) => Number::AtMost(*bound),
                Value::Seconds => Number::Seconds,
                Value::Times(times, index) => Number::Times(*times, *index),
                Value::Expression(text) => Number::Expression(compiler.number(text, [&metric.path, ".value"].concat())),
            };
            let mut tags = Vec::new();
            for tag in &metric.tags {
                let part = Part::of(&tag.source, &mut expressions, compiler);
                tags.push((tag.name.clone(), part));
            }
            let condition = metric.condition.as_ref().map_or(0, |text| {
                let known = texts.iter().position(|known| *known == text);
                bit(known.unwrap_or_else(|| {
                    texts.push(text);
                    conditions.extend(compiler.condition(text, &[&metric.path, ".match"].concat()));
                    texts.len().saturating_sub(1)
                }))
            });
            let name = [metric.prefix, &metric.name, metric.suffix].concat();
            compiled.push(Metric { name, kind: metric.kind, value, condition, tags });
        }
        if texts.len() > MAX_CONDITIONS {
            let message = format!(
                "{} different conditions (match) of one protocol are too many, must be at most {MAX_CONDITIONS}",
                texts.len()
            );
            compiler.problems.push(Problem { path: "definitions".into(), message });
        }
        let needs = core::array::from_fn(|value| {
            compiled.iter().any(|metric| match metric.value {
                Number::Standard(index) | Number::Times(_, index) => index == value,
                Number::AtMost(_) | Number::Seconds => value == NANOSECONDS,
                Number::Expression(_) => false,
            })
        });
        Self {
            metrics: compiled,
            used: metrics::used_labels(metrics, family),
            expressions,
            conditions,
            needs_stream: false,
            needs,
        }
    }

    /// Which of the conditions hold now, the first one in the lowest bit. One that fails does not hold.
    fn held(&self, host: &impl Host) -> u64 {
        let conditions = self.conditions.iter().rev();
        conditions.fold(0, |held, it| held << 1 | u64::from(host.evaluate(*it).as_deref() == Some(&[1])))
    }
}

impl Part {
    /// Where to find what `source` says; `expressions` are those whose values are in the label set.
    fn of<H: Host>(source: &Source, expressions: &mut Vec<usize>, compiler: &mut Compiler<H>) -> Self {
        match source {
            Source::Label(index) => Self::Label(*index),
            Source::Identity(index) => Self::Identity(*index),
            Source::First(sources) => {
                Self::First(sources.iter().map(|source| Self::of(source, expressions, compiler)).collect())
            }
            Source::Expression(text) => {
                let index = compiler.expression(text);
                if let Some(symbol) = compiler.expressions.constant(index) {
                    return Self::Fixed(symbol);
                }
                let known = expressions.iter().position(|known| *known == index);
                Self::More(known.unwrap_or_else(|| {
                    expressions.push(index);
                    expressions.len().saturating_sub(1)
                }))
            }
        }
    }

    fn text<'a>(&self, symbols: &'a Symbols, labels: &[(&str, Symbol)], more: &[Symbol]) -> &'a str {
        let symbol = match self {
            Self::Label(index) | Self::Identity(index) => labels.get(*index).map(|(_, symbol)| *symbol),
            Self::More(index) => more.get(*index).copied(),
            Self::Fixed(symbol) => Some(*symbol),
            Self::First(parts) => {
                let mut texts = parts.iter().map(|part| part.text(symbols, labels, more));
                let last = texts.clone().next_back();
                return texts.find(|text| !matches!(*text, UNKNOWN | "")).or(last).unwrap_or(UNKNOWN);
            }
        };
        let text = symbols.text(symbol.unwrap_or_default());
        match self {
            Self::Identity(_) => text.strip_prefix("spiffe://").unwrap_or(text),
            _ => text,
        }
    }
}

impl Metric {
    fn value(&self, host: &impl Host, expressions: &Expressions, held: u64, values: &[Option<u64>]) -> Option<u64> {
        if self.condition & !held != 0 {
            return None;
        }
        match self.value {
            Number::Standard(index) => values.get(index).copied().flatten(),
            Number::Times(times, index) => {
                values.get(index).copied().flatten().map(|value| value.saturating_mul(times))
            }
            Number::AtMost(bound) => Some(u64::from(values.get(NANOSECONDS).copied().flatten()? <= bound)),
            Number::Seconds => values.get(NANOSECONDS).copied().flatten(),
            // As in Istio, a counter to which nothing is added has no series.
            Number::Expression(index) => {
                expressions.number(host, index).filter(|value| *value > 0 || self.kind != MetricKind::Counter)
            }
        }
    }

    fn stat_name(&self, symbols: &Symbols, set: &LabelSet) -> String {
        let labels = set.labels.pairs();
        let tags = self.tags.iter().map(|(name, part)| (name.as_str(), part.text(symbols, &labels, &set.more)));
        metric_name::encode(symbols.separators(), tags, &self.name)
    }
}

/// The whole seconds in `nanoseconds` and what was left from before; the new rest goes to `rest`.
fn carry(nanoseconds: u64, rest: &mut u32) -> u64 {
    let total = nanoseconds.saturating_add(u64::from(*rest));
    *rest = u32::try_from(total % NANOSECONDS_PER_SECOND).unwrap_or_default();
    total / NANOSECONDS_PER_SECOND
}

/// The bit of condition number `index`.
fn bit(index: usize) -> u64 {
    1_u64.wrapping_shl(index as u32)
}

/// Where in the configuration an expression of a label stands first.
fn path_of_label(config: &Config, text: &str) -> String {
    let label = |dimensions: &TextMap| {
        let mut labels = dimensions.iter();
        let has = |written: &str| expression::alternatives(written).contains(&text);
        labels.find(|(_, written)| has(written)).map(|(label, _)| label.to_string())
    };
    for (index, definition) in config.definitions.iter().enumerate() {
        if let Some(label) = label(&definition.dimensions) {
            return format!("definitions[{index}].dimensions.{label}");
        }
    }
    for (index, change) in config.metrics.iter().enumerate() {
        if let Some(label) = label(&change.dimensions) {
            return format!("metrics[{index}].dimensions.{label}");
        }
    }
    String::new()
}

fn define(host: &impl Host, kind: MetricKind, name: &str) -> Option<MetricId> {
    let id = host.define_metric(kind, name);
    id.inspect_err(|error: &HostError| log::warn!("stats: {name} not defined: {error}")).ok()
}

#[cfg(test)]
mod tests;
