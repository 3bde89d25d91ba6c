//! Instances: the content of reports.

use std::{collections::BTreeMap, rc::Rc};

use crate::{
    cexl::Type,
    diagnostic::{Code, Diagnostics, ObjectName, Place},
    fields::{At, Fields},
    vocabulary::Attributes,
};

use super::{
    compiled::{compile, Compiled},
    kubernetes, unsupported,
};

/// An instance of a template.
#[derive(Debug)]
pub struct Instance {
    /// Its name.
    pub name: Rc<ObjectName>,
    /// Its place.
    pub place: Place,
    /// Its content; `None` if Mixer would have dropped it, or it cannot be migrated. This was reported.
    pub template: Option<Template>,
}

/// The content of an instance.
#[derive(Debug)]
pub enum Template {
    /// `metric`
    Metric(MetricTemplate),
    /// `logentry`
    LogEntry(LogEntry),
    /// `kubernetes`: generates attributes.
    Kubernetes,
}

/// The metric template.
#[derive(Debug)]
pub struct MetricTemplate {
    /// `value`
    pub value: Compiled,
    /// `dimensions`, by name.
    pub dimensions: BTreeMap<String, Compiled>,
}

/// The logentry template.
#[derive(Debug)]
pub struct LogEntry {
    /// `severity`
    pub severity: Option<Compiled>,
    /// `timestamp`
    pub timestamp: Option<Compiled>,
    /// `variables`, by name.
    pub variables: BTreeMap<String, Compiled>,
}

const RESOURCE: [&str; 2] = ["monitored_resource_type", "monitored_resource_dimensions"];

impl Instance {
    /// Reads an instance; for a kubernetes instance, also its bindings.
    pub(super) fn read(
        at: &At<'_>,
        usable: bool,
        attributes: &Attributes,
        diagnostics: &mut Diagnostics,
    ) -> (Self, Option<kubernetes::Bindings>) {
        let place = at.place();
        let name = place.object.clone().unwrap_or_default();
        let position = at.node.get("spec").map_or(place.position, |spec| spec.position);
        let nothing = envoy_filter::yaml::Node { position, kind: envoy_filter::yaml::Kind::Null };
        let spec_node = at.node.get("spec").unwrap_or(&nothing);
        let spec = at.field("spec", spec_node);
        let mut defaults = None;
        let template = if name.kind == "instance" {
            let known = ["compiled_template", "template", "params", "attribute_bindings"];
            let fields = spec.fields(&known, diagnostics);
            if let Some(bindings) = fields.get("attribute_bindings") {
                defaults = Some(kubernetes::bindings(bindings, attributes, diagnostics));
            }
            let params = fields.get("params").cloned().unwrap_or_else(|| spec.field("params", &nothing));
            match fields.text("compiled_template", diagnostics) {
                Some(template) => read(&template, &params, usable, attributes, diagnostics),
                None => {
                    match fields.text("template", diagnostics) {
                        Some(template) => {
                            let message = format!("instance uses an out-of-process template ({template:?}): only compiledTemplate metric and logentry can be migrated.");
                            diagnostics.add(Code::OutOfProcess, &place, message);
                        }
                        None => diagnostics.add(Code::Field, &spec.place(), "has no compiledTemplate"),
                    }
                    None
                }
            }
        } else if name.kind == "kubernetes" {
            let bindings = spec_node.get("attribute_bindings").or(spec_node.get("attributeBindings"));
            if let Some(node) = bindings {
                let at = spec.field("attribute_bindings", node);
                defaults = Some(kubernetes::bindings(&at, attributes, diagnostics));
            }
            Some(Template::Kubernetes)
        } else {
            read(&name.kind, &spec, usable, attributes, diagnostics)
        };
        (Self { name, place, template }, defaults)
    }
}

fn read(
    template: &str,
    at: &At<'_>,
    usable: bool,
    attributes: &Attributes,
    diagnostics: &mut Diagnostics,
) -> Option<Template> {
    let read = match template {
        "metric" => metric(at, attributes, diagnostics).map(Template::Metric),
        "logentry" => log_entry(at, attributes, diagnostics).map(Template::LogEntry),
        "kubernetes" => Some(Template::Kubernetes),
        _ => {
            unsupported::template(template, &at.place(), diagnostics);
            None
        }
    };
    read.filter(|_| usable)
}

fn metric(at: &At<'_>, attributes: &Attributes, diagnostics: &mut Diagnostics) -> Option<MetricTemplate> {
    let before = diagnostics.errors();
    let fields = at.fields(&["value", "dimensions", RESOURCE[0], RESOURCE[1]], diagnostics);
    resource(&fields, attributes, diagnostics);
    let dimensions = expressions(&fields, "dimensions", attributes, diagnostics);
    let value = match fields.get("value") {
        Some(at) => compile(at, attributes, diagnostics),
        None => {
            diagnostics.add(Code::Field, &at.place(), "has no value");
            None
        }
    };
    // One wrong expression made Mixer drop the instance.
    (diagnostics.errors() == before).then_some(MetricTemplate { value: value?, dimensions })
}

fn log_entry(at: &At<'_>, attributes: &Attributes, diagnostics: &mut Diagnostics) -> Option<LogEntry> {
    let before = diagnostics.errors();
    let fields = at.fields(&["severity", "timestamp", "variables", RESOURCE[0], RESOURCE[1]], diagnostics);
    resource(&fields, attributes, diagnostics);
    let variables = expressions(&fields, "variables", attributes, diagnostics);
    let mut typed = |name: &str, ty: Type| {
        let compiled = compile(fields.get(name)?, attributes, diagnostics)?;
        if compiled.expression.ty != ty {
            let message = format!("{name} is {}, must be {ty}", compiled.expression.ty);
            diagnostics.add(Code::Type, &compiled.place, message);
        }
        Some(compiled)
    };
    let severity = typed("severity", Type::String);
    let timestamp = typed("timestamp", Type::Timestamp);
    (diagnostics.errors() == before).then_some(LogEntry { severity, timestamp, variables })
}

/// Checks fields that prometheus, stdio and fluentd do not use: an error in them made Mixer drop the instance.
fn resource(fields: &Fields<'_>, attributes: &Attributes, diagnostics: &mut Diagnostics) {
    if let Some(at) = fields.get(RESOURCE[0]) {
        compile(at, attributes, diagnostics);
    }
    expressions(fields, RESOURCE[1], attributes, diagnostics);
}

fn expressions(
    fields: &Fields<'_>,
    name: &str,
    attributes: &Attributes,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, Compiled> {
    let entries = fields.get(name).map_or_else(Vec::new, |at| at.entries(diagnostics));
    entries.into_iter().filter_map(|(name, at)| Some((name, compile(&at, attributes, diagnostics)?))).collect()
}
