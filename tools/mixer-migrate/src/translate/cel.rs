//! Writes one CEL expression.

use std::fmt::Write;

use crate::{
    cexl::{format_double, format_timestamp, Expression, Function, Kind, Operator, Type, Value},
    source::{Path, Source},
    sources::Sources,
};

/// Longest expression. This also limits the work, because fallbacks inside keys multiply.
const MAX_LENGTH: usize = 16 << 10;

/// Why the filters cannot compute something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untranslatable(pub String);

/// Writes expressions. A part with operators is in brackets.
#[derive(Debug)]
pub struct Translator<'s, 'm> {
    sources: &'s Sources<'m>,
}

type Text = Result<String, Untranslatable>;
/// A condition; `None` always holds.
type Condition = Result<Option<String>, Untranslatable>;

impl<'s, 'm> Translator<'s, 'm> {
    /// A writer for expressions with these attributes.
    pub fn new(sources: &'s Sources<'m>) -> Self {
        Self { sources }
    }

    /// The value, without outer brackets.
    pub fn value(&self, expression: &Expression) -> Text {
        self.text(expression).map(|text| bare(&text))
    }

    /// The condition that there is a value.
    pub fn defined(&self, expression: &Expression) -> Condition {
        match &expression.kind {
            Kind::Constant(_) => Ok(None),
            Kind::Attribute(name) => match self.sources.of(name) {
                Source::Module { present: Some(present), default: None, .. } => Ok(Some(present.to_owned())),
                _ => Ok(self.path(name)?.and_then(|path| path.present.filter(|_| path.default.is_none()))),
            },
            Kind::Index(map, key) => Ok(both(self.defined(map)?, self.defined(key)?)),
            Kind::Fallback(first, second) => match self.present(first)? {
                None => self.safe(first),
                Some(present) => {
                    let second = self.defined(second)?.map(|second| format!("({present} ? true : {second})"));
                    Ok(both(self.safe(first)?, second))
                }
            },
            Kind::Binary(operator @ (Operator::And | Operator::Or), left, right) => {
                let text = self.text(left)?;
                let right = self.defined(right)?.map(|right| match operator {
                    Operator::And => format!("({text} ? {right} : true)"),
                    _ => format!("({text} ? true : {right})"),
                });
                Ok(both(self.defined(left)?, right))
            }
            Kind::Call(Function::Conditional, arguments) => match arguments.as_slice() {
                [condition, then, otherwise] => {
                    let branches = match (self.defined(then)?, self.defined(otherwise)?) {
                        (None, None) => None,
                        (then, otherwise) => {
                            let or_true = |branch: Option<String>| branch.unwrap_or_else(|| "true".into());
                            let condition = self.text(condition)?;
                            Some(format!("({condition} ? {} : {})", or_true(then), or_true(otherwise)))
                        }
                    };
                    Ok(both(self.defined(condition)?, branches))
                }
                _ => Ok(None),
            },
            _ => self.all_defined(expression),
        }
    }

    fn all_defined(&self, expression: &Expression) -> Condition {
        expression.parts().into_iter().try_fold(None, |so_far, part| Ok(both(so_far, self.defined(part)?)))
    }

    /// The condition that the left side of `|` exists.
    fn present(&self, expression: &Expression) -> Condition {
        match &expression.kind {
            Kind::Attribute(_) => self.defined(expression),
            Kind::Index(map, key) => {
                // A map that is empty if it does not exist then has no keys.
                let map_is_there = match &map.kind {
                    Kind::Attribute(name) => self.path(name)?.and_then(|path| path.present),
                    _ => self.present(map)?,
                };
                let within = format!("{} in {}", self.raw(key)?, self.raw(map)?);
                Ok(both(both(map_is_there, self.present(key)?), Some(within)))
            }
            Kind::Fallback(first, second) => match (self.present(first)?, self.present(second)?) {
                (Some(first), Some(second)) => Ok(Some(format!("({first} || {second})"))),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// The condition that checking for existence does not fail.
    fn safe(&self, expression: &Expression) -> Condition {
        match &expression.kind {
            Kind::Attribute(_) => Ok(None),
            Kind::Index(map, key) => Ok(both(self.safe(map)?, self.safe(key)?)),
            Kind::Fallback(first, second) => Ok(both(self.safe(first)?, self.safe(second)?)),
            _ => self.defined(expression),
        }
    }

    /// The value, if it is known to exist.
    fn raw(&self, expression: &Expression) -> Text {
        match &expression.kind {
            Kind::Attribute(name) => match self.path(name)? {
                Some(path) => Ok(path.value),
                None => self.text(expression),
            },
            Kind::Index(map, key) => Ok(format!("{}[{}]", self.raw(map)?, bare(&self.raw(key)?))),
            _ => self.text(expression),
        }
    }

    /// The value, in brackets if needed.
    fn text(&self, expression: &Expression) -> Text {
        let text = self.unbounded_text(expression)?;
        if text.len() > MAX_LENGTH {
            return Err(Untranslatable(format!(
                "the expression becomes longer than {MAX_LENGTH} bytes; make it simpler"
            )));
        }
        Ok(text)
    }

    fn unbounded_text(&self, expression: &Expression) -> Text {
        match &expression.kind {
            Kind::Constant(value) => Ok(literal(value)),
            Kind::Attribute(name) => match self.sources.of(name) {
                Source::Constant(value) => Ok(literal(&value)),
                Source::Path(Path { value, present: Some(present), default: Some(default), .. }) => {
                    Ok(format!("({present} ? {value} : {})", literal(&default)))
                }
                Source::Path(path) => Ok(path.value),
                _ => Err(self.unavailable(name)),
            },
            Kind::Index(..) => {
                let raw = self.raw(expression)?;
                Ok(self.present(expression)?.map_or_else(|| raw.clone(), |present| format!("({present} ? {raw} : '')")))
            }
            Kind::Fallback(first, second) => match self.present(first)? {
                Some(present) => Ok(format!("({present} ? {} : {})", self.raw(first)?, self.text(second)?)),
                None => self.text(first),
            },
            Kind::Binary(operator, left, right) => self.binary(*operator, left, right),
            Kind::Call(function, arguments) => self.call(*function, arguments),
        }
    }

    fn binary(&self, operator: Operator, left: &Expression, right: &Expression) -> Text {
        if matches!(left.ty, Type::DnsName | Type::EmailAddress | Type::Uri) {
            return Err(Untranslatable(format!("Envoy's expressions cannot compare {}", left.ty)));
        }
        let safe = self.defined(left)?.is_none() && self.defined(right)?.is_none();
        let (left, right) = (self.text(left)?, self.text(right)?);
        Ok(match operator {
            Operator::And if !safe => format!("({left} ? {right} : false)"),
            Operator::Or if !safe => format!("({left} ? true : {right})"),
            _ => format!("({left} {} {right})", operator.sign()),
        })
    }

    fn call(&self, function: Function, arguments: &[Expression]) -> Text {
        let no = |what: &str| Err(Untranslatable(what.to_owned()));
        let texts = arguments.iter().map(|argument| self.text(argument)).collect::<Result<Vec<_>, _>>()?;
        match (function, texts.as_slice(), arguments) {
            (Function::Match, [text, _], [_, pattern]) => match pattern.as_constant() {
                Some(Value::String(pattern)) => Ok(matching(text, pattern)),
                _ => no("Envoy's expressions have no match() with a pattern that is not constant"),
            },
            (Function::Matches, [pattern, text], _) => Ok(format!("{text}.matches({})", bare(pattern))),
            (Function::StartsWith, [text, start], _) => Ok(format!("{text}.startsWith({})", bare(start))),
            (Function::EndsWith, [text, end], _) => Ok(format!("{text}.endsWith({})", bare(end))),
            (Function::Conditional | Function::ConditionalString, [condition, then, otherwise], _) => {
                Ok(format!("({condition} ? {then} : {otherwise})"))
            }
            (Function::EmptyStringMap, ..) => Ok("{}".into()),
            (Function::Size, [text], _) => Ok(format!("size(bytes({}))", bare(text))),
            (Function::Timestamp, [text], _) => Ok(format!("timestamp({})", bare(text))),
            _ => no(&format!("Envoy's expressions have no {}() of something that is not constant", function.name())),
        }
    }

    /// The path of an attribute; `None` if it is constant.
    fn path(&self, name: &str) -> Result<Option<Path>, Untranslatable> {
        match self.sources.of(name) {
            Source::Constant(_) => Ok(None),
            Source::Path(path) => Ok(Some(path)),
            _ => Err(self.unavailable(name)),
        }
    }

    fn unavailable(&self, name: &str) -> Untranslatable {
        Untranslatable(match self.sources.of(name) {
            Source::Absent => format!("{name} never has a value here"),
            _ => format!(
                "only the modules themselves know {name}: it can be a label or a field, alone or with fallbacks, but not \
                 part of a larger expression"
            ),
        })
    }
}

fn both(left: Option<String>, right: Option<String>) -> Option<String> {
    match (left, right) {
        (Some(left), Some(right)) if left == right => Some(left),
        (Some(left), Some(right)) => Some(format!("{left} && {right}")),
        (left, right) => left.or(right),
    }
}

fn matching(text: &str, pattern: &str) -> String {
    let quoted = |text: &str| literal(&Value::String(text.to_owned()));
    if let Some(prefix) = pattern.strip_suffix('*') {
        format!("{text}.startsWith({})", quoted(prefix))
    } else if let Some(suffix) = pattern.strip_prefix('*') {
        format!("{text}.endsWith({})", quoted(suffix))
    } else {
        format!("({text} == {})", quoted(pattern))
    }
}

/// A value as a CEL literal. A type that CEL does not have becomes text.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Int64(number) => number.to_string(),
        Value::Bool(is) => is.to_string(),
        Value::Double(number) => {
            let text = format_double(*number);
            if text.contains('.') {
                text
            } else {
                format!("{text}.0")
            }
        }
        Value::Duration(nanoseconds) => {
            let (seconds, rest) = (nanoseconds / 1_000_000_000, (nanoseconds % 1_000_000_000).abs());
            let sign = if *nanoseconds < 0 && seconds == 0 { "-" } else { "" };
            let fraction = format!("{rest:09}");
            match fraction.trim_end_matches('0') {
                "" => format!("duration('{sign}{seconds}s')"),
                fraction => format!("duration('{sign}{seconds}.{fraction}s')"),
            }
        }
        Value::Timestamp(nanoseconds) => format!("timestamp('{}')", format_timestamp(*nanoseconds)),
        Value::StringMap(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}: {}", quote(key), quote(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => quote(&value.to_string()),
    }
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("'");
    for character in text.chars() {
        match character {
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Writing to a String cannot fail.
            control if control.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(control))),
            _ => quoted.push(character),
        }
    }
    quoted.push('\'');
    quoted
}

/// The text without its outer brackets.
pub(super) fn bare(text: &str) -> String {
    let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else {
        return text.to_owned();
    };
    let (mut depth, mut quoted, mut escaped) = (0i32, false, false);
    for character in inner.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return text.to_owned();
        }
    }
    inner.to_owned()
}
