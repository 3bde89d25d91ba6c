//! What is reported to which handler: one specification for each rule, action and instance. Mixer never combined them
//! either.

mod log;
mod metric;
mod origin;

use std::collections::HashMap;

use crate::{
    diagnostic::{Code, Diagnostics, Place},
    input::BUILT_IN,
    model::{Adapter, Handler, Instance, Model, Rule, Template},
    resolve::Index,
};

pub use log::{LogSpec, Variable};
pub use metric::MetricSpec;
pub use origin::{Origin, Protocols};

/// All specifications of the input.
#[derive(Debug, Default)]
pub struct Specs {
    /// Metrics.
    pub metrics: Vec<MetricSpec>,
    /// Logs.
    pub logs: Vec<LogSpec>,
}

/// The rules that send an instance to a handler, by their qualified names.
type Fed = HashMap<(String, String), Vec<String>>;

impl Specs {
    /// Follows every rule.
    pub fn of(model: &Model, diagnostics: &mut Diagnostics) -> Self {
        let index = Index::new(model);
        let mut specs = Self::default();
        let mut fed = Fed::new();
        for rule in &model.rules {
            for action in &rule.actions {
                let handler = index.handler(rule, &action.handler, diagnostics);
                let mut seen: Vec<&str> = Vec::new();
                for reference in &action.instances {
                    let instance = index.instance(rule, reference, diagnostics);
                    let (Some(handler), Some(instance)) = (handler, instance) else {
                        continue;
                    };
                    if seen.contains(&reference.text.as_str()) {
                        let message =
                            format!("instance {:?} stands twice in this action; Mixer took it once", reference.text);
                        diagnostics.add(Code::Double, &reference.place, message);
                        continue;
                    }
                    seen.push(&reference.text);
                    let rules = fed.entry((handler.name.qualified(), instance.name.qualified())).or_default();
                    if !rules.is_empty() && !matches!(handler.adapter, Adapter::Kubernetes | Adapter::None) {
                        let message = format!(
                            "also {} sends {} to {}: where both match, Mixer counted and logged twice, and so does the result",
                            rules.join(", "), instance.name.qualified(), handler.name.qualified()
                        );
                        diagnostics.add(Code::Double, &reference.place, message);
                    }
                    if !rule.usable {
                        continue;
                    }
                    rules.push(rule.name.to_string());
                    specs.add(model, rule, handler, instance, &reference.place, diagnostics);
                }
            }
        }
        for handler in &model.handlers {
            unfed(handler, &fed, &index, diagnostics);
        }
        specs
    }

    fn add(
        &mut self,
        model: &Model,
        rule: &Rule,
        handler: &Handler,
        instance: &Instance,
        reference: &Place,
        diagnostics: &mut Diagnostics,
    ) {
        let Some(template) = &instance.template else {
            return;
        };
        let origin = Origin {
            namespace: rule.name.namespace.clone(),
            rule: rule.name.to_string(),
            instance: instance.name.qualified(),
            handler: handler.name.qualified(),
            place: instance.place.clone(),
            condition: rule.condition.clone(),
            protocols: protocols(model, rule),
        };
        match (&handler.adapter, template) {
            (Adapter::None, _) | (Adapter::Kubernetes, Template::Kubernetes) => {}
            (Adapter::Prometheus(prometheus), Template::Metric(template)) => {
                match prometheus.metrics.iter().find(|metric| metric.instance == origin.instance) {
                    Some(metric) => self.metrics.extend(MetricSpec::of(metric, template, origin, diagnostics)),
                    None if prometheus
                        .metrics
                        .iter()
                        .any(|metric| other_form(&metric.instance) == Some(origin.instance.clone())) => {}
                    None if prometheus.refused.contains(&origin.instance) => {}
                    None => {
                        let message = format!(
                            "handler {} has no metric with instance_name \"{}\": Mixer dropped every sample; add one or take \
                             the instance out of the rule",
                            origin.handler, origin.instance
                        );
                        diagnostics.add(Code::InstanceName, reference, message);
                    }
                }
            }
            (Adapter::Stdio(stdio), Template::LogEntry(entry)) => self.logs.push(LogSpec::entry(stdio, entry, origin)),
            (Adapter::Stdio(stdio), Template::Metric(metric)) => self.logs.push(LogSpec::metric(stdio, metric, origin)),
            (Adapter::Fluentd(fluentd), Template::LogEntry(entry)) => {
                self.logs.push(LogSpec::fluentd(fluentd, entry, origin));
            }
            (adapter, template) => {
                let message = format!("adapter {} does not accept {} instances.", adapter.name(), template.name());
                diagnostics.add(Code::Template, reference, message);
            }
        }
    }
}

/// The protocols of a rule. Up to 0.8, a label selected the protocol, and rules without it were for HTTP. From 1.0 on,
/// rules are for both protocols.
fn protocols(model: &Model, rule: &Rule) -> Protocols {
    match rule.protocol_label.as_deref() {
        Some("tcp") => Protocols::Tcp,
        Some(_) => Protocols::Http,
        None if model.tcp_by_label => Protocols::Http,
        None => Protocols::Both,
    }
}

/// Reports metrics that no rule uses, and handlers that no rule refers to.
fn unfed(handler: &Handler, fed: &Fed, index: &Index<'_>, diagnostics: &mut Diagnostics) {
    if *handler.place.file == *BUILT_IN {
        return;
    }
    let name = handler.name.qualified();
    let used = fed.keys().any(|(handler, _)| *handler == name);
    if !used && !matches!(handler.adapter, Adapter::None | Adapter::Kubernetes) {
        let message = "no rule sends anything here: Mixer never used this handler, and nothing is written for it";
        diagnostics.add(Code::Unfed, &handler.place, message);
    }
    let Adapter::Prometheus(prometheus) = &handler.adapter else {
        return;
    };
    for (number, metric) in prometheus.metrics.iter().enumerate() {
        if index.has_instance(&metric.instance) {
            if used && !fed.contains_key(&(name.clone(), metric.instance.clone())) {
                let message = format!(
                    "no rule sends {} here: {} never had a sample, and is not written",
                    metric.instance, metric.name
                );
                diagnostics.add(Code::Unfed, &metric.place, message);
            }
            continue;
        }
        match other_form(&metric.instance).filter(|other| index.has_instance(other)) {
            Some(other) => {
                let message = format!(
                    "metrics[{number}].instance_name {:?} names no instance; {other:?} exists: Mixer would never have fed \
                     this metric.",
                    metric.instance
                );
                diagnostics.add(Code::InstanceName, &metric.instance_place, message);
            }
            None if used => {
                let message = format!(
                    "instance {} is not in the input: nothing feeds {}, and it is not written",
                    metric.instance, metric.name
                );
                diagnostics.add(Code::Unfed, &metric.place, message);
            }
            None => {}
        }
    }
}

/// The qualified name of the same instance in the other style of objects.
fn other_form(qualified: &str) -> Option<String> {
    let mut parts = qualified.rsplitn(3, '.');
    let (namespace, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    let kind = match kind {
        "metric" => "instance",
        "instance" => "metric",
        _ => return None,
    };
    Some(format!("{name}.{kind}.{namespace}"))
}

impl Adapter {
    fn name(&self) -> &'static str {
        match self {
            Self::Prometheus(_) => "prometheus",
            Self::Stdio(_) => "stdio",
            Self::Fluentd(_) => "fluentd",
            Self::Kubernetes => "kubernetesenv",
            Self::None => "",
        }
    }
}

impl Template {
    fn name(&self) -> &'static str {
        match self {
            Self::Metric(_) => "metric",
            Self::LogEntry(_) => "logentry",
            Self::Kubernetes => "kubernetes",
        }
    }
}
