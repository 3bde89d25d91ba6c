//! Evaluates expressions as Mixer's interpreter did.
//!
//! The migrator itself evaluates only constants. Tests compare the results with those of translations.

use std::fmt;

use super::{
    expression::{Expression, Kind, Operator},
    function::Function,
    time::parse_timestamp,
    value::Value,
};

/// Largest memory for a regular expression.
const REGEX_BYTES: usize = 1 << 20;

/// The attributes of one report.
pub trait Attributes {
    /// The value of an attribute; `None` if it was not sent.
    fn get(&self, name: &str) -> Option<Value>;
}

/// Why an expression has no value for a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError(pub String);

impl fmt::Display for EvalError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for EvalError {}

/// The value. An error if a needed attribute is absent, or a conversion is impossible.
pub fn evaluate(expression: &Expression, attributes: &impl Attributes) -> Result<Value, EvalError> {
    let value = |part: &Expression| evaluate(part, attributes);
    match &expression.kind {
        Kind::Constant(constant) => Ok(constant.clone()),
        Kind::Attribute(name) => attributes.get(name).ok_or_else(|| failed(format!("{name} is absent"))),
        Kind::Index(map, key) => {
            let (map, key) = (value(map)?, text(value(key)?)?);
            // Without a fallback, a missing key gives an empty text.
            Ok(Value::String(entry(map, &key).unwrap_or_default()))
        }
        Kind::Fallback(first, second) => match present(first, attributes)? {
            Some(found) => Ok(found),
            None => value(second),
        },
        Kind::Binary(Operator::And, left, right) => Ok(Value::Bool(truth(value(left)?)? && truth(value(right)?)?)),
        Kind::Binary(Operator::Or, left, right) => Ok(Value::Bool(truth(value(left)?)? || truth(value(right)?)?)),
        Kind::Binary(operator, left, right) => binary(*operator, value(left)?, value(right)?),
        Kind::Call(Function::Conditional, arguments) => match arguments.as_slice() {
            [condition, then, otherwise] => value(if truth(value(condition)?)? { then } else { otherwise }),
            _ => Err(unfit()),
        },
        Kind::Call(function, arguments) => {
            let arguments = arguments.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            call(*function, &arguments)
        }
    }
}

/// The value on the left side of `|`. Only an attribute or a key may be absent; any other failure is an error.
fn present(expression: &Expression, attributes: &impl Attributes) -> Result<Option<Value>, EvalError> {
    match &expression.kind {
        Kind::Attribute(name) => Ok(attributes.get(name)),
        Kind::Index(map, key) => match (present(map, attributes)?, present(key, attributes)?) {
            (Some(map), Some(key)) => Ok(entry(map, &text(key)?).map(Value::String)),
            _ => Ok(None),
        },
        Kind::Fallback(first, second) => match present(first, attributes)? {
            Some(found) => Ok(Some(found)),
            None => present(second, attributes),
        },
        _ => evaluate(expression, attributes).map(Some),
    }
}

fn binary(operator: Operator, left: Value, right: Value) -> Result<Value, EvalError> {
    let order = match (&left, &right) {
        (Value::String(left), Value::String(right)) => left.as_bytes().partial_cmp(right.as_bytes()),
        (Value::Int64(left), Value::Int64(right)) => left.partial_cmp(right),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Timestamp(left), Value::Timestamp(right)) => left.partial_cmp(right),
        _ => None,
    };
    let is = match operator {
        Operator::Equal => equal(&left, &right),
        Operator::NotEqual => !equal(&left, &right),
        Operator::Less => order.is_some_and(|order| order.is_lt()),
        Operator::LessOrEqual => order.is_some_and(|order| order.is_le()),
        Operator::Greater => order.is_some_and(|order| order.is_gt()),
        Operator::GreaterOrEqual => order.is_some_and(|order| order.is_ge()),
        Operator::Add => {
            return match (left, right) {
                (Value::String(left), Value::String(right)) => Ok(Value::String(left + &right)),
                (Value::Int64(left), Value::Int64(right)) => Ok(Value::Int64(left.wrapping_add(right))),
                (Value::Double(left), Value::Double(right)) => Ok(Value::Double(left + right)),
                _ => Err(unfit()),
            }
        }
        Operator::And | Operator::Or => return Err(unfit()),
    };
    Ok(Value::Bool(is))
}

/// Host names are compared without case and without a final dot, also inside mail addresses and URIs.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::DnsName(left), Value::DnsName(right)) => host(left) == host(right),
        (Value::EmailAddress(left), Value::EmailAddress(right)) => {
            let split = |address: &str| address.rsplit_once('@').map(|(name, domain)| (name.to_owned(), host(domain)));
            split(left) == split(right)
        }
        (Value::Uri(left), Value::Uri(right)) => uri(left) == uri(right),
        _ => left == right,
    }
}

fn host(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// A URI with its scheme and its host in lower case.
fn uri(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            format!("{}://{}{path}", scheme.to_ascii_lowercase(), host(authority))
        }
        None => text.to_owned(),
    }
}

fn call(function: Function, arguments: &[Value]) -> Result<Value, EvalError> {
    use Value::{Bool, String};
    match (function, arguments) {
        (Function::Match, [String(text), String(pattern)]) => Ok(Bool(matches(text, pattern))),
        (Function::Matches, [String(pattern), String(text)]) => {
            let regex = regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES).build();
            regex.map(|regex| Bool(regex.is_match(text))).map_err(|_| failed("the pattern is no regular expression"))
        }
        (Function::StartsWith, [String(text), String(prefix)]) => Ok(Bool(text.starts_with(prefix.as_str()))),
        (Function::EndsWith, [String(text), String(suffix)]) => Ok(Bool(text.ends_with(suffix.as_str()))),
        (Function::Ip, [String(text)]) => {
            text.parse().map(Value::ip).map_err(|_| failed(format!("{text:?} is no IP address")))
        }
        (Function::Timestamp, [String(text)]) => {
            parse_timestamp(text).map(Value::Timestamp).ok_or_else(|| failed(format!("{text:?} is no timestamp")))
        }
        (Function::DnsName, [String(text)]) if is_dns_name(text) => Ok(Value::DnsName(text.clone())),
        (Function::Email, [String(text)]) if is_email(text) => Ok(Value::EmailAddress(text.clone())),
        (Function::Uri, [String(text)]) if is_uri(text) => Ok(Value::Uri(text.clone())),
        (Function::DnsName | Function::Email | Function::Uri, [String(text)]) => {
            Err(failed(format!("{}({text:?}) is not possible", function.name())))
        }
        (Function::ConditionalString, [Bool(is), then, otherwise]) => {
            Ok(if *is { then.clone() } else { otherwise.clone() })
        }
        (Function::EmptyStringMap, []) => Ok(Value::StringMap(Default::default())),
        (Function::ToLower, [String(text)]) => Ok(String(text.to_lowercase())),
        (Function::Size, [String(text)]) => Ok(Value::Int64(i64::try_from(text.len()).unwrap_or(i64::MAX))),
        _ => Err(unfit()),
    }
}

/// Mixer's `match`: a pattern with a final `*` is a prefix, one with a first `*` is a suffix, any other the whole text.
fn matches(text: &str, pattern: &str) -> bool {
    if let Some(prefix) = pattern.strip_suffix('*') {
        text.starts_with(prefix)
    } else if let Some(suffix) = pattern.strip_prefix('*') {
        text.ends_with(suffix)
    } else {
        text == pattern
    }
}

fn is_dns_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    !name.is_empty()
        && name.split('.').all(|label| !label.is_empty() && label.len() < 64 && !label.contains([' ', '/']))
}

fn is_email(text: &str) -> bool {
    text.rsplit_once('@')
        .is_some_and(|(name, domain)| !name.is_empty() && !name.contains([' ', '@', '<', '>']) && is_dns_name(domain))
}

fn is_uri(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control) && !text.starts_with(':')
}

fn entry(map: Value, key: &str) -> Option<String> {
    match map {
        Value::StringMap(mut map) => map.remove(key),
        _ => None,
    }
}

fn text(value: Value) -> Result<String, EvalError> {
    if let Value::String(text) = value {
        Ok(text)
    } else {
        Err(unfit())
    }
}

fn truth(value: Value) -> Result<bool, EvalError> {
    if let Value::Bool(is) = value {
        Ok(is)
    } else {
        Err(unfit())
    }
}

fn failed(reason: impl Into<String>) -> EvalError {
    EvalError(reason.into())
}

/// An attribute's type is not the one in its manifest.
fn unfit() -> EvalError {
    failed("a value is not of the type that was declared")
}
