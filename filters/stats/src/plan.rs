//! Compiles the metrics of each family when the plugin is configured.

use collections::names::Names;
use configuration::{Cut, Problem, Quoted};
use expression;
use host::{Expression, Host, MetricKind, StateKind};
use labels::{Label, Labels, UNKNOWN};
use series::metric_name;

use crate::config::StatsConfig;
use crate::evaluation::{Expressions, A_NUMBER};
use crate::label_set::LabelSet;
use crate::measurement::{ByMeasurement, Family, Measured, Measurement};
use crate::metrics::{self, MetricSpec, Quantity, TagSource};
use crate::states::{self, Keys};
use crate::symbols::{Symbol, Symbols};

/// Most conditions of HTTP metrics, and of TCP metrics. Each report evaluates all of them, into one bit each.
pub const MAX_CONDITIONS: usize = 64;

/// What expressions about the response's code have in them.
const CODE: &[u8] = b"response.code";

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

/// The plans of all families.
#[derive(Debug)]
pub struct Plans {
    request: FamilyPlan,
    messages: FamilyPlan,
    connection: FamilyPlan,
}

/// The plan of a family.
#[derive(Debug)]
pub struct FamilyPlan {
    /// The metrics.
    pub metrics: Vec<PlannedMetric>,
    /// The standard labels that any metric of the family has. Other labels do not distinguish label sets.
    pub used: Labels<bool>,
    /// The label expressions.
    pub expressions: Vec<usize>,
    /// Which of them are about the response's code.
    pub codes: Vec<usize>,
    /// The conditions of metrics, at most [`MAX_CONDITIONS`].
    pub conditions: Vec<Expression>,
    /// True if a label expression needs a callback of the stream.
    pub needs_stream: bool,
    /// The measurements that the metrics need.
    pub needs: ByMeasurement<bool>,
    /// Where Envoy counts: the states that hold the labels.
    pub states: Vec<LabelState>,
    /// Where Envoy counts: whether it counts each stream.
    pub counts_all: bool,
}

/// The state that holds a label's value.
#[derive(Debug)]
pub struct LabelState {
    /// Its key.
    pub key: String,
    part: TagPart,
}

/// Who counts a metric.
#[derive(Debug, PartialEq, Eq)]
pub enum Counted {
    /// The module, in a stat of the labels' name.
    Here,
    /// Envoy. The module tells the number in the state of this key.
    Told(String),
    /// Envoy, which knows the number.
    There,
}

/// A metric, ready to be recorded.
#[derive(Debug)]
pub struct PlannedMetric {
    name: String,
    /// Kind.
    pub kind: MetricKind,
    /// The value.
    pub number: Number,
    /// Who counts it.
    pub counted: Counted,
    /// Bit of its condition in the family; 0 if it is always recorded.
    condition: u64,
    tags: Vec<(String, TagPart)>,
}

/// The value that a metric records.
#[derive(Debug)]
pub enum Number {
    /// A measurement times this factor.
    Times(u64, Measurement),
    /// Duration of the request, in whole milliseconds.
    Milliseconds,
    /// One if the request took at most this many nanoseconds, else nothing.
    AtMost(u64),
    /// Duration of the request in nanoseconds, recorded as whole seconds.
    Seconds,
    /// The result of an expression, by its index.
    Expression(usize),
}

/// Where to find a label's value: in the label set, or a constant.
#[derive(Clone, Debug)]
enum TagPart {
    Label(Label),
    /// Without `spiffe://`.
    Identity(Label),
    /// By index.
    More(usize),
    Fixed(Symbol),
    First(Vec<TagPart>),
}

/// Compiles the expressions of a configuration.
struct Compiler<'a, H> {
    config: &'a StatsConfig,
    host: &'a H,
    symbols: &'a mut Symbols,
    expressions: &'a mut Expressions,
    problems: &'a mut Vec<Problem>,
    /// Where expressions stand, once somebody wants to know.
    places: Option<Places>,
}

/// Where in the configuration each expression of a label stands first.
struct Places {
    texts: Names,
    paths: Vec<String>,
}

/// The expressions whose values are in the label sets of a family.
#[derive(Default)]
struct More {
    expressions: Vec<usize>,
    /// The places of those that are about the response's code.
    codes: Vec<usize>,
    /// Where each expression is among them; `usize::MAX` if it is not.
    places: Vec<usize>,
}

impl<H: Host> Compiler<'_, H> {
    /// Adds the expression of a label.
    fn expression(&mut self, text: &str) -> usize {
        let told = self.problems.len();
        let index = self.expressions.add(self.host, self.symbols, text, "", self.problems);
        if let Some(problem) = self.problems.get_mut(told) {
            problem.path = self.places.get_or_insert_with(|| Places::of(self.config)).path(text);
        }
        index
    }

    fn condition(&mut self, text: &str, path: &str) -> Option<Expression> {
        self.expressions.condition(self.host, text, path, self.problems)
    }

    /// Adds the expression of a value. A problem is reported once for each definition.
    fn number(&mut self, text: &str, path: String) -> usize {
        if self.expressions.has_label(text, A_NUMBER, &path, self.problems) {
            return usize::MAX; // Nothing is recorded by a configuration that is refused.
        }
        let told = self.problems.len();
        let index = self.expressions.add(self.host, self.symbols, text, &path, self.problems);
        if self.problems.len() == told && !self.expressions.may_be_number(index, text) {
            let message = format!(
                "{} is not allowed for HTTP, must be a whole number, or an attribute or expression of one",
                Quoted(text)
            );
            self.problems.push(Problem { path, message });
        }
        index
    }
}

impl Places {
    fn of(config: &StatsConfig) -> Self {
        let mut places = Self { texts: Names::default(), paths: Vec::new() };
        config.dimensions(&mut |label, written, list, index| {
            for text in expression::alternatives(written) {
                if places.texts.add(text).1 {
                    places.paths.push(format!("{list}[{index}].dimensions.{}", Cut(label)));
                }
            }
        });
        places
    }

    fn path(&self, text: &str) -> String {
        self.texts.get(text).and_then(|number| self.paths.get(number)).cloned().unwrap_or_default()
    }
}

impl More {
    /// Where the value of an expression is; it gets a place if it has none.
    fn place(&mut self, expression: usize) -> usize {
        if expression >= self.places.len() {
            self.places.resize(expression.saturating_add(1), usize::MAX);
        }
        let Some(place) = self.places.get_mut(expression) else {
            return usize::MAX;
        };
        if *place == usize::MAX {
            *place = self.expressions.len();
            self.expressions.push(expression);
        }
        *place
    }
}

impl Plans {
    /// The plan for `config`, with its expressions.
    pub fn new<H: Host>(
        config: &StatsConfig,
        host: &H,
        symbols: &mut Symbols,
        problems: &mut Vec<Problem>,
    ) -> (Self, Expressions) {
        let metrics = metrics::of_config(config, problems);
        let mut expressions = Expressions::new(host, symbols, &config.attributes, problems);
        let mut compiler = Compiler { config, host, symbols, expressions: &mut expressions, problems, places: None };
        let mut plan = |families: &[Family]| FamilyPlan::new(&metrics, families, &mut compiler);
        // Envoy counts a request and its messages at once.
        let [of_request, of_messages]: [&[Family]; 2] = match config.envoy_counts.is_some() {
            true => [&[Family::Request, Family::Messages], &[]],
            false => [&[Family::Request], &[Family::Messages]],
        };
        let plans =
            Self { request: plan(of_request), messages: plan(of_messages), connection: plan(&[Family::Connection]) };
        (plans, expressions)
    }

    /// What is recorded of a family.
    pub fn of(&self, family: Family) -> &FamilyPlan {
        match family {
            Family::Request => &self.request,
            Family::Messages => &self.messages,
            Family::Connection => &self.connection,
        }
    }
}

impl FamilyPlan {
    /// What of `metrics` is recorded for `families`.
    fn new<H: Host>(metrics: &[MetricSpec], families: &[Family], compiler: &mut Compiler<H>) -> Self {
        let keys = compiler.config.envoy_counts.as_deref().map(Keys::new);
        let mut more = More::default();
        let (mut conditions, mut texts) = (Vec::new(), Names::default());
        let mut compiled = Vec::new();
        let mut states: Vec<LabelState> = Vec::new();
        for metric in metrics.iter().filter(|metric| families.contains(&metric.family)) {
            let counted = match (&keys, metric.of_envoy()) {
                (None, _) => Counted::Here,
                (Some(_), Some(_)) => Counted::There,
                (Some(keys), None) => Counted::Told(keys.number(metric)),
            };
            let number = match &metric.quantity {
                Quantity::Times(times, measurement) => Number::Times(*times, *measurement),
                Quantity::Milliseconds => Number::Milliseconds,
                Quantity::AtMost(bound) | Quantity::Bucket(bound, _) => Number::AtMost(*bound),
                Quantity::Seconds => Number::Seconds,
                Quantity::Expression(text) => {
                    Number::Expression(compiler.number(text, [&metric.path, ".value"].concat()))
                }
            };
            let mut tags = Vec::new();
            for tag in &metric.tags {
                let part = TagPart::of(&tag.source, &mut more, compiler);
                if let Some(keys) = &keys {
                    let key = keys.label(&tag.source);
                    if states.iter().all(|state| state.key != key) {
                        states.push(LabelState { key, part: part.clone() });
                    }
                }
                tags.push((tag.name.clone(), part));
            }
            let condition = metric.condition.as_ref().map_or(0, |text| {
                let (index, is_new) = texts.add(text);
                if is_new {
                    conditions.extend(compiler.condition(text, &[&metric.path, ".match"].concat()));
                }
                bit(index)
            });
            let name = [metric.prefix, &metric.name, metric.suffix].concat();
            compiled.push(PlannedMetric { name, kind: metric.kind, number, counted, condition, tags });
        }
        if texts.len() > MAX_CONDITIONS {
            let message = format!(
                "{} different conditions (match) of one protocol are too many, must be at most {MAX_CONDITIONS}",
                texts.len()
            );
            compiler.problems.push(Problem { path: "definitions".into(), message });
        }
        let mut needs = ByMeasurement::default();
        for metric in compiled.iter().filter(|metric| metric.counted != Counted::There) {
            if let Some(measurement) = metric.number.measurement() {
                needs.set(measurement, true);
            }
        }
        Self {
            counts_all: compiled.iter().any(|metric| metric.counted == Counted::There),
            metrics: compiled,
            states,
            used: metrics::used_labels(metrics, families),
            needs_stream: more.expressions.iter().any(|index| compiler.expressions.needs_stream(*index)),
            expressions: more.expressions,
            codes: more.codes,
            conditions,
            needs,
        }
    }

    /// How many series a label set has. Of the metrics of messages, only a request with messages.
    pub fn width(&self, measured: &Measured) -> usize {
        let has = |measurement| measured.get(measurement).is_some();
        if has(Measurement::RequestMessages) || has(Measurement::ResponseMessages) {
            return self.metrics.len();
        }
        let of_messages = |metric: &&PlannedMetric| {
            metric.number.measurement().is_some_and(|measurement| measurement.family() == Family::Messages)
        };
        self.metrics.len().saturating_sub(self.metrics.iter().filter(of_messages).count())
    }

    /// Tells Envoy of the states that the family has, but for the `known` ones: it takes no name twice. Call it while the plugin is
    /// configured.
    pub fn declare(&self, host: &impl Host, known: &[LabelState]) {
        for state in self.states.iter().filter(|state| known.iter().all(|known| known.key != state.key)) {
            states::declare(host, &state.key, StateKind::ConnectionText);
        }
        for metric in &self.metrics {
            if let Counted::Told(key) = &metric.counted {
                states::declare(host, key, StateKind::Text);
            }
        }
    }

    /// The conditions that hold now, the first in the lowest bit. A condition that fails does not hold.
    pub fn held(&self, host: &impl Host) -> u64 {
        let conditions = self.conditions.iter().rev();
        conditions.fold(0, |held, it| held << 1 | u64::from(host.evaluate(*it).as_deref() == Some(&[1])))
    }
}

impl LabelState {
    /// What it holds for these labels.
    pub fn text<'a>(&self, symbols: &'a Symbols, set: &LabelSet) -> &'a str {
        self.part.text(symbols, set)
    }
}

impl TagPart {
    /// Where to find what `source` says, if need be with one more value in the label set.
    fn of<H: Host>(source: &TagSource, more: &mut More, compiler: &mut Compiler<H>) -> Self {
        match source {
            TagSource::Label(label) => Self::Label(*label),
            TagSource::Identity(label) => Self::Identity(*label),
            TagSource::First(sources) => {
                Self::First(sources.iter().map(|source| Self::of(source, more, compiler)).collect())
            }
            TagSource::Expression(text) => {
                let index = compiler.expression(text);
                if let Some(symbol) = compiler.expressions.constant(index) {
                    return Self::Fixed(symbol);
                }
                let place = more.place(index);
                if text.as_bytes().windows(CODE.len()).any(|part| part == CODE) {
                    more.codes.push(place);
                }
                Self::More(place)
            }
        }
    }

    fn text<'a>(&self, symbols: &'a Symbols, set: &LabelSet) -> &'a str {
        let symbol = match self {
            Self::Label(label) | Self::Identity(label) => set.standard.get(*label),
            Self::More(index) => set.more.get(*index).copied().unwrap_or_default(),
            Self::Fixed(symbol) => *symbol,
            Self::First(parts) => {
                let mut texts = parts.iter().map(|part| part.text(symbols, set));
                let last = texts.clone().next_back();
                return texts.find(|text| !matches!(*text, UNKNOWN | "")).or(last).unwrap_or(UNKNOWN);
            }
        };
        let text = symbols.text(symbol);
        match self {
            Self::Identity(_) => text.strip_prefix("spiffe://").unwrap_or(text),
            _ => text,
        }
    }
}

impl Number {
    /// The measurement that the number needs.
    fn measurement(&self) -> Option<Measurement> {
        match self {
            Self::Times(_, measurement) => Some(*measurement),
            Self::Milliseconds | Self::AtMost(_) | Self::Seconds => Some(Measurement::Duration),
            Self::Expression(_) => None,
        }
    }
}

impl PlannedMetric {
    /// The value to record for a stream with the values `measured` and the conditions `held`.
    pub fn value(&self, host: &impl Host, expressions: &Expressions, held: u64, measured: &Measured) -> Option<u64> {
        if self.condition & !held != 0 {
            return None;
        }
        match self.number {
            Number::Times(times, measurement) => Some(measured.get(measurement)?.saturating_mul(times)),
            Number::Milliseconds => measured.get(Measurement::Duration)?.checked_div(NANOSECONDS_PER_MILLISECOND),
            Number::AtMost(bound) => Some(u64::from(measured.get(Measurement::Duration)? <= bound)),
            Number::Seconds => measured.get(Measurement::Duration),
            // As in Istio, adding zero to a counter does not create a series.
            Number::Expression(index) => {
                expressions.number(host, index).filter(|value| *value > 0 || self.kind != MetricKind::Counter)
            }
        }
    }

    /// The name of its stat with these labels.
    pub fn stat_name(&self, symbols: &Symbols, set: &LabelSet) -> String {
        let tags = self.tags.iter().map(|(name, part)| (name.as_str(), part.text(symbols, set)));
        metric_name::encode(symbols.separators(), tags, &self.name)
    }
}

/// The bit of condition number `index`.
fn bit(index: usize) -> u64 {
    1_u64.wrapping_shl(index as u32)
}
