//! Labels become Envoy's metrics, each label set once.
//!
//! Envoy cannot forget a metric that a module defined, and defining one is a thousand times dearer than using it. So a
//! metric is defined when it is first recorded with a label set and found by one lookup from then on, and there is an end
//! to how many one worker defines.

use core::mem;

use hashbrown::HashMap;
use mesh_common::config::Problem;
use mesh_common::host::{Host, HostError, MetricId, MetricKind};
use mesh_common::labels::Labels;
use mesh_common::metric_name;

use crate::config::Config;
use crate::evaluation::Expressions;
use crate::metrics::{self, Family, Source, Value, PREFIX};
use crate::symbols::{Symbol, Symbols};

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
    request: Plan,
    messages: Plan,
    connection: Plan,
    series: HashMap<LabelSet, Box<[Slot]>>,
    max_series: usize,
    /// How many metrics the label sets have, defined already or not.
    reserved: usize,
    overflow: Option<MetricId>,
    recorded: Vec<Option<u64>>,
}

/// What is recorded of a family.
#[derive(Debug)]
struct Plan {
    metrics: Vec<Metric>,
    /// The standard labels that any of the metrics has; others do not tell label sets apart.
    used: Labels<bool>,
    /// The expressions that make labels.
    expressions: Vec<usize>,
    /// Whether any expression can be evaluated only in a callback of the stream.
    needs_stream: bool,
}

/// A metric, ready to be recorded.
#[derive(Debug)]
struct Metric {
    name: String,
    kind: MetricKind,
    value: Number,
    tags: Vec<(String, Part)>,
}

#[derive(Debug)]
enum Number {
    /// One of the family's own values, by index.
    Standard(usize),
    /// What an expression comes to.
    Expression(usize),
}

/// A part of a label set, by index.
#[derive(Clone, Copy, Debug)]
enum Part {
    Label(usize),
    More(usize),
}

/// A metric of one label set.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Undefined,
    Defined(MetricId),
    /// Envoy did not define it; it is not asked again.
    Refused,
}

impl Recorder {
    /// Compiles what `config` asks for. Call it while the plugin is configured.
    pub fn new(config: &Config, host: &impl Host, symbols: &mut Symbols, problems: &mut Vec<Problem>) -> Self {
        let metrics = metrics::of_config(config, problems);
        let mut expressions = Expressions::new(host, symbols, &config.attributes, problems);
        let mut compile = |family| {
            Plan::new(&metrics, family, |text: &str| {
                expressions.add(host, symbols, text, &path_of(config, text), problems)
            })
        };
        let (mut request, mut messages, mut connection) =
            (compile(Family::Request), compile(Family::Messages), compile(Family::Connection));
        for plan in [&mut request, &mut messages, &mut connection] {
            plan.needs_stream = plan.expressions.iter().any(|index| expressions.needs_stream(*index));
        }
        Self {
            expressions,
            request,
            messages,
            connection,
            series: HashMap::new(),
            max_series: config.max_series,
            reserved: 0,
            overflow: None,
            recorded: Vec::new(),
        }
    }

    /// Whether label sets of `family` can be made only in a callback of the stream, not within a tick.
    pub fn needs_stream(&self, family: Family) -> bool {
        self.plan(family).needs_stream
    }

    /// Makes the attributes that labels of the current stream may be. Not within a tick.
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
        let plan = self.plan(family);
        LabelSet {
            family,
            labels: labels.select(&plan.used, Symbol::EMPTY),
            more: plan.expressions.iter().map(|index| self.expressions.label(host, symbols, *index)).collect(),
        }
    }

    /// Records the family's own values, and those that are expressions. A value that is not there is not recorded, a
    /// metric without records is not defined, and a label set without any is not kept.
    pub fn record(&mut self, host: &impl Host, symbols: &Symbols, set: &LabelSet, values: &[Option<u64>]) {
        // Taken out and put back, so that a request does not allocate.
        let mut recorded = mem::take(&mut self.recorded);
        recorded.clear();
        recorded.extend(self.plan(set.family).metrics.iter().map(|metric| self.value(host, metric, values)));
        self.record_values(host, symbols, set, &recorded);
        self.recorded = recorded;
    }

    fn record_values(&mut self, host: &impl Host, symbols: &Symbols, set: &LabelSet, values: &[Option<u64>]) {
        if values.iter().all(Option::is_none) {
            return;
        }
        if self.series.contains_key(set) || self.has_room(set) {
            self.record_series(host, symbols, set, values);
        } else {
            self.count_overflow(host);
            self.record_series(host, symbols, &set.fold(), values);
        }
    }

    fn value(&self, host: &impl Host, metric: &Metric, values: &[Option<u64>]) -> Option<u64> {
        match metric.value {
            Number::Standard(index) => values.get(index).copied().flatten(),
            // As in Istio, a counter to which nothing is added has no series.
            Number::Expression(index) => {
                let value = self.expressions.number(host, index);
                value.filter(|value| *value > 0 || metric.kind != MetricKind::Counter)
            }
        }
    }

    /// Whether a new label set can be told from others.
    fn has_room(&self, set: &LabelSet) -> bool {
        let series = self.reserved.saturating_add(self.plan(set.family).metrics.len());
        series <= self.max_series && !set.contains(Symbol::OVERFLOW)
    }

    fn record_series(&mut self, host: &impl Host, symbols: &Symbols, set: &LabelSet, values: &[Option<u64>]) {
        let plan = match set.family {
            Family::Request => &self.request,
            Family::Messages => &self.messages,
            Family::Connection => &self.connection,
        };
        let series = match self.series.get_mut(set) {
            Some(series) => series,
            None => {
                self.reserved = self.reserved.saturating_add(plan.metrics.len());
                let undefined = || vec![Slot::Undefined; plan.metrics.len()].into_boxed_slice();
                self.series.entry(set.clone()).or_insert_with(undefined)
            }
        };
        for ((slot, metric), value) in series.iter_mut().zip(&plan.metrics).zip(values) {
            let Some(value) = value else {
                continue;
            };
            if let Slot::Undefined = slot {
                *slot = match define(host, metric.kind, &metric.stat_name(symbols, set)) {
                    Some(id) => Slot::Defined(id),
                    None => Slot::Refused,
                };
            }
            if let Slot::Defined(id) = *slot {
                // With an id that Envoy gave, this cannot fail.
                let _ = host.record_metric(id, *value);
            }
        }
    }

    fn plan(&self, family: Family) -> &Plan {
        match family {
            Family::Request => &self.request,
            Family::Messages => &self.messages,
            Family::Connection => &self.connection,
        }
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

impl Plan {
    /// What of `metrics` is recorded for `family`; `expression` compiles one and returns its index.
    fn new(metrics: &[metrics::Metric], family: Family, mut expression: impl FnMut(&str) -> usize) -> Self {
        let mut expressions: Vec<usize> = Vec::new();
        let mut compiled = Vec::new();
        for metric in metrics.iter().filter(|metric| metric.family == family) {
            let value = match &metric.value {
                Value::Standard(index) => Number::Standard(*index),
                Value::Expression(text) => Number::Expression(expression(text)),
            };
            let mut tags = Vec::new();
            for tag in &metric.tags {
                let part = match &tag.source {
                    Source::Label(index) => Part::Label(*index),
                    Source::Expression(text) => {
                        let index = expression(text);
                        let known = expressions.iter().position(|known| *known == index);
                        Part::More(known.unwrap_or_else(|| {
                            expressions.push(index);
                            expressions.len().saturating_sub(1)
                        }))
                    }
                };
                tags.push((tag.name.clone(), part));
            }
            compiled.push(Metric { name: [PREFIX, &metric.name].concat(), kind: metric.kind, value, tags });
        }
        Self { metrics: compiled, used: metrics::used_labels(metrics, family), expressions, needs_stream: false }
    }
}

impl Metric {
    fn stat_name(&self, symbols: &Symbols, set: &LabelSet) -> String {
        let labels = set.labels.pairs();
        let tags = self.tags.iter().map(|(name, part)| {
            let symbol = match part {
                Part::Label(index) => labels.get(*index).map(|(_, symbol)| *symbol),
                Part::More(index) => set.more.get(*index).copied(),
            };
            (name.as_str(), symbols.text(symbol.unwrap_or_default()))
        });
        metric_name::encode(symbols.separators(), tags, &self.name)
    }
}

/// Where in the configuration an expression stands first.
fn path_of(config: &Config, text: &str) -> String {
    for (index, definition) in config.definitions.iter().enumerate() {
        if definition.value == text {
            return format!("definitions[{index}].value");
        }
    }
    for (index, change) in config.metrics.iter().enumerate() {
        for (label, expression) in &change.dimensions {
            if expression == text {
                return format!("metrics[{index}].dimensions.{label}");
            }
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
