//! What is recorded of each family, decided when the plugin is configured.

use collections::text_map::TextMap;
use configuration::Problem;
use expression;
use host::{Expression, Host, MetricKind};
use labels::{Label, Labels, UNKNOWN};
use series::metric_name;

use crate::config::StatsConfig;
use crate::evaluation::{Expressions, A_NUMBER};
use crate::label_set::LabelSet;
use crate::measurement::{ByMeasurement, Family, Measured, Measurement};
use crate::metrics::{self, MetricSpec, Quantity, TagSource};
use crate::symbols::{Symbol, Symbols};

/// Different conditions of HTTP, and of TCP: each is evaluated at each report, and whether it holds is a bit.
pub const MAX_CONDITIONS: usize = 64;

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

/// What is recorded of each family.
#[derive(Debug)]
pub struct Plans {
    request: FamilyPlan,
    messages: FamilyPlan,
    connection: FamilyPlan,
}

/// What is recorded of a family.
#[derive(Debug)]
pub struct FamilyPlan {
    /// The metrics.
    pub metrics: Vec<PlannedMetric>,
    /// The standard labels that any of the metrics has; others do not tell label sets apart.
    pub used: Labels<bool>,
    /// The expressions that make labels.
    pub expressions: Vec<usize>,
    /// The conditions of metrics, at most [`MAX_CONDITIONS`].
    pub conditions: Vec<Expression>,
    /// Whether any expression of a label can be evaluated only in a callback of the stream.
    pub needs_stream: bool,
    /// What is recorded.
    pub needs: ByMeasurement<bool>,
}

/// A metric, ready to be recorded.
#[derive(Debug)]
pub struct PlannedMetric {
    name: String,
    /// Kind.
    pub kind: MetricKind,
    /// What it records.
    pub number: Number,
    /// The bit of the family's condition that must hold; none if it is always recorded.
    condition: u64,
    tags: Vec<(String, TagPart)>,
}

/// What a metric records.
#[derive(Debug)]
pub enum Number {
    /// So many times a measurement.
    Times(u64, Measurement),
    /// The whole milliseconds that a request took.
    Milliseconds,
    /// One if the request took at most so many nanoseconds, or else nothing.
    AtMost(u64),
    /// The nanoseconds that it took, as whole seconds.
    Seconds,
    /// What an expression comes to, by its index.
    Expression(usize),
}

/// Where a label's value is: a part of a label set, or what is the same in all.
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
    /// What `config` asks for, with the expressions that it takes.
    pub fn new<H: Host>(
        config: &StatsConfig,
        host: &H,
        symbols: &mut Symbols,
        problems: &mut Vec<Problem>,
    ) -> (Self, Expressions) {
        let metrics = metrics::of_config(config, problems);
        let mut expressions = Expressions::new(host, symbols, &config.attributes, problems);
        let mut compiler = Compiler { config, host, symbols, expressions: &mut expressions, problems };
        let mut plan = |family| FamilyPlan::new(&metrics, family, &mut compiler);
        let plans = Self {
            request: plan(Family::Request),
            messages: plan(Family::Messages),
            connection: plan(Family::Connection),
        };
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
    /// What of `metrics` is recorded for `family`.
    fn new<H: Host>(metrics: &[MetricSpec], family: Family, compiler: &mut Compiler<H>) -> Self {
        let mut expressions: Vec<usize> = Vec::new();
        let (mut conditions, mut texts): (Vec<Expression>, Vec<&str>) = (Vec::new(), Vec::new());
        let mut compiled = Vec::new();
        for metric in metrics.iter().filter(|metric| metric.family == family) {
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
                let part = TagPart::of(&tag.source, &mut expressions, compiler);
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
            compiled.push(PlannedMetric { name, kind: metric.kind, number, condition, tags });
        }
        if texts.len() > MAX_CONDITIONS {
            let message = format!(
                "{} different conditions (match) of one protocol are too many, must be at most {MAX_CONDITIONS}",
                texts.len()
            );
            compiler.problems.push(Problem { path: "definitions".into(), message });
        }
        let mut needs = ByMeasurement::default();
        for metric in &compiled {
            if let Some(measurement) = metric.number.measurement() {
                needs.set(measurement, true);
            }
        }
        Self {
            metrics: compiled,
            used: metrics::used_labels(metrics, family),
            needs_stream: expressions.iter().any(|index| compiler.expressions.needs_stream(*index)),
            expressions,
            conditions,
            needs,
        }
    }

    /// Which of the conditions hold now, the first one in the lowest bit. One that fails does not hold.
    pub fn held(&self, host: &impl Host) -> u64 {
        let conditions = self.conditions.iter().rev();
        conditions.fold(0, |held, it| held << 1 | u64::from(host.evaluate(*it).as_deref() == Some(&[1])))
    }
}

impl TagPart {
    /// Where to find what `source` says; `expressions` are those whose values are in the label set.
    fn of<H: Host>(source: &TagSource, expressions: &mut Vec<usize>, compiler: &mut Compiler<H>) -> Self {
        match source {
            TagSource::Label(label) => Self::Label(*label),
            TagSource::Identity(label) => Self::Identity(*label),
            TagSource::First(sources) => {
                Self::First(sources.iter().map(|source| Self::of(source, expressions, compiler)).collect())
            }
            TagSource::Expression(text) => {
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
    /// The measurement of which it is made.
    fn measurement(&self) -> Option<Measurement> {
        match self {
            Self::Times(_, measurement) => Some(*measurement),
            Self::Milliseconds | Self::AtMost(_) | Self::Seconds => Some(Measurement::Duration),
            Self::Expression(_) => None,
        }
    }
}

impl PlannedMetric {
    /// What it records of a stream of which this was `measured`, where the conditions hold as `held` says.
    pub fn value(&self, host: &impl Host, expressions: &Expressions, held: u64, measured: &Measured) -> Option<u64> {
        if self.condition & !held != 0 {
            return None;
        }
        match self.number {
            Number::Times(times, measurement) => Some(measured.get(measurement)?.saturating_mul(times)),
            Number::Milliseconds => measured.get(Measurement::Duration)?.checked_div(NANOSECONDS_PER_MILLISECOND),
            Number::AtMost(bound) => Some(u64::from(measured.get(Measurement::Duration)? <= bound)),
            Number::Seconds => measured.get(Measurement::Duration),
            // As in Istio, a counter to which nothing is added has no series.
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

/// Where in the configuration an expression of a label stands first.
fn path_of_label(config: &StatsConfig, text: &str) -> String {
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
