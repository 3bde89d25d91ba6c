//! Compiles expressions while the plugin is configured, and evaluates them for a stream.

use crate::{parse, property, Kind, Parsed};
use configuration::{Problem, Quoted};
use host::property::Property;
use host::{Expression, Host};
use labels::metadata::node_text;

/// The value of an expression or attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text, as bytes: header values need not be UTF-8.
    Text(Vec<u8>),
    /// A whole number.
    Integer(i64),
    /// A number.
    Double(f64),
    /// A boolean.
    Boolean(bool),
    /// Nanoseconds.
    Duration(i64),
    /// Nanoseconds since 1970.
    Timestamp(i64),
}

/// A compiled expression, by the source of its value.
#[derive(Clone, Debug)]
pub enum Compiled {
    /// A constant: a literal, or a property of this node.
    Constant(Value),
    /// An attribute, by its path.
    Attribute(String, Kind),
    /// A time or duration attribute, by its path. The engine can convert it to text.
    Time(String, Kind, Engine),
    /// An expression for Envoy's engine.
    Engine(Engine),
}

/// An expression for Envoy's engine, compiled for each use of its value: as text, as whole number, and unconverted. If the
/// engine cannot convert it, the first two are the unconverted one.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    text: Expression,
    number: Expression,
    plain: Expression,
}

impl Value {
    /// Decodes Envoy's bytes by the expected kind.
    pub fn of_bytes(bytes: Vec<u8>, kind: Kind) -> Option<Self> {
        let number = |bytes: Vec<u8>| Some(i64::from_le_bytes(bytes.try_into().ok()?));
        Some(match kind {
            Kind::Text => Self::Text(bytes),
            Kind::Integer => Self::Integer(number(bytes)?),
            Kind::Double => Self::Double(f64::from_le_bytes(bytes.try_into().ok()?)),
            Kind::Boolean => Self::Boolean(*bytes.first()? != 0),
            Kind::Duration => Self::Duration(number(bytes)?),
            Kind::Timestamp => Self::Timestamp(number(bytes)?),
        })
    }
}

impl Compiled {
    /// Compiles an expression. On failure, reports a problem for `path` and returns `None`. Works only while the plugin is
    /// configured.
    pub fn new(host: &impl Host, text: &str, path: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        Some(match parse(text) {
            Parsed::Text(text) => Self::Constant(Value::Text(text.into_bytes())),
            Parsed::Number(number) => Self::Constant(Value::Integer(number.try_into().unwrap_or(i64::MAX))),
            Parsed::Node(path) => Self::Constant(Value::Text(node_text(host, &property(&path)).into_bytes())),
            Parsed::Attribute(path, kind) => Self::Attribute(property(&path), kind),
            Parsed::Time(parts, kind, rewritten) => {
                Self::Time(property(&parts), kind, Engine::new(host, &rewritten, text, path, problems)?)
            }
            Parsed::Other(rewritten) => Self::Engine(Engine::new(host, &rewritten, text, path, problems)?),
        })
    }

    /// The value as text, if the engine can convert it. An attribute keeps its type.
    pub fn text(&self, host: &impl Host) -> Option<Value> {
        match self {
            Self::Constant(value) => Some(value.clone()),
            Self::Attribute(path, kind) => Value::of_bytes(host.property(Property(path))?, *kind),
            Self::Time(_, _, engine) | Self::Engine(engine) => engine.text(host),
        }
    }

    /// The value as a whole number; a duration in nanoseconds.
    pub fn number(&self, host: &impl Host) -> Option<i64> {
        match self {
            Self::Constant(Value::Integer(number)) => Some(*number),
            Self::Attribute(path, Kind::Integer) => host.int(Property(path)),
            Self::Time(_, _, engine) | Self::Engine(engine) => engine.number(host),
            Self::Constant(_) | Self::Attribute(..) => None,
        }
    }

    /// True if it can only be evaluated in a stream's callback, not in a tick: in a tick, the engine has no stream, and the
    /// request's own attributes are absent between its headers and its end.
    pub fn needs_stream(&self) -> bool {
        match self {
            Self::Engine(_) | Self::Time(..) => true,
            Self::Attribute(path, _) => path.starts_with("request\0"),
            Self::Constant(_) => false,
        }
    }
}

impl Engine {
    /// Compiles `rewritten`; messages show the original `text`.
    pub fn new(host: &impl Host, rewritten: &str, text: &str, path: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let plain = create(host, rewritten, text, path, problems)?;
        let within =
            |function: &str| host.create_expression(&[function, "(", rewritten, ")"].concat()).unwrap_or(plain);
        Some(Self { text: within("string"), number: within("int"), plain })
    }

    fn text(&self, host: &impl Host) -> Option<Value> {
        if let Some(text) = host.evaluate(self.text) {
            return Some(Value::Text(text));
        }
        // Envoy 1.36 compiles the conversion of a boolean to text, but does not evaluate it.
        match host.evaluate(self.plain).as_deref() {
            Some([boolean @ (0 | 1)]) => Some(Value::Boolean(*boolean == 1)),
            _ => None,
        }
    }

    fn number(&self, host: &impl Host) -> Option<i64> {
        // The engine cannot convert a duration to a number, but returns it as nanoseconds.
        let bytes = host.evaluate(self.number).or_else(|| host.evaluate(self.plain))?;
        Some(i64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The value, if it is of this kind.
    pub fn value(&self, host: &impl Host, kind: Kind) -> Option<Value> {
        match kind {
            Kind::Text => self.text(host),
            Kind::Integer => self.number(host).map(Value::Integer),
            _ => Value::of_bytes(host.evaluate(self.plain)?, kind),
        }
    }
}

/// Compiles `rewritten`; messages show the original `text`.
pub fn create(
    host: &impl Host,
    rewritten: &str,
    text: &str,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<Expression> {
    let created = host.create_expression(rewritten);
    if let Err(error) = created {
        problems.push(Problem {
            path: path.into(),
            message: format!(
                "{} is not an expression that Envoy can evaluate ({error}; its log says why, at level info)",
                Quoted(text)
            ),
        });
    }
    created.ok()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn bytes_are_what_their_kind_says() {
        let eight = 1.5f64.to_le_bytes();
        let number = i64::from_le_bytes(eight);
        for (bytes, kind, expected) in [
            (&b"GET"[..], Kind::Text, Some(Value::Text(b"GET".to_vec()))),
            (&eight, Kind::Integer, Some(Value::Integer(number))),
            (&eight, Kind::Double, Some(Value::Double(1.5))),
            (&[1], Kind::Boolean, Some(Value::Boolean(true))),
            (&eight, Kind::Duration, Some(Value::Duration(number))),
            (&eight, Kind::Timestamp, Some(Value::Timestamp(number))),
            (&[1, 2], Kind::Integer, None),
            (&[], Kind::Boolean, None),
        ] {
            assert_eq!(Value::of_bytes(bytes.to_vec(), kind), expected, "{bytes:?}");
        }
    }
}
