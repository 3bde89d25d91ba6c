//! YAML documents as trees of nodes with positions.

use std::{collections::HashSet, fmt};

use serde::{
    de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
    Deserialize,
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{
    budget::BudgetBreach, from_multiple_with_options, options, DuplicateKeyPolicy, Error, Spanned, UserMessageFormatter,
};

/// Deepest nesting. Code that walks a deeper tree would need too much stack.
const MAX_DEPTH: usize = 64;
/// Most documents in a file: the number of objects in a large cluster.
const MAX_DOCUMENTS: usize = 10_000;
/// Most nodes from aliases: with them, a small file can become very large.
const MAX_REPLAYED: usize = 50_000;
/// Stack size for that depth; a main thread may have less.
const STACK: usize = 64 << 20;

/// Position in a file. Line and column start at 1; 0 means unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// A value and its position.
#[derive(Clone, Debug)]
pub struct Node {
    /// Position of its beginning.
    pub position: Position,
    /// The value.
    pub kind: Kind,
}

/// The value of a node. Mappings keep the order of the file.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // They are what YAML calls them.
pub enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value of a mapping's key. Absent and null are the same, as in protobuf's JSON form.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|(name, node)| name == key && !matches!(node.kind, Kind::Null))
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list; empty for any other value.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// The value without its positions.
    pub fn to_json(&self) -> Value {
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

    /// The value in the form for messages.
    pub fn quoted(&self) -> String {
        match &self.kind {
            Kind::Null => "null".into(),
            Kind::Bool(is) => is.to_string(),
            Kind::Number(number) => number.to_string(),
            Kind::String(text) if text.chars().count() <= 60 => format!("{text:?}"),
            Kind::String(_) => "a long text".into(),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a mapping".into(),
        }
    }
}

/// Reads all documents of a file, except empty ones. An error has position and reason.
pub fn documents(text: &str) -> Result<Vec<Node>, (Position, String)> {
    // The parser needs much stack for each level, and the size of a thread's stack varies.
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || parse(text)).ok()?;
        thread.join().ok()
    });
    parsed.unwrap_or_else(|| Err((Position::default(), "the parser gave up".to_owned())))
}

fn parse(text: &str) -> Result<Vec<Node>, (Position, String)> {
    let options = options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_documents: MAX_DOCUMENTS },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
    };
    from_multiple_with_options::<Node>(text, options)
        .map(|nodes| nodes.into_iter().filter(|node| !matches!(node.kind, Kind::Null)).collect())
        .map_err(|error| {
            let position =
                error.location().map_or_else(Position::default, |at| Position { line: at.line(), column: at.column() });
            if let Error::Budget { breach: BudgetBreach::Documents { .. }, .. } = error.without_snippet() {
                return (position, format!("more than {MAX_DOCUMENTS} documents in one file: divide it"));
            }
            let reason = error.without_snippet().render_with_formatter(&UserMessageFormatter);
            // The position comes before the message, as in all diagnostics.
            (position, reason.split(" at line ").next().unwrap_or_default().to_owned())
        })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        let at = spanned.referenced;
        Ok(Node { position: Position { line: at.line(), column: at.column() }, kind: spanned.value })
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
        let mut known = HashSet::new();
        while let Some((key, node)) = entries.next_entry::<String, Node>()? {
            if !known.insert(key.clone()) {
                return Err(A::Error::custom(format!("{key:?} stands twice in one mapping")));
            }
            map.push((key, node));
        }
        Ok(Kind::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_keep_their_types() {
        let text = "a: 1\nb: -2\nc: 1.5\nd: true\ne: yes\nf: '1'\ng:\nh: [x]\ni: |\n  {\"j\": 1}\n";
        assert_eq!(
            documents(text).unwrap()[0].to_json(),
            json!({"a": 1, "b": -2, "c": 1.5, "d": true, "e": "yes", "f": "1", "g": null, "h": ["x"], "i": "{\"j\": 1}\n"})
        );
    }

    #[test]
    fn every_node_knows_where_it_stands() {
        let nodes = documents("a: 1\n---\n---\nb:\n  c:\n    - d: \"x\"\n").unwrap();
        assert_eq!(nodes.len(), 2);
        let list = nodes[1].get("b").unwrap().get("c").unwrap();
        assert_eq!(list.items()[0].get("d").unwrap().position, Position { line: 6, column: 10 });
    }

    #[test]
    fn broken_yaml_is_refused_with_line_and_column() {
        let (position, reason) = documents("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert_eq!((position.line, position.column > 0), (3, true), "{reason}");
        assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let (position, reason) = documents("a: 1\na: 2\n").unwrap_err();
        assert_eq!(position, Position { line: 2, column: 1 });
        assert!(reason.contains("duplicate"), "{reason}");
    }
}
