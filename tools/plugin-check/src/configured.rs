//! The configuration of a plugin, and what its module would say of it.

use envoy_filter::names::hint;
use envoy_filter::yaml::{Kind, Node, Position};
use serde_json::{Map, Number, Value};

use crate::attached::Attached;
use crate::find::find;
use crate::json;
use crate::near::with_near_miss;
use crate::readers::Reader;
use crate::scalar::Places;

const STRING_VALUE: &str = "type.googleapis.com/google.protobuf.StringValue";

/// More mistakes of one configuration are only counted.
const MAX_TOLD: usize = 100;

/// The largest whole number up to which a `google.protobuf.Struct` has all.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A configuration, as a module gets it.
#[derive(Debug)]
pub(crate) enum Configured<'n> {
    /// JSON in a text.
    Text(&'n Node, &'n str),
    /// Values in the resource itself.
    Values(&'n Node, String),
    /// Nothing.
    Nothing,
    /// Something that this program cannot read.
    Unknown,
    /// Something that no module can read: the field, where it is, and why.
    Wrong(&'static str, Position, String),
}

/// What is wrong in a configuration.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) field: String,
    pub(crate) position: Position,
    pub(crate) message: String,
}

/// The configuration of a plugin; `source` is the text of its file.
pub(crate) fn of<'n>(attached: &Attached<'n>, source: &str) -> Configured<'n> {
    let Some(node) = attached.node.get(attached.form.configuration) else { return Configured::Nothing };
    if attached.form.configuration == "pluginConfig" {
        // What is no mapping is told by who reads the resource.
        return match &node.kind {
            Kind::Map(_) => Configured::Values(node, values(node, source).to_string()),
            _ => Configured::Unknown,
        };
    }
    let wrong = |field, node: &Node, message| Configured::Wrong(field, node.position, message);
    if !matches!(node.kind, Kind::Map(_)) {
        return wrong("configuration", node, format!("is {}; a mapping with @type and value is needed", node.quoted()));
    }
    let kind = node.get("@type").and_then(Node::as_text).unwrap_or_default();
    match (kind.rsplit('/').next().unwrap_or_default(), node.get("value")) {
        ("google.protobuf.StringValue", Some(value)) => match value.as_text() {
            Some(text) => Configured::Text(value, text),
            None => {
                let message = format!("is {}; a text is needed: JSON in quotes, or below `value: |`", value.quoted());
                wrong("configuration.value", value, message)
            }
        },
        ("google.protobuf.StringValue" | "google.protobuf.Struct", None) => Configured::Nothing,
        ("google.protobuf.BytesValue", _) => Configured::Unknown,
        ("", _) => wrong("configuration.@type", node, format!("is missing; allowed: {STRING_VALUE}")),
        ("google.protobuf.Struct" | "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct", Some(_)) => {
            let message =
                format!("{kind:?} reaches the module in binary form; allowed: {STRING_VALUE}, with JSON in value");
            wrong("configuration.@type", find(node, "@type"), message)
        }
        _ => wrong(
            "configuration.@type",
            find(node, "@type"),
            format!("{kind:?} is not known; {}", hint(kind, &[STRING_VALUE])),
        ),
    }
}

impl Configured<'_> {
    /// The JSON that a module reads.
    pub(crate) fn json(&self) -> Option<&str> {
        match self {
            Self::Text(_, text) => Some(text),
            Self::Values(_, text) => Some(text),
            Self::Nothing => Some("{}"),
            Self::Unknown | Self::Wrong(..) => None,
        }
    }

    /// What the module would refuse, with places in the file.
    pub(crate) fn problems(&self, reader: Reader, attached: &Attached<'_>, source: &str) -> Vec<Found> {
        let Some(json) = self.json() else { return Vec::new() };
        let problems = reader.problems(attached.root_id(), attached.vm_id(), json.as_bytes());
        if problems.is_empty() {
            return Vec::new();
        }
        let located = Located::of(self, source);
        let more = problems.len().saturating_sub(MAX_TOLD);
        let found = problems.into_iter().take(MAX_TOLD).map(|problem| {
            let (position, message) = match located.syntax(&problem.message) {
                Some((position, message)) => (position, message.to_owned()),
                None => (located.place(&problem.path), problem.message),
            };
            let message = with_near_miss(message);
            Found { field: problem.path, position, message }
        });
        let rest = (more > 0).then(|| Found {
            field: String::new(),
            position: located.place(""),
            message: format!("{more} more mistakes in this configuration"),
        });
        found.chain(rest).collect()
    }
}

/// A configuration whose values have places in the file.
enum Located<'n> {
    Values(&'n Node),
    Text { start: Position, text: &'n str, places: Option<Places>, tree: Node },
    Nowhere,
}

impl<'n> Located<'n> {
    fn of(configured: &Configured<'n>, source: &str) -> Self {
        match configured {
            Configured::Values(node, _) => Self::Values(node),
            Configured::Text(node, text) => {
                let start = node.position;
                let places = Places::of(source, start, text);
                let tree =
                    json::tree(text, &|offset| places.as_ref().and_then(|places| places.get(offset)).unwrap_or(start));
                Self::Text { start, text, places, tree }
            }
            _ => Self::Nowhere,
        }
    }

    fn place(&self, path: &str) -> Position {
        match self {
            Self::Values(node) => find(node, path).position,
            Self::Text { tree, .. } => find(tree, path).position,
            Self::Nowhere => Position::default(),
        }
    }

    /// Where a text is no JSON, and why: the message has the line and the column in that text.
    fn syntax<'m>(&self, message: &'m str) -> Option<(Position, &'m str)> {
        let Self::Text { start, text, places, .. } = self else { return None };
        message.strip_prefix("not valid JSON: ")?;
        let (reason, place) = message.rsplit_once(" at line ")?;
        let (line, column) = place.split_once(" column ")?;
        let (line, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
        let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let position = places.as_ref()?.get(before + column.saturating_sub(1));
        Some((position.unwrap_or(*start), reason))
    }
}

/// The values as Istio makes JSON of them: kubectl reads booleans of YAML 1.1, and a Struct has floating-point numbers alone.
fn values(node: &Node, source: &str) -> Value {
    match &node.kind {
        Kind::List(items) => items.iter().map(|item| values(item, source)).collect(),
        Kind::Map(entries) => {
            let entries = entries.iter().map(|(name, node)| (name.clone(), values(node, source)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Kind::Number(number) => Value::Number(whole(number)),
        Kind::String(text) => match word(text).filter(|_| Places::plain(source, node.position, text)) {
            Some(is) => Value::Bool(is),
            None => Value::String(text.clone()),
        },
        _ => node.to_json(),
    }
}

/// What a word without quotes means in YAML 1.1.
fn word(text: &str) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    is_one_of(&["y", "yes", "on"]).then_some(true).or_else(|| is_one_of(&["n", "no", "off"]).then_some(false))
}

fn whole(number: &Number) -> Number {
    match number.as_f64() {
        #[allow(clippy::cast_possible_truncation)] // It is a whole number in the range.
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < MAX_EXACT => Number::from(float as i64),
        _ => number.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_filter::yaml;

    #[test]
    fn values_are_read_as_kubectl_and_istio_do() {
        let text = "a: 1.0\nb: yes\nc: 'yes'\nd: [Off, 1.5, 7, no way]\ne: \"on\"\n";
        let document = &yaml::documents(text).unwrap()[0];
        let expected = r#"{"a":1,"b":true,"c":"yes","d":[false,1.5,7,"no way"],"e":"on"}"#;
        assert_eq!(values(document, text), serde_json::from_str::<Value>(expected).unwrap());
    }
}
