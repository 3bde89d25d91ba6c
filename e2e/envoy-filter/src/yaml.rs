//! YAML documents as trees whose nodes know their line.

use std::{fmt, path::Path};

use serde::{
    de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
    Deserialize,
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{from_multiple_with_options, options, DuplicateKeyPolicy, Spanned, UserMessageFormatter};

use crate::problem::Problem;

/// A value and the line it stands on.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) kind: Kind,
}

/// What a node holds. Mappings keep the order of the file.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value of a mapping's key; absent and null are the same, as in protobuf's JSON form.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|(name, node)| name == key && !matches!(node.kind, Kind::Null))
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// The value without its lines.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::String(value) => Value::String(value.clone()),
            Kind::List(items) => items.iter().map(Node::to_json).collect(),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|(name, node)| (name.clone(), node.to_json())).collect::<Map<_, _>>())
            }
        }
    }

    /// The value as it is quoted in messages.
    pub(crate) fn quoted(&self) -> String {
        match &self.kind {
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
            _ => self.to_json().to_string(),
        }
    }
}

/// Reads every document of a file; empty documents are left out.
pub(crate) fn documents(file: &Path, text: &str) -> Result<Vec<Node>, Problem> {
    let options = options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    from_multiple_with_options(text, options).map_err(|error| {
        let location = error.location();
        let reason = error.without_snippet().render_with_formatter(&UserMessageFormatter);
        // The position stands before the message, as in every other problem.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        Problem {
            line: location.map(|at| at.line()),
            column: location.map(|at| at.column()),
            ..Problem::of_file(file, format!("not valid YAML: {reason}"))
        }
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Node { line: spanned.referenced.line(), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Kind, E> {
        Number::from_f64(value).map(Kind::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Kind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Kind, A::Error> {
        let mut map: Vec<(String, Node)> = Vec::new();
        while let Some((key, node)) = entries.next_entry::<String, Node>()? {
            if map.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format!("{key:?} stands twice in one mapping")));
            }
            map.push((key, node));
        }
        Ok(Kind::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Vec<Node>, String> {
        documents(Path::new("a.yaml"), text).map_err(|problem| problem.to_string())
    }

    #[test]
    fn scalars_keep_their_types() {
        let text = "a: 1\nb: -2\nc: 1.5\nd: true\ne: yes\nf: '1'\ng:\nh: [x]\ni: |\n  {\"j\": 1}\n";
        assert_eq!(
            read(text).unwrap()[0].to_json(),
            json!({"a": 1, "b": -2, "c": 1.5, "d": true, "e": "yes", "f": "1", "g": null, "h": ["x"], "i": "{\"j\": 1}\n"})
        );
    }

    #[test]
    fn every_node_knows_its_line() {
        let nodes = read("a: 1\n---\nb:\n  c:\n    - d: x\n").unwrap();
        assert_eq!(nodes.len(), 2);
        let list = nodes[1].get("b").unwrap().get("c").unwrap();
        let Kind::List(items) = &list.kind else { panic!("{list:?}") };
        assert_eq!(items[0].get("d").unwrap().line, 5);
    }

    #[test]
    fn broken_yaml_is_refused_with_line_and_column() {
        let text = read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(text.starts_with("a.yaml:3:2: not valid YAML: "), "{text}");
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let text = read("a: 1\na: 2\n").unwrap_err();
        assert_eq!(text, "a.yaml:2:1: not valid YAML: duplicate mapping key: a not allowed here");
    }
}
