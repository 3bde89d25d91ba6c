//! The metrics that are recorded, and their labels: Istio's standard ones, changed by what the configuration says.
//!
//! As in Istio, `definitions` come first, then the entries of `metrics` in order, each changing the metrics that it names,
//! or all of them.

use collections::text_map::TextMap;
use configuration::Problem;
use expression;
use host::MetricKind;
use labels::{self, Labels};

use crate::config::{Config, Definition, Unit};
use crate::recorder::OVERFLOW_METRIC;

/// What Prometheus adds to a histogram's name.
pub const HISTOGRAM_PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];
/// Prefix of all names, unless a definition says that there is none.
pub const PREFIX: &str = "istio_";

/// Metrics that are recorded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// HTTP and gRPC requests, when they end.
    Request,
    /// Messages of gRPC requests, while they live.
    Messages,
    /// TCP connections, while they live.
    Connection,
}

/// What a metric records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// One of its family's own values, by index.
    Standard(usize),
    /// So many times one of its family's own values, by index.
    Times(u64, usize),
    /// One if the request took at most so many nanoseconds, or else nothing.
    AtMost(u64),
    /// The same, with what the label `le` says.
    Bucket(u64, String),
    /// The seconds that requests took.
    Seconds,
    /// What an expression comes to.
    Expression(String),
}

/// Where a label's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A standard label, by index.
    Label(usize),
    /// A standard label that is an identity, by index, without `spiffe://`.
    Identity(usize),
    /// What an expression comes to.
    Expression(String),
    /// The first of these that is known, or else the last one.
    First(Vec<Source>),
}

/// A metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Where in the configuration its definition stands; empty for a standard one.
    pub path: String,
    /// Prefix of the name.
    pub prefix: &'static str,
    /// Name without the prefix.
    pub name: String,
    /// What stands behind the name: a histogram may be several metrics.
    pub suffix: &'static str,
    /// Family.
    pub family: Family,
    /// Kind.
    pub kind: MetricKind,
    /// Value.
    pub value: Value,
    /// When it is recorded; always if there is none.
    pub condition: Option<String>,
    /// Labels in the order of the stat's name.
    pub tags: Vec<Tag>,
}

/// A label of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Name.
    pub name: String,
    /// Value.
    pub source: Source,
    /// Removed, but its place is kept.
    hidden: bool,
}

/// Istio's standard metrics.
const STANDARD: [(&str, Family, MetricKind, usize); 10] = [
    ("requests_total", Family::Request, MetricKind::Counter, 0),
    ("request_duration_milliseconds", Family::Request, MetricKind::Histogram, 1),
    ("request_bytes", Family::Request, MetricKind::Histogram, 2),
    ("response_bytes", Family::Request, MetricKind::Histogram, 3),
    ("request_messages_total", Family::Messages, MetricKind::Counter, 0),
    ("response_messages_total", Family::Messages, MetricKind::Counter, 1),
    ("tcp_connections_opened_total", Family::Connection, MetricKind::Counter, 0),
    ("tcp_received_bytes_total", Family::Connection, MetricKind::Counter, 1),
    ("tcp_sent_bytes_total", Family::Connection, MetricKind::Counter, 2),
    ("tcp_connections_closed_total", Family::Connection, MetricKind::Counter, 3),
];

impl Source {
    /// What `expression` names: a standard label, unless the configuration makes an attribute of that name, an identity as
    /// Mixer wrote it, or anything else.
    fn of(expression: &str, config: &Config) -> Self {
        let text = match expression::alternatives(expression).as_slice() {
            [only] => *only,
            several => return Self::First(several.iter().map(|text| Self::of(text, config)).collect()),
        };
        let is_made = config.attributes.iter().any(|attribute| attribute.name == text);
        Self::of_label(text).filter(|_| !is_made).unwrap_or_else(|| Self::Expression(text.into()))
    }

    /// What `name` is, if it is that of a standard label.
    pub fn of_label(name: &str) -> Option<Self> {
        let (label, of): (&str, fn(usize) -> Self) = match name {
            "sourcePrincipal" => ("source_principal", Self::Identity),
            "destinationPrincipal" => ("destination_principal", Self::Identity),
            _ => (name, Self::Label),
        };
        labels::names().iter().position(|known| *known == label).map(of)
    }

    /// Adds the standard labels that it is made of.
    fn labels(&self, used: &mut Vec<usize>) {
        match self {
            Self::Label(index) | Self::Identity(index) => used.push(*index),
            Self::Expression(_) => {}
            Self::First(sources) => {
                for source in sources {
                    source.labels(used);
                }
            }
        }
    }
}

impl Metric {
    /// The name under which Prometheus has it, or the histogram of which it is a part.
    fn family_name(&self) -> String {
        [self.prefix, &self.name].concat()
    }

    /// Adds labels, or gives them another value.
    fn label(&mut self, dimensions: &TextMap, config: &Config) {
        for (name, expression) in dimensions {
            let tag = Tag { name: name.into(), source: Source::of(expression, config), hidden: false };
            match self.tags.iter_mut().find(|tag| tag.name == name) {
                Some(old) => *old = tag,
                None => self.tags.push(tag),
            }
        }
    }
}

impl Family {
    /// The standard labels that the family has: the first this many.
    fn labels(self) -> usize {
        match self {
            Self::Request => labels::COUNT,
            Self::Messages => labels::PEER_COUNT,
            Self::Connection => labels::TCP_COUNT,
        }
    }
}

/// The names of the standard metrics, without the prefix.
pub fn standard_names() -> impl Iterator<Item = &'static str> {
    STANDARD.into_iter().map(|(name, ..)| name)
}

/// The metrics that `config` asks for.
#[inline(never)]
pub fn of_config(config: &Config, problems: &mut Vec<Problem>) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = STANDARD.into_iter().map(standard).collect();
    for (index, definition) in config.definitions.iter().enumerate() {
        let path = format!("definitions[{index}]");
        let name = definition.full_name();
        let same = |metric: &Metric| metric.family_name() == name;
        let mut earlier = config.definitions.iter().take(index);
        let earlier = earlier.find(|earlier| earlier.full_name() == name);
        if earlier.is_some_and(|it| (it.kind, &it.unit) != (definition.kind, &definition.unit)) {
            let message = format!(
                "{name:?} is defined before with another type, unit or buckets, must be with the same, or another"
            );
            problems.push(Problem { path: [&path, ".name"].concat(), message });
        }
        let mut metric = Metric {
            value: value(definition, &path, problems),
            path,
            prefix: definition.prefix,
            name: definition.name.clone(),
            suffix: "",
            family: if definition.tcp { Family::Connection } else { Family::Request },
            kind: definition.kind,
            condition: definition.condition.clone(),
            tags: metrics.iter().find(|metric| same(metric)).map(|metric| metric.tags.clone()).unwrap_or_default(),
        };
        // A definition takes the place of a standard metric, not that of another definition.
        if let (None, Some(place)) = (earlier, metrics.iter().position(same)) {
            metrics.remove(place);
        }
        metric.label(&definition.dimensions, config);
        let Some(Unit::Seconds(buckets)) = &definition.unit else {
            metrics.push(metric);
            continue;
        };
        let mut add = |suffix, value| {
            metrics.push(Metric { suffix, kind: MetricKind::Counter, value, ..metric.clone() });
        };
        for bucket in buckets {
            add("_bucket", Value::Bucket(bucket.nanoseconds, bucket.le.clone()));
        }
        add("_bucket", Value::Bucket(u64::MAX, "+Inf".into()));
        add("_count", Value::AtMost(u64::MAX));
        add("_sum", Value::Seconds);
    }
    for (index, change) in config.metrics.iter().enumerate() {
        let names = |metric: &Metric| change.name.as_ref().is_none_or(|name| *name == metric.name);
        if !metrics.iter().any(names) {
            let known: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
            problems.push(Problem {
                path: format!("metrics[{index}].name"),
                message: format!(
                    "{:?} is not a metric at this point, must be one of {}",
                    change.name.as_deref().unwrap_or_default(),
                    known.join(", ")
                ),
            });
        }
        if change.drop {
            metrics.retain(|metric| !names(metric));
        }
        for metric in metrics.iter_mut().filter(|metric| names(metric)) {
            for tag in metric.tags.iter_mut().filter(|tag| change.tags_to_remove.contains(&tag.name)) {
                tag.hidden = true;
            }
            metric.label(&change.dimensions, config);
        }
    }
    for (index, definition) in config.definitions.iter().enumerate() {
        if let Some(taken) = taken_by(&definition.full_name(), &metrics) {
            let message = format!("{:?} is a name that {taken} has, must be another", definition.name);
            problems.push(Problem { path: format!("definitions[{index}].name"), message });
        }
    }
    for metric in &mut metrics {
        metric.tags.retain(|tag| !tag.hidden);
        if let Value::Bucket(_, le) = &metric.value {
            let source = Source::Expression(["'", le, "'"].concat());
            metric.tags.push(Tag { name: "le".into(), source, hidden: false });
        }
    }
    if !config.anchored_tags {
        problems.extend(collisions(config));
    }
    metrics
}

/// What `definition`, which stands at `path`, records.
fn value(definition: &Definition, path: &str, problems: &mut Vec<Problem>) -> Value {
    let mut refuse = |field: &str, message: String| {
        problems.push(Problem { path: [path, ".", field].concat(), message });
    };
    let text = definition.value.trim();
    let has_unit = definition.unit.is_some();
    if has_unit && (definition.tcp || definition.kind != MetricKind::Histogram || text != "request.duration") {
        refuse("unit", "only of a HISTOGRAM of request.duration".into());
    }
    if !definition.tcp {
        if definition.event.is_some() {
            refuse("event", "only with protocol TCP".into());
        }
        return if has_unit { Value::Standard(1) } else { Value::Expression(definition.value.clone()) };
    }
    let event = match definition.event {
        Some("OPEN") => 0,
        Some("CONTINUE") => 5,
        Some("CLOSE") => 3,
        _ => 4,
    };
    match (text, text.parse()) {
        (_, Ok(times)) => Value::Times(times, event),
        ("receivedBytes", _) if definition.event.is_none() => Value::Standard(1),
        ("sentBytes", _) if definition.event.is_none() => Value::Standard(2),
        _ => {
            refuse("value", format!("{text:?} is not allowed for TCP, must be a whole number or, without event, receivedBytes or sentBytes"));
            Value::Standard(event)
        }
    }
}

/// The names of all labels of `metrics`, the standard ones first, each once.
pub fn label_names(metrics: &[Metric]) -> Vec<String> {
    let used = |name: &str| metrics.iter().any(|metric| metric.tags.iter().any(|tag| tag.name == name));
    let mut names: Vec<String> = labels::names().into_iter().filter(|name| used(name)).map(String::from).collect();
    for tag in metrics.iter().flat_map(|metric| &metric.tags) {
        if !names.contains(&tag.name) {
            names.push(tag.name.clone());
        }
    }
    names
}

/// The standard labels that metrics of `family` have.
#[inline(never)]
pub fn used_labels(metrics: &[Metric], family: Family) -> Labels<bool> {
    let mut used = Vec::new();
    for metric in metrics.iter().filter(|metric| metric.family == family) {
        for tag in &metric.tags {
            tag.source.labels(&mut used);
        }
    }
    let names = labels::names();
    let used: Vec<&str> = used.iter().filter_map(|index| names.get(*index).copied()).collect();
    Labels::by_name(|name| contains(&used, name))
}

/// Not inlined: that would be once for each label.
#[inline(never)]
fn contains(names: &[&str], name: &str) -> bool {
    names.contains(&name)
}

/// What else Prometheus would show under the full name `name` of a definition.
fn taken_by(name: &str, metrics: &[Metric]) -> Option<String> {
    if matches!(name, "istio_build" | OVERFLOW_METRIC) {
        return Some(name.into());
    }
    let histogram = HISTOGRAM_PARTS.into_iter().find_map(|suffix| name.strip_suffix(suffix))?;
    let mut histograms =
        metrics.iter().filter(|metric| metric.kind == MetricKind::Histogram || !metric.suffix.is_empty());
    histograms.any(|metric| metric.family_name() == histogram).then(|| format!("the histogram {histogram}"))
}

fn standard((name, family, kind, value): (&str, Family, MetricKind, usize)) -> Metric {
    let names = labels::names().into_iter().take(family.labels());
    let tag = |(index, name): (usize, &str)| Tag { name: name.into(), source: Source::Label(index), hidden: false };
    Metric {
        path: String::new(),
        prefix: PREFIX,
        name: name.into(),
        suffix: "",
        family,
        kind,
        value: Value::Standard(value),
        condition: None,
        tags: names.enumerate().map(tag).collect(),
    }
}

/// New labels that the regular expressions of Istio's own bootstrap could not tell from others: those match a label that
/// merely ends in the same letters.
#[inline(never)]
fn collisions(config: &Config) -> Vec<Problem> {
    let standard = labels::names();
    let mut added: Vec<(&str, &str, usize)> = Vec::new();
    for (index, definition) in config.definitions.iter().enumerate() {
        for (label, _) in &definition.dimensions {
            added.push((label, "definitions", index));
        }
    }
    for (index, change) in config.metrics.iter().enumerate() {
        for (label, _) in &change.dimensions {
            added.push((label, "metrics", index));
        }
    }
    let mut problems = Vec::new();
    for (name, list, index) in added.iter().filter(|(name, ..)| !standard.contains(name)) {
        let ends_alike = |other: &&str| *other != *name && other.ends_with(name);
        let clash = standard.iter().find(|other| ends_alike(other) || name.ends_with(**other));
        if let Some(other) = clash.or_else(|| added.iter().map(|(other, ..)| other).find(|other| ends_alike(other))) {
            problems.push(Problem {
                path: format!("{list}[{index}].dimensions.{name}"),
                message: format!(
                    "{name:?} and the label {other:?} end alike, and the regular expression of one would match the \
                     other, must be a name that no other label ends in, and that ends in none of the standard ones, or \
                     anchored_tags set with a bootstrap made by remixer stats-tags"
                ),
            });
        }
    }
    problems
}
