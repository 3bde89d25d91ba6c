//! Reads the fields of an object strictly, and reports all problems with their places.

use std::{collections::BTreeMap, rc::Rc};

use envoy_filter::{
    names::snake,
    yaml::{Kind, Node},
};

use crate::{
    cexl::parse_duration,
    diagnostic::{Code, Diagnostics, ObjectName, Place},
    names,
};

/// A node of an object and the path to it.
#[derive(Clone, Debug)]
pub struct At<'n> {
    /// The node.
    pub node: &'n Node,
    file: Rc<str>,
    object: Rc<ObjectName>,
    path: String,
}

/// The fields of a mapping, with snake_case names.
#[derive(Debug)]
pub struct Fields<'n>(BTreeMap<String, At<'n>>);

impl<'n> At<'n> {
    /// The whole object.
    pub fn object(node: &'n Node, file: &Rc<str>, object: &Rc<ObjectName>) -> Self {
        Self { node, file: Rc::clone(file), object: Rc::clone(object), path: String::new() }
    }

    /// A field of this node.
    pub fn field(&self, name: &str, node: &'n Node) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { node, path, ..self.clone() }
    }

    /// An item of this node.
    fn item(&self, index: usize, node: &'n Node) -> Self {
        Self { node, path: format!("{}[{index}]", self.path), ..self.clone() }
    }

    /// Its place.
    pub fn place(&self) -> Place {
        Place {
            file: Rc::clone(&self.file),
            position: self.node.position,
            object: Some(Rc::clone(&self.object)),
            field: self.path.clone(),
        }
    }

    /// A mapping with only the fields `known`, in snake_case.
    pub fn fields(&self, known: &[&str], diagnostics: &mut Diagnostics) -> Fields<'n> {
        let mut fields = BTreeMap::new();
        for (key, at) in self.entries(diagnostics) {
            let name = snake(&key);
            if !known.contains(&name.as_str()) {
                let hint = names::nearest(&name, known.iter().copied()).map_or_else(
                    || format!(" (known are {})", known.join(", ")),
                    |near| format!(" (did you mean {near:?}?)"),
                );
                let message = format!(
                    "unknown field {key:?}{hint}; Mixer would have ignored this whole object or run it with defaults"
                );
                diagnostics.add(Code::UnknownField, &at.place(), message);
            } else if !matches!(at.node.kind, Kind::Null) && fields.insert(name, at.clone()).is_some() {
                diagnostics.add(Code::Field, &at.place(), "stands twice, in two spellings");
            }
        }
        Fields(fields)
    }

    /// The entries of a mapping, with their names in the file.
    pub fn entries(&self, diagnostics: &mut Diagnostics) -> Vec<(String, At<'n>)> {
        match &self.node.kind {
            Kind::Map(entries) => entries.iter().map(|(key, node)| (key.clone(), self.field(key, node))).collect(),
            Kind::Null => Vec::new(),
            _ => {
                self.refuse("a mapping", diagnostics);
                Vec::new()
            }
        }
    }

    /// The items of a list.
    pub fn items(&self, diagnostics: &mut Diagnostics) -> Vec<At<'n>> {
        match &self.node.kind {
            Kind::List(items) => items.iter().enumerate().map(|(index, node)| self.item(index, node)).collect(),
            _ => {
                self.refuse("a list", diagnostics);
                Vec::new()
            }
        }
    }

    /// A text.
    pub fn text(&self, diagnostics: &mut Diagnostics) -> Option<String> {
        let text = self.node.as_text().map(str::to_owned);
        if text.is_none() {
            self.refuse("a text (put it in quotes)", diagnostics);
        }
        text
    }

    /// A boolean.
    pub fn boolean(&self, diagnostics: &mut Diagnostics) -> Option<bool> {
        match self.node.kind {
            Kind::Bool(is) => Some(is),
            _ => {
                self.refuse("true or false", diagnostics);
                None
            }
        }
    }

    /// A number.
    pub fn number(&self, diagnostics: &mut Diagnostics) -> Option<f64> {
        match &self.node.kind {
            Kind::Number(number) => number.as_f64(),
            _ => {
                self.refuse("a number", diagnostics);
                None
            }
        }
    }

    /// An integer, optionally in quotes.
    pub fn integer(&self, diagnostics: &mut Diagnostics) -> Option<i64> {
        let number = match &self.node.kind {
            Kind::Number(number) => number.as_i64(),
            Kind::String(text) => text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.refuse("a whole number", diagnostics);
        }
        number
    }

    /// A duration, in nanoseconds.
    pub fn duration(&self, diagnostics: &mut Diagnostics) -> Option<i64> {
        let duration = self.node.as_text().and_then(parse_duration);
        if duration.is_none() {
            self.refuse("a duration such as \"10m\"", diagnostics);
        }
        duration
    }

    /// An enum's value, by name or by number. The number is the index in `names`.
    pub fn choice(&self, names: &[&str], diagnostics: &mut Diagnostics) -> Option<usize> {
        let index = match &self.node.kind {
            Kind::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
            Kind::String(text) => names.iter().position(|name| name == text),
            _ => None,
        };
        let index = index.filter(|index| *index < names.len());
        if index.is_none() {
            self.refuse(&format!("one of {}", names.join(", ")), diagnostics);
        }
        index
    }

    /// The text of an expression. Mixer rejected numbers and booleans without quotes, but their meaning is clear.
    pub fn expression(&self, diagnostics: &mut Diagnostics) -> Option<String> {
        match &self.node.kind {
            Kind::String(text) => Some(text.clone()),
            Kind::Number(_) | Kind::Bool(_) => {
                let text = self.node.quoted();
                let message =
                    format!("{text} is no text: Mixer refused the object; it is taken as the expression '{text}'");
                diagnostics.add(Code::BareLiteral, &self.place(), message);
                Some(text)
            }
            _ => {
                self.refuse("an expression", diagnostics);
                None
            }
        }
    }

    fn refuse(&self, needed: &str, diagnostics: &mut Diagnostics) {
        diagnostics.add(Code::Field, &self.place(), format!("is {}; {needed} is needed", self.node.quoted()));
    }
}

impl<'n> Fields<'n> {
    /// A field that exists and is not null.
    pub fn get(&self, name: &str) -> Option<&At<'n>> {
        self.0.get(name)
    }

    /// An optional text.
    pub fn text(&self, name: &str, diagnostics: &mut Diagnostics) -> Option<String> {
        self.get(name)?.text(diagnostics)
    }

    /// The items of an optional list.
    pub fn items(&self, name: &str, diagnostics: &mut Diagnostics) -> Vec<At<'n>> {
        self.get(name).map_or_else(Vec::new, |at| at.items(diagnostics))
    }
}
