//! Reads nodes strictly, and records every problem with its path and line.

use std::{collections::BTreeMap, path::Path};

use crate::{
    names,
    problem::Problem,
    resource::Named,
    yaml::{Kind, Node},
};

/// A node and the path to it.
#[derive(Debug, Clone)]
pub(crate) struct At<'n> {
    pub(crate) path: String,
    pub(crate) node: &'n Node,
}

impl<'n> At<'n> {
    /// The whole document.
    pub(crate) fn root(node: &'n Node) -> Self {
        At { path: String::new(), node }
    }

    /// A field of this node.
    pub(crate) fn child(&self, name: &str, node: &'n Node) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        At { path, node }
    }

    /// An item of this node.
    pub(crate) fn item(&self, index: usize, node: &'n Node) -> Self {
        At { path: format!("{}[{index}]", self.path), node }
    }

    /// A nested field, for messages. As far as it exists, it also gives the line.
    pub(crate) fn down(&self, path: &str) -> Self {
        path.split('.').fold(self.clone(), |at, name| {
            let node = at.node.get(name).or_else(|| at.node.get(&names::snake(name))).unwrap_or(at.node);
            at.child(name, node)
        })
    }
}

/// The known fields of a mapping, with camelCase names.
#[derive(Debug)]
pub(crate) struct Object<'n> {
    at: At<'n>,
    fields: BTreeMap<String, At<'n>>,
}

impl<'n> Object<'n> {
    /// A field that is present and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&At<'n>> {
        self.fields.get(name)
    }
}

/// Collects the problems of one file.
#[derive(Debug)]
pub(crate) struct Reader<'f> {
    pub(crate) file: &'f Path,
    problems: Vec<Problem>,
    /// Whether what is read shall be applied here.
    applies: bool,
}

impl<'f> Reader<'f> {
    pub(crate) fn new(file: &'f Path) -> Self {
        Reader { file, problems: Vec::new(), applies: true }
    }

    /// For resources that only Istio shall apply.
    pub(crate) fn for_istio(file: &'f Path) -> Self {
        Reader { applies: false, ..Reader::new(file) }
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Number of problems so far.
    pub(crate) fn count(&self) -> usize {
        self.problems.len()
    }

    /// Records a problem.
    pub(crate) fn problem(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.to_path_buf(),
            line: Some(at.node.position.line),
            column: None,
            path: at.path.clone(),
            message: message.into(),
        });
    }

    /// Records what Istio applies and this crate cannot.
    pub(crate) fn unsupported(&mut self, at: &At<'_>, message: &str) {
        if self.applies {
            self.problem(at, message);
        }
    }

    /// A mapping with only these fields. Names can also be in snake_case, as in protobuf's JSON form.
    pub(crate) fn object<'n>(&mut self, at: &At<'n>, allowed: &[&str]) -> Option<Object<'n>> {
        let Kind::Map(entries) = &at.node.kind else {
            self.problem(at, format!("is {}; a mapping is needed", at.node.quoted()));
            return None;
        };
        let mut fields = BTreeMap::new();
        for (key, node) in entries {
            let child = at.child(key, node);
            let name = names::camel(key);
            if !allowed.contains(&name.as_str()) {
                self.problem(&child, format!("is not a known field; {}", names::hint(&name, allowed)));
            } else if !matches!(node.kind, Kind::Null) {
                let twice = format!("stands twice: it is another spelling of `{name}`");
                if fields.insert(name, child.clone()).is_some() {
                    self.problem(&child, twice);
                }
            }
        }
        Some(Object { at: at.clone(), fields })
    }

    /// A required field.
    pub(crate) fn required<'n>(&mut self, object: &Object<'n>, name: &str) -> Option<At<'n>> {
        let found = object.get(name).cloned();
        if found.is_none() {
            self.problem(&object.at.child(name, object.at.node), "is missing");
        }
        found
    }

    /// A non-empty string.
    pub(crate) fn string(&mut self, at: &At<'_>) -> Option<String> {
        match &at.node.kind {
            Kind::String(text) if !text.is_empty() => Some(text.clone()),
            Kind::String(_) => {
                self.problem(at, "is empty");
                None
            }
            _ => {
                self.problem(at, format!("is {}; a string is needed (put it in quotes)", at.node.quoted()));
                None
            }
        }
    }

    /// An optional string.
    pub(crate) fn maybe_string(&mut self, object: &Object<'_>, name: &str) -> Option<String> {
        object.get(name).and_then(|at| self.string(at))
    }

    /// An optional port.
    pub(crate) fn maybe_port(&mut self, object: &Object<'_>, name: &str) -> Option<u32> {
        let at = object.get(name)?;
        let port = match &at.node.kind {
            Kind::Number(number) => number.as_u64(),
            _ => None,
        };
        match port.and_then(|port| u32::try_from(port).ok()) {
            Some(port @ 1..=65535) => Some(port),
            _ => {
                self.problem(at, format!("is {}; a port from 1 to 65535 is needed", at.node.quoted()));
                None
            }
        }
    }

    /// A 32-bit integer.
    pub(crate) fn int32(&mut self, at: &At<'_>) -> Option<i32> {
        let number = match &at.node.kind {
            Kind::Number(number) => number.as_i64(),
            _ => None,
        };
        let number = number.and_then(|number| i32::try_from(number).ok());
        if number.is_none() {
            self.problem(at, format!("is {}; a 32-bit integer is needed", at.node.quoted()));
        }
        number
    }

    /// One of an enum's names.
    pub(crate) fn choice<T: Named>(&mut self, at: &At<'_>) -> Option<T> {
        let text = self.string(at)?;
        let found = T::ALL.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let allowed: Vec<&str> = T::ALL.iter().map(|(name, _)| *name).collect();
            self.problem(at, format!("{text:?} is not known; {}", names::hint(&text, &allowed)));
        }
        found
    }

    /// A mapping of strings to strings.
    pub(crate) fn strings(&mut self, at: &At<'_>) -> Option<BTreeMap<String, String>> {
        let Kind::Map(entries) = &at.node.kind else {
            self.problem(at, format!("is {}; a mapping of strings is needed", at.node.quoted()));
            return None;
        };
        let before = self.count();
        let mut strings = BTreeMap::new();
        for (key, node) in entries {
            match &node.kind {
                Kind::String(text) => {
                    strings.insert(key.clone(), text.clone());
                }
                _ => self.problem(
                    &at.child(key, node),
                    format!("is {}; a string is needed (put it in quotes)", node.quoted()),
                ),
            }
        }
        (self.count() == before).then_some(strings)
    }
}
