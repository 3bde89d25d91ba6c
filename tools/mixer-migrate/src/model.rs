//! Mixer's objects as what they mean: templates, handlers and rules, each with its expressions compiled.

mod buckets;
mod handler;
mod instance;
mod kubernetes;
mod manifest;
mod prometheus;
mod rule;
mod unsupported;

use std::{collections::HashSet, rc::Rc};

use crate::{
    cexl::{self, CompileError, ErrorKind, Expression, Function, Kind},
    diagnostic::{Code, Diagnostics, Place},
    fields::At,
    input::{Input, Object, BUILT_IN},
    vocabulary::Attributes,
};

pub use handler::{Adapter, Fluentd, Handler, Sink, Stdio};
pub use instance::{Instance, LogEntry, MetricTemplate, Template};
pub use kubernetes::Defaults;
pub use prometheus::{Metric, MetricKind, Prometheus};
pub use rule::{Action, Reference, Rule};

/// Everything that could be read.
#[derive(Debug, Default)]
pub struct Model {
    /// Instances of all kinds.
    pub instances: Vec<Instance>,
    /// Handlers of all kinds.
    pub handlers: Vec<Handler>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// What the kubernetesenv adapter gives to pods that it does not know.
    pub defaults: Defaults,
    /// The attributes there are.
    pub attributes: Attributes,
    /// The qualified names of all objects, also of those that are not migrated.
    pub names: HashSet<String>,
    /// Whether rules say by a label that they are for TCP, as up to 0.8.
    pub tcp_by_label: bool,
}

/// An expression of an object.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// As it was written.
    pub text: String,
    /// What it means.
    pub expression: Expression,
    /// Where it stands.
    pub place: Place,
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

/// Compiles an expression, and tells what is wrong with it or doubtful about it.
fn compile(at: &At<'_>, attributes: &Attributes, diagnostics: &mut Diagnostics) -> Option<Compiled> {
    let text = at.expression(diagnostics)?;
    match cexl::compile(&text, attributes) {
        Ok(expression) => {
            doubts(&expression, at, diagnostics);
            Some(Compiled { text, expression, place: at.place() })
        }
        Err(error) => {
            diagnostics.add(code(&error), &at.place(), message(&error, &text));
            None
        }
    }
}

fn code(error: &CompileError) -> Code {
    match error.kind {
        ErrorKind::Parse => Code::Parse,
        ErrorKind::Type => Code::Type,
        ErrorKind::UnknownAttribute => Code::UnknownAttribute,
        ErrorKind::UnknownFunction => Code::UnknownFunction,
        ErrorKind::OrOperand => Code::OrOperand,
    }
}

fn message(error: &CompileError, text: &str) -> String {
    let shown = error.with_caret(text);
    let column = error.column(text);
    match error.kind {
        ErrorKind::Parse => format!("cannot parse expression at column {column}: {shown}"),
        ErrorKind::UnknownAttribute => {
            let (first, caret) = shown.split_once('\n').unwrap_or((&shown, ""));
            format!("{first}. Mixer rejected this instance.\n{caret}")
        }
        _ => shown,
    }
}

/// What compiles, but hardly does what was meant.
fn doubts(expression: &Expression, at: &At<'_>, diagnostics: &mut Diagnostics) {
    expression.walk(&mut |part| match &part.kind {
        Kind::Call(Function::Matches, arguments) => {
            if let [receiver, argument] = arguments.as_slice() {
                if argument.as_constant().is_some() && receiver.as_constant().is_none() {
                    let message = "x.matches(\"pattern\") took x for the pattern and the text for what is searched: write \
                                   \"pattern\".matches(x). The result does what Mixer did";
                    diagnostics.add(Code::Matches, &at.place(), message);
                }
            }
        }
        Kind::Index(map, key) => {
            let headers = matches!(&map.kind, Kind::Attribute(name) if matches!(name.as_str(), "request.headers" | "response.headers"));
            if let (true, Some(cexl::Value::String(key))) = (headers, key.as_constant()) {
                if key.chars().any(|character| character.is_ascii_uppercase()) {
                    let message = format!(
                        "header {key:?} never matched: proxies send names in lower case. The result does what Mixer did; \
                         write {:?} to get its value",
                        key.to_ascii_lowercase()
                    );
                    diagnostics.add(Code::HeaderCase, &at.place(), message);
                }
            }
        }
        _ => {}
    });
}

/// Shared by those that refer to objects.
pub(crate) type Name = Rc<crate::diagnostic::ObjectName>;
