//! The meaning of Mixer's objects: templates, handlers and rules, with compiled expressions.

mod buckets;
mod compiled;
mod handler;
mod instance;
mod kubernetes;
mod manifest;
mod prometheus;
mod rule;
mod unsupported;

use std::collections::HashSet;

use crate::{
    diagnostic::{Code, Diagnostics},
    fields::At,
    input::{Input, Object, BUILT_IN},
    vocabulary::Attributes,
};

pub use compiled::Compiled;
pub use handler::{Adapter, Fluentd, Handler, Sink, Stdio};
pub use instance::{Instance, LogEntry, MetricTemplate, Template};
pub use kubernetes::Defaults;
pub use prometheus::{Metric, MetricKind, Prometheus};
pub use rule::{Action, Reference, Rule};

/// All objects that could be read.
#[derive(Debug, Default)]
pub struct Model {
    /// Instances of all templates.
    pub instances: Vec<Instance>,
    /// Handlers of all adapters.
    pub handlers: Vec<Handler>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// The values of the kubernetesenv adapter for unknown pods.
    pub defaults: Defaults,
    /// The known attributes.
    pub attributes: Attributes,
    /// The qualified names of all objects, including those that are not migrated.
    pub names: HashSet<String>,
    /// Whether rules for TCP have a label, as up to 0.8.
    pub tcp_by_label: bool,
}

impl Model {
    /// Reads all objects of the input.
    pub fn read(input: &Input, diagnostics: &mut Diagnostics) -> Self {
        let names = input.objects.iter().map(|object| object.name.qualified()).collect();
        let mut model = Self { names, ..Self::default() };
        for object in &input.objects {
            if object.name.kind == "attributemanifest" {
                manifest::read(&object.at(), &mut model.attributes, diagnostics);
            }
        }
        for object in &input.objects {
            model.read_object(object, diagnostics);
        }
        model
    }

    fn read_object(&mut self, object: &Object, diagnostics: &mut Diagnostics) {
        let at = object.at();
        let kind = object.name.kind.as_str();
        let annotation = |name: &str| object.node.get("metadata")?.get("annotations")?.get(name)?.as_text();
        let language = annotation("policy.istio.io/lang").filter(|language| *language != "CEXL");
        if let Some(language) = language {
            let message = format!("annotation policy.istio.io/lang={language}: only CEXL expressions can be migrated");
            diagnostics.add(Code::Language, &at.place(), message);
        }
        let usable = language.is_none();
        let legacy = matches!(kind, "metric" | "logentry" | "prometheus" | "stdio" | "fluentd");
        if legacy && *object.file != *BUILT_IN {
            let message = format!("kind {kind} was ignored by Mixer from 1.2 on unless it was told otherwise");
            diagnostics.add(Code::LegacyKind, &at.place(), message);
        }
        match kind {
            "attributemanifest" => {}
            "rule" => {
                let rule = Rule::read(&at, usable, &self.attributes, diagnostics);
                self.tcp_by_label |= rule.protocol_label.is_some();
                self.rules.push(rule);
            }
            "metric" | "logentry" | "kubernetes" | "instance" => {
                let (instance, defaults) = Instance::read(&at, usable, &self.attributes, diagnostics);
                self.defaults.add(defaults);
                self.instances.push(instance);
            }
            "prometheus" | "stdio" | "fluentd" | "kubernetesenv" | "handler" => {
                let handler = Handler::read(&at, usable, diagnostics);
                self.defaults.has_handler |= matches!(handler.adapter, Adapter::Kubernetes);
                self.handlers.push(handler);
            }
            _ => unsupported::kind(kind, &at.place(), diagnostics),
        }
    }
}

impl Object {
    fn at(&self) -> At<'_> {
        At::object(&self.node, &self.file, &self.name)
    }
}
