//! One metric in one scene.

use ::stats::{config::MAX_BUCKETS, metrics::HISTOGRAM_PARTS};
use serde_json::{json, Map, Value as Json};

use crate::{
    cexl::{format_double, Type},
    diagnostic::{Code, Diagnostics},
    model::{Compiled, MetricKind},
    output::when::{all, when, When},
    scene::Protocol,
    simplify::{simplify, Rest},
    sources::Sources,
    spec::MetricSpec,
    translate::{self, Untranslatable},
    Options, Unit,
};

use super::{
    standard,
    value::{native, number, text},
};

/// The module's prefix of names.
const PREFIX: &str = "istio_";

/// A metric in the module's configuration.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Metric {
    /// Its name without the prefix.
    pub(super) name: String,
    /// Whether it has the prefix.
    has_prefix: bool,
    kind: MetricKind,
    value: String,
    /// The unit of a distribution of durations.
    unit: Option<Unit>,
    /// Bounds of a distribution that the module must compute, in seconds.
    pub(super) buckets: Option<Vec<String>>,
    /// Bounds of Envoy's own histogram.
    pub(super) native_buckets: Option<Vec<f64>>,
    /// Labels by name.
    pub(super) labels: Vec<(String, Label)>,
    /// When it is recorded; `None` for always.
    pub(super) condition: Option<String>,
    /// The connection event that it counts.
    event: Option<String>,
    protocol: Protocol,
    /// Whether Mixer used the Host header if the service was not known.
    pub(super) takes_host: bool,
}

/// The source of a label's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Label {
    /// The module's own label with this name.
    Kept,
    /// An expression.
    Expression(String),
}

impl Label {
    /// The new location, for the report.
    pub(super) fn describe(&self, name: &str) -> String {
        match self {
            Self::Kept => format!("label {name}, as the module makes it"),
            Self::Expression(text) if text.chars().count() > 70 => {
                format!("label {name} = {}...", text.chars().take(67).collect::<String>())
            }
            Self::Expression(text) => format!("label {name} = {text}"),
        }
    }
}

impl Metric {
    /// The metric for a specification. `None` if it is not recorded in the scene, or cannot be migrated; the latter is
    /// reported.
    pub(super) fn of(
        spec: &MetricSpec,
        sources: &Sources<'_>,
        options: &Options,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let When { mut conditions, event } = when(&spec.origin, sources, diagnostics)?;
        let mut made = |compiled: &Compiled, diagnostics: &mut Diagnostics| {
            let Rest::Some(rest) = simplify(&compiled.expression, sources) else {
                return None;
            };
            let made = translate::value(&rest, sources);
            if let Err(Untranslatable(reason)) = &made {
                diagnostics.add(Code::NotExpressible, &compiled.place, reason.clone());
            }
            let made = made.ok()?;
            conditions.extend(made.defined.clone());
            Some(made)
        };
        let value = made(&spec.value, diagnostics)?;
        let mut labels = Vec::new();
        for (name, compiled) in &spec.labels {
            labels.push((name, compiled, made(compiled, diagnostics)?));
        }
        let (name, has_prefix) = match spec.name.strip_prefix(PREFIX) {
            Some(name) => (name.to_owned(), true),
            None => (spec.name.clone(), false),
        };
        if !has_prefix && standard::METRICS.contains(&name.as_str()) {
            let message = format!(
                "the stats module has a metric {PREFIX}{name} and cannot tell {name} from it: give it another name"
            );
            diagnostics.add(Code::NotExpressible, &spec.origin.place, message);
            return None;
        }
        let mut metric = Self {
            name,
            has_prefix,
            kind: spec.kind,
            value: number(&value, spec, sources.scene().protocol, diagnostics)?,
            unit: None,
            buckets: None,
            native_buckets: None,
            labels: Vec::new(),
            condition: all(&conditions),
            event,
            protocol: sources.scene().protocol,
            takes_host: takes_host(spec),
        };
        if metric.event.is_some() && metric.value.parse::<u64>().is_err() {
            let message =
                "the stats module counts events of connections, not what passed before them: leave connection.event \
                           out of the match, or log it";
            diagnostics.add(Code::NotExpressible, &spec.value.place, message);
            return None;
        }
        if spec.kind == MetricKind::Distribution {
            metric.distribute(value.ty, spec, options, diagnostics)?;
        }
        for (name, compiled, made) in labels {
            let label = match standard::makes(name, &made, sources) {
                true if metric.has_prefix && metric.is_of_module() => Label::Kept,
                true => Label::Expression(name.clone()),
                false => Label::Expression(text(&made, compiled, diagnostics)?),
            };
            metric.labels.push((name.clone(), label));
        }
        Some(metric)
    }

    /// The full name in Prometheus.
    pub(super) fn full_name(&self) -> String {
        if self.has_prefix {
            format!("{PREFIX}{}", self.name)
        } else {
            self.name.clone()
        }
    }

    /// Whether it replaces the module's own metric `name`.
    pub(super) fn is_standard(&self, name: &str) -> bool {
        self.has_prefix && self.name == name
    }

    fn is_of_module(&self) -> bool {
        standard::METRICS.contains(&self.name.as_str())
    }

    /// Adds the count of `other` to this counter, if they differ in nothing else. Returns whether it did.
    pub(super) fn count_together(&mut self, other: &Self) -> bool {
        let sum = match (self.value.parse::<u64>(), other.value.parse::<u64>()) {
            (Ok(value), Ok(more)) => value.checked_add(more),
            _ => None,
        };
        let same = Self { value: self.value.clone(), ..other.clone() } == *self;
        match sum.filter(|_| same && self.kind == MetricKind::Counter) {
            Some(sum) => {
                self.value = sum.to_string();
                true
            }
            None => false,
        }
    }

    fn distribute(
        &mut self,
        ty: Type,
        spec: &MetricSpec,
        options: &Options,
        diagnostics: &mut Diagnostics,
    ) -> Option<()> {
        if ty != Type::Duration {
            let message =
                format!("the buckets of {} are in the bootstrap: apply it, and restart the workloads", spec.name);
            diagnostics.add(Code::Buckets, &spec.origin.place, message);
            self.native_buckets = Some(native(&spec.buckets, 1.0, spec, diagnostics)?);
            return Some(());
        }
        if self.value != "request.duration" {
            let message =
                "the stats module has histograms of response.duration alone, with or without a fallback; of other \
                           durations, log them";
            diagnostics.add(Code::NotExpressible, &spec.value.place, message);
            return None;
        }
        self.unit = Some(options.duration_unit);
        if options.duration_unit == Unit::Seconds {
            let texts: Vec<String> = spec.buckets.iter().map(|bound| format_double(*bound)).collect();
            let fits =
                |text: &String| !text.starts_with('-') && text.split_once('.').is_none_or(|(_, rest)| rest.len() <= 9);
            if !texts.iter().all(fits) || texts.len() > MAX_BUCKETS {
                let message = format!(
                    "the stats module has at most {MAX_BUCKETS} buckets of a duration, none below 0 or finer than a nanosecond; \
                     name others, or take --duration-unit=ms"
                );
                diagnostics.add(Code::NotExpressible, &spec.origin.place, message);
                return None;
            }
            self.buckets = Some(texts);
            return Some(());
        }
        let base = self.name.strip_suffix("_seconds").unwrap_or(&self.name);
        self.name = format!("{base}_milliseconds");
        self.native_buckets = Some(native(&spec.buckets, 1000.0, spec, diagnostics)?);
        let message = format!("{} is {} now, in milliseconds, with buckets to match", spec.name, self.full_name());
        diagnostics.add(Code::Renamed, &spec.origin.place, message);
        Some(())
    }

    /// Whether both can be definitions of the same metric.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        let form = |metric: &Self| {
            let labels: Vec<String> = metric.labels.iter().map(|(name, _)| name.clone()).collect();
            (metric.kind, metric.unit, metric.buckets.clone(), metric.native_buckets.clone(), labels)
        };
        form(self) == form(other)
    }

    /// Whether a part of the histogram `other` has its name in Prometheus.
    pub(super) fn is_part_of(&self, other: &Self) -> bool {
        let name = self.full_name();
        let mut parts = HISTOGRAM_PARTS.into_iter().filter_map(|part| name.strip_suffix(part));
        other.kind == MetricKind::Distribution && parts.any(|histogram| histogram == other.full_name())
    }

    /// Whether it is one of the module's own metrics, with the same value.
    pub(super) fn is_own(&self) -> bool {
        let own = match (self.protocol, self.name.as_str()) {
            (Protocol::Http, "requests_total") => self.value == "1" && self.kind == MetricKind::Counter,
            (Protocol::Http, "request_duration_milliseconds") => {
                self.value == "request.duration" && self.unit == Some(Unit::Milliseconds)
            }
            (Protocol::Tcp, "tcp_sent_bytes_total") => self.value == "sentBytes" && self.event.is_none(),
            (Protocol::Tcp, "tcp_received_bytes_total") => self.value == "receivedBytes" && self.event.is_none(),
            (Protocol::Tcp, "tcp_connections_opened_total") => {
                self.value == "1" && self.event.as_deref() == Some("open")
            }
            (Protocol::Tcp, "tcp_connections_closed_total") => {
                self.value == "1" && self.event.as_deref() == Some("close")
            }
            _ => false,
        };
        own && self.has_prefix && self.condition.is_none()
    }

    /// The labels with expressions.
    pub(super) fn dimensions(&self) -> Map<String, Json> {
        let expression = |(name, label): &(String, Label)| match label {
            Label::Kept => None,
            Label::Expression(text) => Some((name.clone(), text.clone().into())),
        };
        self.labels.iter().filter_map(expression).collect()
    }

    /// Its definition for the module.
    pub(super) fn definition(&self) -> Json {
        let kind = match self.kind {
            MetricKind::Counter => "COUNTER",
            MetricKind::Gauge => "GAUGE",
            MetricKind::Distribution => "HISTOGRAM",
        };
        let mut definition = Map::new();
        let mut set = |field: &str, value: Json| drop(definition.insert(field.to_owned(), value));
        set("name", self.name.clone().into());
        set("value", self.value.clone().into());
        set("type", kind.into());
        if !self.has_prefix {
            set("prefix", "".into());
        }
        if self.protocol == Protocol::Tcp {
            set("protocol", "TCP".into());
        }
        if let Some(event) = &self.event {
            set("event", event.to_uppercase().into());
        }
        match self.unit {
            Some(Unit::Seconds) => set("unit", "SECONDS".into()),
            Some(Unit::Milliseconds) => set("unit", "MILLISECONDS".into()),
            None => {}
        }
        if let Some(buckets) = &self.buckets {
            set("buckets", json!(buckets));
        }
        if let Some(condition) = &self.condition {
            set("match", condition.clone().into());
        }
        let dimensions = self.dimensions();
        if !dimensions.is_empty() {
            set("dimensions", dimensions.into());
        }
        definition.into()
    }
}

/// Whether a label falls back from the service to the Host header.
pub(super) fn takes_host(spec: &MetricSpec) -> bool {
    names_service(spec) && spec.labels.iter().any(|(_, compiled)| compiled.expression.names("request.host"))
}

/// Whether a label would contain the Host header if the service is not known.
pub(super) fn names_service(spec: &MetricSpec) -> bool {
    let names = ["destination.service", "destination.service.host", "destination.service.name"];
    spec.labels.iter().any(|(_, compiled)| names.iter().any(|name| compiled.expression.names(name)))
}
