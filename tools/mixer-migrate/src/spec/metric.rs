//! Metrics of Prometheus.

use crate::{
    cexl::{Type, Value},
    diagnostic::{Code, Diagnostics},
    model::{Compiled, Metric, MetricKind, MetricTemplate},
};

use super::origin::Origin;

/// A metric with all its data.
#[derive(Clone, Debug)]
pub struct MetricSpec {
    /// Its name in Prometheus.
    pub name: String,
    /// Its kind.
    pub kind: MetricKind,
    /// The recorded value.
    pub value: Compiled,
    /// Upper bounds of a distribution.
    pub buckets: Vec<f64>,
    /// Labels in the order of their names.
    pub labels: Vec<(String, Compiled)>,
    /// Its origin.
    pub origin: Origin,
}

impl MetricSpec {
    /// The metric for an instance and a handler's metric. `None` if it never worked; this is reported.
    pub(super) fn of(
        metric: &Metric,
        template: &MetricTemplate,
        origin: Origin,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let only_labels: Vec<&str> = metric
            .labels
            .iter()
            .filter(|label| !template.dimensions.contains_key(*label))
            .map(String::as_str)
            .collect();
        let only_dimensions: Vec<&str> =
            template.dimensions.keys().filter(|name| !metric.labels.contains(name)).map(String::as_str).collect();
        if !only_labels.is_empty() || !only_dimensions.is_empty() {
            let message = format!(
                "label_names and dimensions differ: only in label_names [{}], only in dimensions [{}]; Mixer dropped every \
                 sample.",
                only_labels.join(", "),
                only_dimensions.join(", ")
            );
            diagnostics.add(Code::LabelMismatch, &metric.place.field("label_names"), message);
            return None;
        }
        let value = &template.value;
        let is_number = match (value.expression.ty, value.expression.as_constant()) {
            (Type::Int64 | Type::Double | Type::Duration, _) => true,
            (Type::String, Some(Value::String(text))) => text.parse::<f64>().is_ok(),
            _ => false,
        };
        if !is_number {
            let message = format!("metric value is {}: not a number.", value.expression.ty);
            diagnostics.add(Code::ValueType, &value.place, message);
            return None;
        }
        if metric.kind == MetricKind::Gauge {
            let message = "a gauge shows the last value of each proxy; Mixer's was the last one of the whole mesh";
            diagnostics.add(Code::Gauge, &metric.place, message);
        }
        Some(Self {
            name: metric.name.clone(),
            kind: metric.kind,
            value: value.clone(),
            buckets: metric.buckets.clone(),
            labels: template.dimensions.iter().map(|(name, compiled)| (name.clone(), compiled.clone())).collect(),
            origin,
        })
    }
}
