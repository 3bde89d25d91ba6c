//! JSON as it is written: serde_json finds where a value ends, and reads it when it is asked for.
//!
//! No value is turned into a tree, and no number into a float: what is refused is quoted as the operator wrote it.

use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Problem, MAX_QUOTED};

/// Objects and lists may be nested so deep.
const MAX_DEPTH: usize = 64;

/// A value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<'a>(&'a str);

/// An object's fields, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    pub(super) fields: Vec<(String, Json<'a>)>,
    /// Names that are there more than once.
    twice: Vec<String>,
}

/// What a value is made of.
enum Content<'a> {
    Text(String),
    List(Vec<Json<'a>>),
    Object(Object<'a>),
    /// A number, `true`, `false` or `null`, whose source says all.
    Other,
}

/// The text of the object in `bytes`; of an empty one if there is none, or none that can be read.
#[inline(never)]
pub(super) fn read(bytes: &[u8], problems: &mut Vec<Problem>) -> String {
    match parse(bytes) {
        Ok(text) => {
            check(Json(&text), "", 0, problems);
            text
        }
        Err(message) => {
            problems.push(Problem { path: String::new(), message });
            "{}".into()
        }
    }
}

fn parse(bytes: &[u8]) -> Result<String, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok("{}".into());
    }
    // No text has control characters, and every google.protobuf.Struct has one, which is what plugins are given where
    // the operator did not say StringValue.
    if bytes.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
        return Err("configuration is not JSON text: use google.protobuf.StringValue".into());
    }
    let (Ok(text), Ok(forgiven)) = (str::from_utf8(bytes), String::from_utf8(without_trailing_commas(bytes))) else {
        return Err("not valid JSON: not UTF-8".into());
    };
    if let Err(error) = value_of(text) {
        if value_of(&forgiven).is_err() {
            return Err(format!("not valid JSON: {error}"));
        }
    }
    match Json(forgiven.trim_ascii()) {
        value if value.is('{') => Ok(value.0.into()),
        value => Err(format!("{} is not allowed, must be a JSON object", value.quote())),
    }
}

fn value_of(text: &str) -> Result<&RawValue, serde_json::Error> {
    serde_json::from_str(text)
}

/// Finds what serde_json leaves to those who use it: fields that are given twice, and texts with escapes that mean nothing.
fn check(value: Json, path: &str, depth: usize, problems: &mut Vec<Problem>) {
    let mut problem = |path, message: &str| problems.push(Problem { path, message: message.into() });
    if depth > MAX_DEPTH {
        return problem(path.into(), "nested too deeply");
    }
    let depth = depth.saturating_add(1);
    match value.content() {
        Some(Content::List(values)) => {
            for (index, value) in values.into_iter().enumerate() {
                check(value, &format!("{path}[{index}]"), depth, problems);
            }
        }
        Some(Content::Object(object)) => {
            let separator = if path.is_empty() { "" } else { "." };
            for (name, value) in &object.fields {
                check(*value, &[path, separator, name].concat(), depth, problems);
            }
            for name in object.twice {
                let path = [path, separator, &name].concat();
                problems.push(Problem { path, message: "duplicate field".into() });
            }
        }
        Some(Content::Text(_) | Content::Other) => {}
        None => problem(path.into(), "not valid JSON: an escape that stands for no character, or too large a number"),
    }
}

impl<'a> Json<'a> {
    /// The value that `text` is.
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// As it is written.
    pub(super) fn source(self) -> &'a str {
        self.0
    }

    /// Whether it is a number.
    pub(super) fn is_number(self) -> bool {
        self.0.starts_with(|first: char| first == '-' || first.is_ascii_digit())
    }

    /// What is said of it where a value of the type `expected` should be: its type, which `null` tells itself, and the value.
    #[inline(never)]
    pub(super) fn instead_of(self, expected: &str) -> String {
        let kind = match self.0.as_bytes().first() {
            Some(b'"') => "string ",
            Some(b'{') => "object ",
            Some(b'[') => "array ",
            Some(b't' | b'f') => "boolean ",
            Some(b'n') => "",
            _ => "number ",
        };
        ["expected ", expected, ", got ", kind, &self.quote()].concat()
    }

    /// The text that it is.
    pub(super) fn text(self) -> Option<String> {
        match self.content()? {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The values of the list that it is.
    pub(super) fn list(self) -> Option<Vec<Json<'a>>> {
        match self.content()? {
            Content::List(values) => Some(values),
            _ => None,
        }
    }

    /// The object that it is.
    pub(super) fn object(self) -> Option<Object<'a>> {
        match self.content()? {
            Content::Object(object) => Some(object),
            _ => None,
        }
    }

    #[inline(never)]
    fn content(self) -> Option<Content<'a>> {
        serde_json::from_str(self.0).ok()
    }

    /// On one line, cut if it is long.
    #[inline(never)]
    pub(super) fn quote(self) -> String {
        let mut quoted = String::new();
        let mut in_text = false;
        let mut escaped = false;
        let mut length = 0_usize;
        for sign in self.0.chars() {
            if !in_text && sign.is_ascii_whitespace() {
                continue;
            }
            if length == MAX_QUOTED {
                quoted.push('…');
                break;
            }
            length = length.saturating_add(1);
            in_text = if sign == '"' && !escaped { !in_text } else { in_text };
            escaped = sign == '\\' && !escaped;
            quoted.push(sign);
        }
        quoted
    }

    fn is(self, first: char) -> bool {
        self.0.starts_with(first)
    }
}

impl<'a> Object<'a> {
    /// The field's value.
    pub(super) fn get(&self, name: &str) -> Option<Json<'a>> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Content<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// Takes every kind of value. Were there one that it does not, serde_json would have to say so, and its message writes out
/// floats, which is 15 KB of code.
struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Content::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Content::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Content::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Content::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Content::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element::<&'de RawValue>()? {
            values.push(Json(value.get()));
        }
        Ok(Content::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = Object::default();
        while let Some(name) = map.next_key::<String>()? {
            let value = Json(map.next_value::<&'de RawValue>()?.get());
            match object.get(&name) {
                Some(_) => object.twice.push(name),
                None => object.fields.push((name, value)),
            }
        }
        Ok(Content::Object(object))
    }
}

/// `json` with the commas blanked out that stand, but for white space, before a closing bracket.
fn without_trailing_commas(json: &[u8]) -> Vec<u8> {
    let mut output: Vec<u8> = Vec::with_capacity(json.len());
    let mut in_text = false;
    let mut escaped = false;
    let mut comma = None;
    let mut before = b'[';
    for &byte in json {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            match byte {
                b',' if !matches!(before, b'{' | b'[' | b',') => comma = Some(output.len()),
                b'}' | b']' => {
                    if let Some(blank) = comma.take().and_then(|position| output.get_mut(position)) {
                        *blank = b' ';
                    }
                }
                _ if byte.is_ascii_whitespace() => {}
                _ => {
                    comma = None;
                    in_text = byte == b'"';
                }
            }
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
        output.push(byte);
    }
    output
}
