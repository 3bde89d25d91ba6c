//! Reads files into lists of Mixer's objects.

use std::{collections::HashMap, rc::Rc};

use envoy_filter::yaml::{self, Node};

use crate::{
    defaults::Version,
    diagnostic::{Code, Diagnostics, ObjectName, Place},
};

/// The API group of Mixer's objects.
const GROUP: &str = "config.istio.io/";
/// The file name of Istio's own objects.
pub const BUILT_IN: &str = "(Istio's own)";
/// Deepest nesting of lists.
const MAX_LISTS: usize = 4;

/// One object.
#[derive(Debug)]
pub struct Object {
    /// Its kind, namespace and name.
    pub name: Rc<ObjectName>,
    /// Its file.
    pub file: Rc<str>,
    /// Its content.
    pub node: Node,
}

/// The objects of the input.
#[derive(Debug, Default)]
pub struct Input {
    /// Mixer's objects, without duplicate names.
    pub objects: Vec<Object>,
    /// Number of other objects.
    pub others: usize,
    known: HashMap<Rc<ObjectName>, usize>,
}

/// How to read objects.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The default namespace of objects.
    pub namespace: String,
    /// If two objects have the same name, use the later one.
    pub last_wins: bool,
}

impl Input {
    /// Adds the objects in `text`, the content of `file`.
    pub fn add(&mut self, file: &str, text: &str, reading: &Reading, diagnostics: &mut Diagnostics) {
        let file: Rc<str> = file.into();
        match yaml::documents(text) {
            Ok(documents) => {
                for document in documents {
                    self.add_document(&file, document, reading, diagnostics, 0);
                }
            }
            Err((position, reason)) => {
                let place = Place { file, position, object: None, field: String::new() };
                diagnostics.add(Code::Yaml, &place, format!("not valid YAML: {reason}"));
            }
        }
    }

    /// Adds Istio's own instances and handlers that rules refer to and the input does not contain.
    pub fn add_defaults(&mut self, version: Version, reading: &Reading) {
        let mut own = Self::default();
        own.add(BUILT_IN, version.text(), reading, &mut Diagnostics::default());
        let named: Vec<String> =
            self.objects.iter().filter(|object| object.name.kind == "rule").flat_map(references).collect();
        for object in own.objects {
            let is_named = named.iter().any(|name| *name == object.name.name) && object.name.kind != "rule";
            if is_named && !self.known.contains_key(&object.name) {
                self.known.insert(Rc::clone(&object.name), self.objects.len());
                self.objects.push(object);
            }
        }
    }

    fn add_document(
        &mut self,
        file: &Rc<str>,
        node: Node,
        reading: &Reading,
        diagnostics: &mut Diagnostics,
        depth: usize,
    ) {
        let place = Place { file: Rc::clone(file), position: node.position, object: None, field: String::new() };
        let text = |name: &str| node.get(name).and_then(Node::as_text);
        let (kind, version) = (text("kind").unwrap_or_default(), text("apiVersion").unwrap_or_default());
        // The output of `kubectl get -o yaml`: `kind: List`, or for example `ruleList`.
        if kind.ends_with("List") && node.get("items").is_some() && depth < MAX_LISTS {
            for item in node.get("items").map(Node::items).unwrap_or_default() {
                self.add_document(file, item.clone(), reading, diagnostics, depth + 1);
            }
            return;
        }
        if kind.is_empty() || version.is_empty() {
            self.others += 1;
            let jobs = node.get("scrape_configs").map(Node::items).unwrap_or_default();
            if jobs.iter().any(|job| job.get("job_name").and_then(Node::as_text) == Some("istio-mesh")) {
                let message = "job istio-mesh scrapes Mixer: metrics now come from every pod: use the envoy-stats job \
                               (/stats/prometheus, port name *-envoy-prom)";
                diagnostics.add(Code::PrometheusJob, &place, message);
            } else if node.get("spec").is_some() || node.get("metadata").is_some() {
                diagnostics.add(Code::Yaml, &place, "an object without kind or apiVersion; is the indentation right?");
            }
            return;
        }
        if !version.starts_with(GROUP) {
            self.others += 1;
            return;
        }
        let metadata = |name: &str| node.get("metadata").and_then(|node| node.get(name)).and_then(Node::as_text);
        let Some(name) = metadata("name") else {
            diagnostics.add(Code::Field, &place, format!("this {kind} has no metadata.name"));
            return;
        };
        let name = Rc::new(ObjectName {
            kind: kind.to_owned(),
            namespace: metadata("namespace").unwrap_or(&reading.namespace).to_owned(),
            name: name.to_owned(),
        });
        if let Some(bad) = [&name.name, &name.namespace].into_iter().find(|text| !is_name(text)) {
            let message = format!(
                "{:?} is no name: lower case letters, digits, - and . are",
                bad.chars().take(60).collect::<String>()
            );
            diagnostics.add(Code::Field, &place, message);
            return;
        }
        let object = Object { name: Rc::clone(&name), file: Rc::clone(file), node };
        match self.known.get(&name).and_then(|index| self.objects.get_mut(*index)) {
            Some(earlier) if reading.last_wins => *earlier = object,
            Some(earlier) => {
                let message = format!(
                    "same kind, namespace and name as {}:{}; kubectl apply would keep the later one (--last-wins does)",
                    earlier.file, earlier.node.position.line
                );
                diagnostics.add(Code::Duplicate, &Place { object: Some(name), ..place }, message);
            }
            None => {
                self.known.insert(name, self.objects.len());
                self.objects.push(object);
            }
        }
    }
}

/// The names of objects that a rule refers to, without kind and namespace.
fn references(rule: &Object) -> Vec<String> {
    let actions = rule.node.get("spec").and_then(|spec| spec.get("actions")).map(Node::items).unwrap_or_default();
    let names = actions.iter().flat_map(|action| {
        let instances = action.get("instances").map(Node::items).unwrap_or_default();
        action.get("handler").into_iter().chain(instances)
    });
    names.filter_map(|node| Some(node.as_text()?.split('.').next()?.to_owned())).collect()
}

/// Whether Kubernetes accepts it as an object's name.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() < 254
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
}
