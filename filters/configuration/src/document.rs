//! A document: serde_json says whether it is JSON, then one pass finds where each value begins and ends.

use core::fmt;

use serde::de::IgnoredAny;

use crate::json::{is_too_large, quote, Json};
use crate::problem::Problem;
use crate::quote::Cut;
use crate::scan::{spans, without_trailing_commas, Span};

/// Objects and lists may be nested so deep.
const MAX_DEPTH: usize = 64;

/// A text with the places of its values.
#[derive(Debug)]
pub(super) struct Document {
    text: String,
    spans: Vec<Span>,
}

/// Where in the document a value stands.
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Index(usize),
    Name(&'a str),
}

impl Document {
    /// The object in `bytes`; an empty one if there is none, or none that can be read.
    #[inline(never)]
    pub(super) fn read(bytes: &[u8], problems: &mut Vec<Problem>) -> Self {
        let text = parse(bytes).unwrap_or_else(|message| {
            problems.push(Problem { path: String::new(), message });
            "{}".into()
        });
        let document = Self { spans: spans(&text), text };
        check(document.root(), None, 0, problems);
        document
    }

    /// The value that it is.
    pub(super) fn root(&self) -> Json<'_> {
        Json::new(&self.text, &self.spans)
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
    if let Err(error) = is_json(text) {
        if is_json(&forgiven).is_err() {
            return Err(format!("not valid JSON: {error}"));
        }
    }
    match forgiven.trim_ascii() {
        text if text.starts_with('{') => Ok(text.into()),
        text => Err(quote(text) + " is not allowed, must be a JSON object"),
    }
}

fn is_json(text: &str) -> Result<IgnoredAny, serde_json::Error> {
    serde_json::from_str(text)
}

/// Finds what serde_json leaves to those who use it: fields that are given twice, texts with escapes that mean nothing, and
/// numbers that are too large.
fn check(value: Json, path: Option<&Path>, depth: usize, problems: &mut Vec<Problem>) {
    if depth > MAX_DEPTH {
        return tell(problems, path, "nested too deeply");
    }
    let depth = depth.saturating_add(1);
    let is_valid = match value.first() {
        Some(b'[') => {
            for (index, value) in value.list().unwrap_or_default().into_iter().enumerate() {
                check(value, Some(&Path { parent: path, step: Step::Index(index) }), depth, problems);
            }
            true
        }
        Some(b'{') => match value.object() {
            Some(object) => {
                for (name, value) in object.fields() {
                    check(value, Some(&Path { parent: path, step: Step::Name(name) }), depth, problems);
                }
                for name in &object.twice {
                    tell(problems, Some(&Path { parent: path, step: Step::Name(name) }), "duplicate field");
                }
                true
            }
            None => false,
        },
        Some(b'"') => value.text().is_some(),
        _ => !value.number().is_some_and(is_too_large),
    };
    if !is_valid {
        let message = "not valid JSON: an escape that stands for no character, or too large a number";
        tell(problems, path, message);
    }
}

#[inline(never)]
fn tell(problems: &mut Vec<Problem>, path: Option<&Path>, message: &str) {
    let path = path.map(Path::to_string).unwrap_or_default();
    problems.push(Problem { path, message: message.into() });
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Name(name) => {
                f.write_str(if self.parent.is_some() { "." } else { "" })?;
                Cut(name).fmt(f)
            }
        }
    }
}
