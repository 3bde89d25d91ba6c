//! The recorded metrics and their labels: Istio's standard metrics, changed by the configuration.
//!
//! As in Istio, `definitions` come first, then the entries of `metrics` in order. Each entry changes the metric that it
//! names, or all metrics.

use collections::text_map::TextMap;
use configuration::Problem;
use expression;
use host::MetricKind;
use labels::{Label, Labels};

use crate::config::{Config, Definition, Unit, PREFIX};
use crate::measurement::{Family, Measurement};

/// Counts records of label sets beyond `max_series`.
pub const OVERFLOW_METRIC: &str = "stats_overflow_total";

/// Suffixes that Prometheus adds to a histogram's name.
pub const HISTOGRAM_PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The value that a metric records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// A measurement times this factor.
    Times(u64, Measurement),
    /// Duration of the request, in milliseconds.
    Milliseconds,
    /// One if the request took at most this many nanoseconds, else nothing.
    AtMost(u64),
    /// The same, with the value of the label `le`.
    Bucket(u64, String),
    /// Duration of the request, in seconds.
    Seconds,
    /// The result of an expression.
    Expression(String),
}

/// The source of a label's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagSource {
    /// A standard label.
    Label(Label),
    /// A standard label with an identity, without `spiffe://`.
    Identity(Label),
    /// The result of an expression.
    Expression(String),
    /// The first of these that is known, else the last.
    First(Vec<TagSource>),
}

/// A metric to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSpec {
    /// Path of its definition in the configuration; empty for a standard metric.
    pub path: String,
    /// Prefix of the name.
    pub prefix: &'static str,
    /// Name without the prefix.
    pub name: String,
    /// Suffix of the name: a histogram may consist of several metrics.
    pub suffix: &'static str,
    /// Family.
    pub family: Family,
    /// Kind.
    pub kind: MetricKind,
    /// The value.
    pub quantity: Quantity,
    /// When to record it; `None` for always.
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
    pub source: TagSource,
    /// The label is removed, but keeps its place.
    hidden: bool,
}

/// Istio's standard metrics.
const STANDARD: [(&str, MetricKind, Measurement); 10] = [
    ("requests_total", MetricKind::Counter, Measurement::Requests),
    ("request_duration_milliseconds", MetricKind::Histogram, Measurement::Duration),
    ("request_bytes", MetricKind::Histogram, Measurement::RequestBytes),
    ("response_bytes", MetricKind::Histogram, Measurement::ResponseBytes),
    ("request_messages_total", MetricKind::Counter, Measurement::RequestMessages),
    ("response_messages_total", MetricKind::Counter, Measurement::ResponseMessages),
    ("tcp_connections_opened_total", MetricKind::Counter, Measurement::ConnectionsOpened),
    ("tcp_received_bytes_total", MetricKind::Counter, Measurement::ReceivedBytes),
    ("tcp_sent_bytes_total", MetricKind::Counter, Measurement::SentBytes),
    ("tcp_connections_closed_total", MetricKind::Counter, Measurement::ConnectionsClosed),
];

impl TagSource {
    /// The meaning of `expression`: a standard label (unless a configured attribute has the same name), an identity in
    /// Mixer's form, or any other expression.
    fn of(expression: &str, config: &Config) -> Self {
        let text = match expression::alternatives(expression).as_slice() {
            [only] => *only,
            several => return Self::First(several.iter().map(|text| Self::of(text, config)).collect()),
        };
        let is_made = config.attributes.iter().any(|attribute| attribute.name == text);
        Self::of_label(text).filter(|_| !is_made).unwrap_or_else(|| Self::Expression(text.into()))
    }

    /// The source for the standard label `name`.
    pub fn of_label(name: &str) -> Option<Self> {
        let (label, of): (&str, fn(Label) -> Self) = match name {
            "sourcePrincipal" => ("source_principal", Self::Identity),
            "destinationPrincipal" => ("destination_principal", Self::Identity),
            _ => (name, Self::Label),
        };
        Label::of_name(label).map(of)
    }

    /// Adds the standard labels that the source uses.
    fn labels(&self, used: &mut Labels<bool>) {
        match self {
            Self::Label(label) | Self::Identity(label) => used.set(*label, true),
            Self::Expression(_) => {}
            Self::First(sources) => {
                for source in sources {
                    source.labels(used);
                }
            }
        }
    }
}

impl MetricSpec {
    /// Its name in Prometheus, or the name of the histogram that it is part of.
    fn family_name(&self) -> String {
        [self.prefix, &self.name].concat()
    }

    /// Adds labels, or replaces their values.
    fn label(&mut self, dimensions: &TextMap, config: &Config) {
        for (name, expression) in dimensions {
            let tag = Tag { name: name.into(), source: TagSource::of(expression, config), hidden: false };
            match self.tags.iter_mut().find(|tag| tag.name == name) {
                Some(old) => *old = tag,
                None => self.tags.push(tag),
            }
        }
    }
}

/// The names of the standard metrics, without the prefix.
pub fn standard_names() -> impl Iterator<Item = &'static str> {
    STANDARD.into_iter().map(|(name, ..)| name)
}

/// The metrics for this configuration.
#[inline(never)]
pub fn of_config(config: &Config, problems: &mut Vec<Problem>) -> Vec<MetricSpec> {
    let mut metrics: Vec<MetricSpec> = STANDARD.into_iter().map(standard).collect();
    for (index, definition) in config.definitions.iter().enumerate() {
        let path = format!("definitions[{index}]");
        let name = definition.full_name();
        let same = |metric: &MetricSpec| metric.family_name() == name;
        let mut earlier = config.definitions.iter().take(index);
        let earlier = earlier.find(|earlier| earlier.full_name() == name);
        if earlier.is_some_and(|it| (it.kind, &it.unit) != (definition.kind, &definition.unit)) {
            let message = format!(
                "{name:?} is defined before with another type, unit or buckets, must be with the same, or another"
            );
            problems.push(Problem { path: [&path, ".name"].concat(), message });
        }
        let mut metric = MetricSpec {
            quantity: quantity(definition, &path, problems),
            path,
            prefix: definition.prefix,
            name: definition.name.clone(),
            suffix: "",
            family: if definition.tcp { Family::Connection } else { Family::Request },
            kind: definition.kind,
            condition: definition.condition.clone(),
            tags: metrics.iter().find(|metric| same(metric)).map(|metric| metric.tags.clone()).unwrap_or_default(),
        };
        // A definition replaces a standard metric, but not another definition.
        if let (None, Some(place)) = (earlier, metrics.iter().position(same)) {
            metrics.remove(place);
        }
        metric.label(&definition.dimensions, config);
        let Some(Unit::Seconds(buckets)) = &definition.unit else {
            metrics.push(metric);
            continue;
        };
        let mut add = |suffix, quantity| {
            metrics.push(MetricSpec { suffix, kind: MetricKind::Counter, quantity, ..metric.clone() });
        };
        for bucket in buckets {
            add("_bucket", Quantity::Bucket(bucket.nanoseconds, bucket.le.clone()));
        }
        add("_bucket", Quantity::Bucket(u64::MAX, "+Inf".into()));
        add("_count", Quantity::AtMost(u64::MAX));
        add("_sum", Quantity::Seconds);
    }
    for (index, change) in config.metrics.iter().enumerate() {
        let names = |metric: &MetricSpec| change.name.as_ref().is_none_or(|name| *name == metric.name);
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
        if let Quantity::Bucket(_, le) = &metric.quantity {
            let source = TagSource::Expression(["'", le, "'"].concat());
            metric.tags.push(Tag { name: "le".into(), source, hidden: false });
        }
    }
    if !config.anchored_tags {
        problems.extend(collisions(config));
    }
    metrics
}

/// The value that `definition` records; `path` is its place in the configuration.
fn quantity(definition: &Definition, path: &str, problems: &mut Vec<Problem>) -> Quantity {
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
        return if has_unit { Quantity::Milliseconds } else { Quantity::Expression(definition.value.clone()) };
    }
    let event = match definition.event {
        Some("OPEN") => Measurement::ConnectionsOpened,
        Some("CONTINUE") => Measurement::Continuations,
        Some("CLOSE") => Measurement::ConnectionsClosed,
        _ => Measurement::Reports,
    };
    match (text, text.parse()) {
        (_, Ok(times)) => Quantity::Times(times, event),
        ("receivedBytes", _) if definition.event.is_none() => Quantity::Times(1, Measurement::ReceivedBytes),
        ("sentBytes", _) if definition.event.is_none() => Quantity::Times(1, Measurement::SentBytes),
        _ => {
            refuse("value", format!("{text:?} is not allowed for TCP, must be a whole number or, without event, receivedBytes or sentBytes"));
            Quantity::Times(1, event)
        }
    }
}

/// The names of all labels of `metrics`, without duplicates, the standard labels first.
pub fn label_names(metrics: &[MetricSpec]) -> Vec<String> {
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
pub fn used_labels(metrics: &[MetricSpec], family: Family) -> Labels<bool> {
    let mut used = Labels::all(false);
    for metric in metrics.iter().filter(|metric| metric.family == family) {
        for tag in &metric.tags {
            tag.source.labels(&mut used);
        }
    }
    used
}

/// A metric with a name in Prometheus that conflicts with a definition's full name `name`.
fn taken_by(name: &str, metrics: &[MetricSpec]) -> Option<String> {
    if matches!(name, "istio_build" | OVERFLOW_METRIC) {
        return Some(name.into());
    }
    let histogram = HISTOGRAM_PARTS.into_iter().find_map(|suffix| name.strip_suffix(suffix))?;
    let mut histograms =
        metrics.iter().filter(|metric| metric.kind == MetricKind::Histogram || !metric.suffix.is_empty());
    histograms.any(|metric| metric.family_name() == histogram).then(|| format!("the histogram {histogram}"))
}

fn standard((name, kind, measurement): (&str, MetricKind, Measurement)) -> MetricSpec {
    let family = measurement.family();
    let count = match family {
        Family::Request => labels::COUNT,
        Family::Messages => labels::PEER_COUNT,
        Family::Connection => labels::TCP_COUNT,
    };
    let tag = |label: Label| Tag { name: label.name().into(), source: TagSource::Label(label), hidden: false };
    MetricSpec {
        path: String::new(),
        prefix: PREFIX,
        name: name.into(),
        suffix: "",
        family,
        kind,
        quantity: match measurement {
            Measurement::Duration => Quantity::Milliseconds,
            measurement => Quantity::Times(1, measurement),
        },
        condition: None,
        tags: Label::ALL.into_iter().take(count).map(tag).collect(),
    }
}

/// New labels that the regular expressions of Istio's bootstrap confuse with others: those expressions match any label with
/// the same ending.
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
                     anchored_tags set with a bootstrap made by mesh stats-tags"
                ),
            });
        }
    }
    problems
}
