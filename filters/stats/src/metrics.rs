//! The recorded metrics and their labels: Istio's standard metrics, changed by the configuration.
//!
//! As in Istio, `definitions` come first, then the entries of `metrics` in order. Each entry changes the metric that it
//! names, or all metrics.

use collections::names::Names;
use collections::text_map::TextMap;
use configuration::{Cut, Problem, Quoted};
use expression;
use host::MetricKind;
use labels::{Label, Labels};

use crate::collisions::collisions;
use crate::config::{Definition, StatsConfig, Unit, PREFIX};
use crate::measurement::{Family, Measurement};

/// Counts records of label sets beyond `max_series`.
pub const OVERFLOW_METRIC: &str = "stats_overflow_total";

/// The names of known metrics are told up to about this length.
const MAX_KNOWN: usize = 1_000;

/// What Prometheus adds to a histogram's name.
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

/// A number that Envoy's stats access logger finds by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfEnvoy {
    /// The same for each stream.
    Fixed(u64),
    /// What a command operator writes.
    Format(&'static str),
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
    /// Their names, while they may still change.
    names: Names,
    /// Not recorded.
    dropped: bool,
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
    /// What `expression` names: a standard label, unless the configuration has `made` an attribute of that name, an identity as
    /// Mixer wrote it, or anything else.
    fn of(expression: &str, made: &Names) -> Self {
        let text = match expression::alternatives(expression).as_slice() {
            [only] => *only,
            several => return Self::First(several.iter().map(|text| Self::of(text, made)).collect()),
        };
        let is_made = made.get(text).is_some();
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

    /// What Envoy itself knows of this number; `None` if the module has to tell it.
    pub fn of_envoy(&self) -> Option<OfEnvoy> {
        match self.quantity {
            _ if self.condition.is_some() || self.kind == MetricKind::Gauge => None,
            Quantity::Times(times, Measurement::Requests) => Some(OfEnvoy::Fixed(times)),
            Quantity::Times(1, Measurement::RequestBytes) => Some(OfEnvoy::Format("%CEL(request.total_size)%")),
            Quantity::Times(1, Measurement::ResponseBytes) => Some(OfEnvoy::Format("%CEL(response.total_size)%")),
            Quantity::Milliseconds => Some(OfEnvoy::Format("%DURATION%")),
            _ => None,
        }
    }

    /// Adds labels, or gives them another value.
    fn label(&mut self, tags: &[Tag]) {
        for tag in tags {
            let (place, _) = self.names.add(&tag.name);
            match self.tags.get_mut(place) {
                Some(old) => *old = tag.clone(),
                None => self.tags.push(tag.clone()),
            }
        }
    }

    /// Removes labels.
    fn remove(&mut self, names: &[String]) {
        for name in names {
            if let Some(tag) = self.names.get(name).and_then(|place| self.tags.get_mut(place)) {
                tag.hidden = true;
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
pub fn of_config(config: &StatsConfig, problems: &mut Vec<Problem>) -> Vec<MetricSpec> {
    let mut made = Names::default();
    for attribute in &config.attributes {
        made.add(&attribute.name);
    }
    let mut metrics = STANDARD.into_iter().map(standard).collect();
    define(config, &made, &mut metrics, problems);
    change(config, &made, &mut metrics, problems);
    metrics.retain(|metric| !metric.dropped);
    refuse_taken(config, &metrics, problems);
    for metric in &mut metrics {
        metric.names = Names::default();
        metric.tags.retain(|tag| !tag.hidden);
        if let Quantity::Bucket(_, le) = &metric.quantity {
            let source = TagSource::Expression(["'", le, "'"].concat());
            metric.tags.push(Tag { name: "le".into(), source, hidden: false });
        }
    }
    if !config.anchored_tags {
        collisions(config, problems);
    }
    metrics
}

/// Adds the metrics that `config` defines to the standard ones.
fn define(config: &StatsConfig, made: &Names, metrics: &mut Vec<MetricSpec>, problems: &mut Vec<Problem>) {
    let mut families = Names::default();
    for metric in metrics.iter() {
        families.add(&metric.family_name());
    }
    // By family, the place of its first metric, and its first definition.
    let mut firsts: Vec<(usize, Option<&Definition>)> = (0..metrics.len()).map(|place| (place, None)).collect();
    for (index, definition) in config.definitions.iter().enumerate() {
        let path = format!("definitions[{index}]");
        let name = definition.full_name();
        let (number, _) = families.add(&name);
        let first = firsts.get(number).copied();
        let before = first.and_then(|(place, _)| metrics.get_mut(place));
        let (mut tags, mut names) = (Vec::new(), Names::default());
        if let Some(before) = before {
            (tags, names) = (before.tags.clone(), before.names.clone());
            // A definition takes the place of a standard metric, not that of another definition.
            before.dropped |= before.path.is_empty();
        }
        match first {
            Some((_, Some(earlier))) => {
                if (earlier.kind, &earlier.unit) != (definition.kind, &definition.unit) {
                    let message = format!(
                        "{} is defined before with another type, unit or buckets, must be with the same, or another",
                        Quoted(&name)
                    );
                    problems.push(Problem { path: [&path, ".name"].concat(), message });
                }
            }
            _ => {
                let here = (metrics.len(), Some(definition));
                match firsts.get_mut(number) {
                    Some(first) => *first = here,
                    None => firsts.push(here),
                }
            }
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
            tags,
            names,
            dropped: false,
        };
        metric.label(&tags_of(&definition.dimensions, made));
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
}

/// Changes `metrics` as `config` says.
fn change(config: &StatsConfig, made: &Names, metrics: &mut [MetricSpec], problems: &mut Vec<Problem>) {
    // The place of the first metric of each name, and by each metric, the place of the next one of its name.
    let (mut names, mut firsts, mut nexts) = (Names::default(), Vec::new(), Vec::new());
    nexts.resize(metrics.len(), usize::MAX);
    for ((place, metric), next) in metrics.iter().enumerate().zip(&mut nexts).rev() {
        let (number, is_new) = names.add(&metric.name);
        if is_new {
            firsts.push(usize::MAX);
        }
        if let Some(first) = firsts.get_mut(number) {
            *next = core::mem::replace(first, place);
        }
    }
    for (index, change) in config.metrics.iter().enumerate() {
        let number = change.name.as_ref().map(|name| names.get(name).unwrap_or(usize::MAX));
        let tags = tags_of(&change.dimensions, made);
        let mut place = number.map_or(0, |number| firsts.get(number).copied().unwrap_or(usize::MAX));
        let mut is_any = false;
        while let Some(metric) = metrics.get_mut(place) {
            if !metric.dropped {
                is_any = true;
                metric.dropped = change.drop;
                metric.remove(&change.tags_to_remove);
                metric.label(&tags);
            }
            place = match number {
                Some(_) => nexts.get(place).copied().unwrap_or(usize::MAX),
                None => place.saturating_add(1),
            };
        }
        if !is_any {
            let name = Quoted(change.name.as_deref().unwrap_or_default());
            let message = format!("{name} is not a metric at this point, must be one of {}", known(metrics));
            problems.push(Problem { path: format!("metrics[{index}].name"), message });
        }
    }
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
            let text = Quoted(text);
            refuse("value", format!("{text} is not allowed for TCP, must be a whole number or, without event, receivedBytes or sentBytes"));
            Quantity::Times(1, event)
        }
    }
}

/// The names of all labels of `metrics`, without duplicates, the standard labels first.
pub fn label_names(metrics: &[MetricSpec]) -> Vec<String> {
    let used: Names = metrics.iter().flat_map(|metric| &metric.tags).map(|tag| tag.name.as_str()).collect();
    let standard = labels::names();
    let of_standard = standard.into_iter().filter(|name| used.get(name).is_some());
    let others = used.iter().map(String::as_str).filter(|name| !standard.contains(name));
    of_standard.chain(others).map(String::from).collect()
}

fn names_of(tags: &[Tag]) -> Names {
    tags.iter().map(|tag| tag.name.as_str()).collect()
}

/// The standard labels that metrics of `families` have.
#[inline(never)]
pub fn used_labels(metrics: &[MetricSpec], families: &[Family]) -> Labels<bool> {
    let mut used = Labels::all(false);
    for metric in metrics.iter().filter(|metric| families.contains(&metric.family)) {
        for tag in &metric.tags {
            tag.source.labels(&mut used);
        }
    }
    used
}

/// Refuses definitions whose names Prometheus would show for something else, too.
fn refuse_taken(config: &StatsConfig, metrics: &[MetricSpec], problems: &mut Vec<Problem>) {
    let is_histogram = |metric: &&MetricSpec| metric.kind == MetricKind::Histogram || !metric.suffix.is_empty();
    let mut histograms = Names::default();
    for metric in metrics.iter().filter(is_histogram) {
        histograms.add(&metric.family_name());
    }
    for (index, definition) in config.definitions.iter().enumerate() {
        let name = definition.full_name();
        let histogram = HISTOGRAM_PARTS.into_iter().find_map(|suffix| name.strip_suffix(suffix));
        let taken = match histogram.filter(|name| histograms.get(name).is_some()) {
            _ if matches!(name.as_str(), "istio_build" | OVERFLOW_METRIC) => name,
            Some(histogram) => format!("the histogram {}", Cut(histogram)),
            None => continue,
        };
        let message = format!("{} is a name that {taken} has, must be another", Quoted(&definition.name));
        problems.push(Problem { path: format!("definitions[{index}].name"), message });
    }
}

/// The names of `metrics`, as far as they are not too many to be read.
fn known(metrics: &[MetricSpec]) -> String {
    let mut known = String::new();
    for metric in metrics.iter().filter(|metric| !metric.dropped) {
        known.push_str(if known.is_empty() { "" } else { ", " });
        if known.len() > MAX_KNOWN {
            known.push('…');
            break;
        }
        known.push_str(&Cut(&metric.name).to_string());
    }
    known
}

/// The labels of an entry.
fn tags_of(dimensions: &TextMap, made: &Names) -> Vec<Tag> {
    let mut tags = Vec::new();
    for (name, written) in dimensions {
        tags.push(Tag { name: name.into(), source: TagSource::of(written, made), hidden: false });
    }
    tags
}

fn standard((name, kind, measurement): (&str, MetricKind, Measurement)) -> MetricSpec {
    let family = measurement.family();
    let count = match family {
        Family::Request => labels::COUNT,
        Family::Messages => labels::PEER_COUNT,
        Family::Connection => labels::TCP_COUNT,
    };
    let tag = |label: Label| Tag { name: label.name().into(), source: TagSource::Label(label), hidden: false };
    let tags: Vec<Tag> = Label::ALL.into_iter().take(count).map(tag).collect();
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
        names: names_of(&tags),
        tags,
        dropped: false,
    }
}
