//! Rules: which instances go to which handlers.

use std::rc::Rc;

use envoy_filter::yaml::Node;

use crate::{
    cexl::Type,
    diagnostic::{Code, Diagnostics, ObjectName, Place},
    fields::At,
    vocabulary::Attributes,
};

use super::compiled::{compile, Compiled};

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: Rc<ObjectName>,
    /// Its place.
    pub place: Place,
    /// `match`; `None` always matches.
    pub condition: Option<Compiled>,
    /// `actions`.
    pub actions: Vec<Action>,
    /// Whether Mixer accepted the rule and it can be migrated. If not, this was reported.
    pub usable: bool,
    /// The label `istio-protocol`, which selected the protocol of rules up to 0.8.
    pub protocol_label: Option<String>,
}

/// Instances for a handler.
#[derive(Debug)]
pub struct Action {
    /// `handler`
    pub handler: Reference,
    /// `instances`
    pub instances: Vec<Reference>,
}

/// The name of an object in a rule.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Its text.
    pub text: String,
    /// Its place.
    pub place: Place,
}

impl Rule {
    /// Reads a rule.
    pub(super) fn read(at: &At<'_>, usable: bool, attributes: &Attributes, diagnostics: &mut Diagnostics) -> Self {
        let place = at.place();
        let name = place.object.clone().unwrap_or_default();
        let labels = at.node.get("metadata").and_then(|metadata| metadata.get("labels"));
        let protocol_label =
            labels.and_then(|labels| labels.get("istio-protocol")).and_then(Node::as_text).map(str::to_owned);
        let mut rule = Self { name, place, condition: None, actions: Vec::new(), usable, protocol_label };
        let Some(spec) = at.node.get("spec").map(|node| at.field("spec", node)) else {
            return rule;
        };
        let known = ["match", "actions", "request_header_operations", "response_header_operations", "sampling"];
        let fields = spec.fields(&known, diagnostics);
        for (field, name) in [
            ("request_header_operations", "requestHeaderOperations"),
            ("response_header_operations", "responseHeaderOperations"),
        ] {
            if let Some(at) = fields.get(field) {
                let message = format!(
                    "{name} are policy: use VirtualService headers. The telemetry actions of this rule are migrated."
                );
                diagnostics.add(Code::HeaderOperations, &at.place(), message);
            }
        }
        if let Some(at) = fields.get("sampling") {
            let message = "sampling was never implemented: Mixer reported everything, and so does the result";
            diagnostics.add(Code::Sampling, &at.place(), message);
        }
        if let Some(at) = fields.get("match") {
            let blank = at.node.as_text().is_some_and(|text| text.trim().is_empty() || text.trim() == "true");
            if !blank {
                let compiled = compile(at, attributes, diagnostics);
                rule.usable &= compiled.is_some();
                if let Some(compiled) = compiled {
                    let ty = compiled.expression.ty;
                    if ty != Type::Bool {
                        diagnostics.add(
                            Code::MatchType,
                            &at.place(),
                            format!("rule match has type {ty}, must be BOOL."),
                        );
                        rule.usable = false;
                    }
                    rule.condition = Some(compiled);
                }
            }
        }
        rule.actions =
            fields.items("actions", diagnostics).iter().filter_map(|at| Action::read(at, diagnostics)).collect();
        rule
    }
}

impl Action {
    fn read(at: &At<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let fields = at.fields(&["handler", "instances", "name"], diagnostics);
        let Some(handler) = fields.get("handler") else {
            diagnostics.add(Code::Field, &at.place(), "has no handler");
            return None;
        };
        let handler = Reference::read(handler, diagnostics)?;
        let instances = fields.items("instances", diagnostics);
        let instances = instances.iter().filter_map(|at| Reference::read(at, diagnostics)).collect();
        Some(Self { handler, instances })
    }
}

impl Reference {
    fn read(at: &At<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        Some(Self { text: at.text(diagnostics)?, place: at.place() })
    }
}
