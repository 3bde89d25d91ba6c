//! The prometheus adapter: metrics with their names, kinds, buckets and labels.

use crate::{
    diagnostic::{Code, Diagnostics, Place},
    fields::At,
};

use super::buckets;

/// The prometheus adapter.
#[derive(Debug)]
pub struct Prometheus {
    /// `metrics`
    pub metrics: Vec<Metric>,
    /// Instances of rejected metrics; these were reported.
    pub refused: Vec<String>,
}

/// A metric of the prometheus adapter.
#[derive(Debug)]
pub struct Metric {
    /// The name in Prometheus.
    pub name: String,
    /// The qualified name of its instance.
    pub instance: String,
    /// The help text in Prometheus.
    pub help: String,
    /// `kind`
    pub kind: MetricKind,
    /// Upper bounds of a distribution's buckets.
    pub buckets: Vec<f64>,
    /// `label_names`
    pub labels: Vec<String>,
    /// Its place.
    pub place: Place,
    /// The place of its `instance_name`.
    pub instance_place: Place,
}

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// `GAUGE`
    Gauge,
    /// `COUNTER`
    Counter,
    /// `DISTRIBUTION`
    Distribution,
}

impl Prometheus {
    /// Reads the adapter's parameters.
    pub(super) fn read(at: &At<'_>, handler: &str, diagnostics: &mut Diagnostics) -> Self {
        let fields = at.fields(&["metrics", "metrics_expiration_policy"], diagnostics);
        if let Some(at) = fields.get("metrics_expiration_policy") {
            let fields = at.fields(&["metrics_expiry_duration", "expiry_check_interval_duration"], diagnostics);
            fields.get("expiry_check_interval_duration").map(|at| at.duration(diagnostics));
            if fields
                .get("metrics_expiry_duration")
                .and_then(|at| at.duration(diagnostics))
                .is_some_and(|time| time > 0)
            {
                let message =
                    "Mixer removed series that were not seen for that time. Envoy keeps those of a module as long \
                               as it lives; max_series bounds them";
                diagnostics.add(Code::Expiry, &at.place(), message);
            }
        }
        let items = fields.items("metrics", diagnostics);
        let count = items.len();
        let mut metrics: Vec<Metric> = Vec::new();
        let mut refused = Vec::new();
        for at in items {
            if let Some(metric) = Metric::read(&at, handler, count, diagnostics) {
                // If an instance had several metrics, the last one was used.
                for earlier in metrics.iter().filter(|earlier| earlier.instance == metric.instance) {
                    let message = format!(
                        "a later metric of this handler has the same instance_name, and Mixer fed that one: {} never had a \
                         sample, and is not written",
                        earlier.name
                    );
                    diagnostics.add(Code::Unfed, &earlier.place, message);
                }
                metrics.retain(|earlier| earlier.instance != metric.instance);
                metrics.push(metric);
            } else if let Some(name) = at.node.get("instance_name").or(at.node.get("instanceName")) {
                refused.extend(name.as_text().map(str::to_owned));
            }
        }
        Self { metrics, refused }
    }
}

impl Metric {
    fn read(at: &At<'_>, handler: &str, count: usize, diagnostics: &mut Diagnostics) -> Option<Self> {
        let known = ["namespace", "name", "instance_name", "description", "kind", "buckets", "label_names"];
        let fields = at.fields(&known, diagnostics);
        let namespace = fields.text("namespace", diagnostics).filter(|text| !text.is_empty());
        let name = fields.text("name", diagnostics).filter(|text| !text.is_empty());
        let Some(instance_at) = fields.get("instance_name") else {
            diagnostics.add(Code::Field, &at.place(), "has no instance_name");
            return None;
        };
        let instance = instance_at.text(diagnostics)?;
        let full =
            format!("{}_{}", safe(namespace.as_deref().unwrap_or("istio")), safe(name.as_deref().unwrap_or(&instance)));
        let help = fields.text("description", diagnostics).or(name).unwrap_or_else(|| instance.clone());
        let kinds = ["UNSPECIFIED", "GAUGE", "COUNTER", "DISTRIBUTION"];
        let kind = match fields.get("kind") {
            Some(at) => at.choice(&kinds, diagnostics)?,
            None => 0,
        };
        let kind = match kind {
            1 => MetricKind::Gauge,
            2 => MetricKind::Counter,
            3 => MetricKind::Distribution,
            _ => {
                let message = format!("kind missing: Mixer refused the whole handler {handler} ({count} metrics).");
                diagnostics.add(Code::MetricKind, &at.place(), message);
                return None;
            }
        };
        let buckets = match fields.get("buckets") {
            Some(at) => buckets::read(at, diagnostics)?,
            None => buckets::DEFAULT.to_vec(),
        };
        let mut labels = Vec::new();
        for at in fields.items("label_names", diagnostics) {
            labels.push(at.text(diagnostics)?);
        }
        let (place, instance_place) = (at.place(), instance_at.place());
        let usable = labels.iter().fold(is_name(&full, &place, diagnostics), |usable, label| {
            is_label(label, kind, &place.field("label_names"), diagnostics) && usable
        });
        usable.then_some(Self { name: full, instance, help, kind, buckets, labels, place, instance_place })
    }
}

/// Mixer's name with the characters that Prometheus allows.
fn safe(name: &str) -> String {
    let name = name.strip_prefix('/').unwrap_or(name);
    name.chars()
        .filter(|character| *character != '-')
        .map(|character| if matches!(character, '/' | '.' | ' ') { '_' } else { character })
        .collect()
}

fn is_name(name: &str, place: &Place, diagnostics: &mut Diagnostics) -> bool {
    let good =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if !good {
        let message = format!("{name:?} is no name for a metric: letters, digits and underscores are");
        diagnostics.add(Code::Field, place, message);
    }
    good
}

fn is_label(label: &str, kind: MetricKind, place: &Place, diagnostics: &mut Diagnostics) -> bool {
    let made = safe(label);
    let message = if made != label {
        format!("label {label:?} became {made:?} and never matched.")
    } else if label == "le" && kind == MetricKind::Distribution || label.starts_with("__") {
        format!("label {label:?} is reserved.")
    } else if !label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        || label.starts_with(|c: char| c.is_ascii_digit())
        || label.is_empty()
    {
        format!("label {label:?} is none for Prometheus: letters, digits and underscores are.")
    } else {
        return true;
    };
    diagnostics.add(Code::LabelMismatch, place, message);
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe_as_mixer_did() {
        assert_eq!(safe("no-name.metric.ns"), "noname_metric_ns");
        assert_eq!(safe("my-ns.x/y"), "myns_x_y");
        assert_eq!(safe("/a b"), "a_b");
    }
}
