//! Expressions at work: compiled while the plugin is configured, evaluated when a stream is reported.

use mesh_common::config::Problem;
use mesh_common::host::{text_of, Expression, Host, StateKind};
use mesh_common::property::Property;

use crate::config::Attribute;
use crate::expression::{self, Kind, Parsed};
use crate::symbols::{Symbol, Symbols};

/// All expressions of a configuration, each text once.
#[derive(Debug, Default)]
pub struct Expressions {
    texts: Vec<String>,
    compiled: Vec<Compiled>,
    generated: Vec<Generated>,
}

/// Where an expression's value comes from.
#[derive(Clone, Debug)]
enum Compiled {
    /// It never changes.
    Constant(Symbol),
    /// It never changes and is a number.
    Number(u64),
    /// An attribute, by its path.
    Attribute(String, Kind),
    /// An attribute that the configuration makes, by index.
    Generated(usize),
    /// Envoy's engine, by what the value is for: the text of a label, or a number that is recorded. Where it cannot be
    /// made either by the engine, it is taken as it is.
    Engine { text: Expression, number: Expression, plain: Expression },
    /// It does not compile, and that was reported.
    Refused,
}

/// An attribute that is made by conditions.
#[derive(Debug)]
struct Generated {
    name: String,
    /// That of the current stream.
    value: Symbol,
    matches: Vec<(Option<Expression>, Symbol)>,
}

impl Expressions {
    /// Compiles the attributes that the configuration makes.
    pub fn new(host: &impl Host, symbols: &mut Symbols, attributes: &[Attribute], problems: &mut Vec<Problem>) -> Self {
        let mut expressions = Self::default();
        for (index, attribute) in attributes.iter().enumerate() {
            let mut matches = Vec::new();
            for (place, case) in attribute.matches.iter().enumerate() {
                let path = format!("attributes[{index}].match[{place}].condition");
                let condition = case.condition.as_ref().map(|text| {
                    let rewritten = match expression::parse(text) {
                        Parsed::Other(rewritten) => rewritten,
                        _ => text.clone(),
                    };
                    create(host, &rewritten, text, &path, problems)
                });
                matches.push((condition.flatten(), symbols.of(&case.value)));
            }
            if let Err(error) = host.declare_filter_state(&attribute.name, StateKind::Text) {
                log::warn!("stats: other expressions cannot read {}: {error}", attribute.name);
            }
            expressions.generated.push(Generated { name: attribute.name.clone(), value: Symbol::UNKNOWN, matches });
        }
        expressions
    }

    /// Compiles an expression, for which `path` is reported if it cannot be, and returns by what it is evaluated.
    pub fn add(
        &mut self,
        host: &impl Host,
        symbols: &mut Symbols,
        text: &str,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> usize {
        if let Some(known) = self.texts.iter().position(|known| known == text) {
            return known;
        }
        let compiled = self.compile(host, symbols, text, path, problems);
        self.texts.push(text.into());
        self.compiled.push(compiled);
        self.compiled.len().saturating_sub(1)
    }

    fn compile(
        &self,
        host: &impl Host,
        symbols: &mut Symbols,
        text: &str,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> Compiled {
        match expression::parse(text) {
            Parsed::Text(text) => Compiled::Constant(symbols.of(&text)),
            Parsed::Number(number) => Compiled::Number(number),
            Parsed::Node(path) => Compiled::Constant(symbols.of(&node_value(host, &path.join("\0")))),
            Parsed::Attribute(path, kind) => {
                let generated = match path.as_slice() {
                    [name] => self.generated.iter().position(|generated| generated.name == *name),
                    _ => None,
                };
                generated.map_or_else(|| Compiled::Attribute(path.join("\0"), kind), Compiled::Generated)
            }
            Parsed::Other(rewritten) => {
                let Some(plain) = create(host, &rewritten, text, path, problems) else {
                    return Compiled::Refused;
                };
                let within = |function: &str| {
                    create(host, &format!("{function}({rewritten})"), text, path, &mut Vec::new()).unwrap_or(plain)
                };
                Compiled::Engine { text: within("string"), number: within("int"), plain }
            }
        }
    }

    /// Makes the attributes of the current stream, for expressions and, in filter state, for whoever comes after.
    pub fn generate(&mut self, host: &impl Host, symbols: &Symbols) {
        for attribute in &mut self.generated {
            attribute.value = attribute.evaluate(host);
            if attribute.value != Symbol::UNKNOWN {
                if let Err(error) = host.set_filter_state(&attribute.name, symbols.text(attribute.value).as_bytes()) {
                    log::debug!("stats: filter state wasm.{} not set: {error}", attribute.name);
                }
            }
        }
    }

    /// The value of an expression as a label; unknown if there is none.
    pub fn label(&self, host: &impl Host, symbols: &mut Symbols, index: usize) -> Symbol {
        match self.compiled.get(index) {
            Some(Compiled::Constant(symbol)) => *symbol,
            Some(Compiled::Number(number)) => symbols.of(&number.to_string()),
            Some(Compiled::Attribute(path, kind)) => {
                let path = Property(path);
                match kind {
                    Kind::Text => host.property(path).map_or(Symbol::UNKNOWN, |text| symbols.of_bytes(&text)),
                    Kind::Integer => host.int(path).map_or(Symbol::UNKNOWN, |number| symbols.of(&number.to_string())),
                    Kind::Boolean => host.boolean(path).map_or(Symbol::UNKNOWN, |is| symbols.of(&is.to_string())),
                }
            }
            Some(Compiled::Generated(index)) => {
                self.generated.get(*index).map_or(Symbol::UNKNOWN, |attribute| attribute.value)
            }
            Some(Compiled::Engine { text, plain, .. }) => match host.evaluate(*text) {
                Some(text) => symbols.of_bytes(&text),
                // Envoy 1.36 compiles a boolean as text, but does not evaluate it.
                None => match host.evaluate(*plain).as_deref() {
                    Some([boolean @ (0 | 1)]) => symbols.of(if *boolean == 1 { "true" } else { "false" }),
                    _ => Symbol::UNKNOWN,
                },
            },
            Some(Compiled::Refused) | None => Symbol::UNKNOWN,
        }
    }

    /// The value of an expression as a number to be recorded.
    pub fn number(&self, host: &impl Host, index: usize) -> Option<u64> {
        match self.compiled.get(index)? {
            Compiled::Number(number) => Some(*number),
            Compiled::Attribute(path, Kind::Integer) => host.int(Property(path))?.try_into().ok(),
            Compiled::Engine { number, plain, .. } => {
                // A duration is no number to the engine, but comes as one of nanoseconds.
                let bytes = host.evaluate(*number).or_else(|| host.evaluate(*plain))?.try_into().ok()?;
                u64::try_from(i64::from_le_bytes(bytes)).ok()
            }
            _ => None,
        }
    }

    /// Whether the expression can be evaluated only in a callback of the stream, not within a tick: the engine has no
    /// stream then, and the request's own attributes are gone between its headers and its end.
    pub fn needs_stream(&self, index: usize) -> bool {
        match self.compiled.get(index) {
            Some(Compiled::Engine { .. } | Compiled::Generated(_)) => true,
            Some(Compiled::Attribute(path, _)) => path.starts_with("request\0"),
            _ => false,
        }
    }
}

impl Generated {
    /// The value of the first condition that holds. One that fails ends it: what follows was meant for when it does not
    /// hold.
    fn evaluate(&self, host: &impl Host) -> Symbol {
        for (condition, value) in &self.matches {
            let Some(condition) = condition else {
                return *value;
            };
            match host.evaluate(*condition).as_deref() {
                Some([1]) => return *value,
                Some([0]) => {}
                _ => return Symbol::UNKNOWN,
            }
        }
        Symbol::UNKNOWN
    }
}

/// Compiles `expression`, which was written as `text`.
fn create(
    host: &impl Host,
    expression: &str,
    text: &str,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<Expression> {
    let created = host.create_expression(expression);
    if let Err(error) = created {
        problems.push(Problem {
            path: path.into(),
            message: format!(
                "{text:?} is not an expression that Envoy can evaluate ({error}; its log says why, at level info)"
            ),
        });
    }
    created.ok()
}

/// Something of this node as text. In its metadata there may also be numbers, of 8 bytes, and booleans, of one.
fn node_value(host: &impl Host, path: &str) -> String {
    let Some(bytes) = host.property(Property(path)) else {
        return String::new();
    };
    match bytes.as_slice() {
        [boolean @ (0 | 1)] => (*boolean == 1).to_string(),
        number if number.len() == 8 && number.iter().any(u8::is_ascii_control) => {
            number.try_into().map(|bytes| f64::from_le_bytes(bytes).to_string()).unwrap_or_default()
        }
        _ => text_of(bytes),
    }
}

#[cfg(test)]
mod tests {
    use mesh_common::fake::FakeHost;
    use mesh_common::metric_name::Separators;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::config::Match;

    /// The value of `text` as a label, or the problems with it.
    fn label(host: &FakeHost, text: &str) -> Result<String, Vec<Problem>> {
        label_with(host, text, &[])
    }

    fn label_with(host: &FakeHost, text: &str, attributes: &[Attribute]) -> Result<String, Vec<Problem>> {
        let (mut symbols, mut problems) = (Symbols::new(Separators::default(), 1000), Vec::new());
        let mut expressions = Expressions::new(host, &mut symbols, attributes, &mut problems);
        let index = expressions.add(host, &mut symbols, text, "here", &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        expressions.generate(host, &symbols);
        let symbol = expressions.label(host, &mut symbols, index);
        Ok(symbols.text(symbol).into())
    }

    #[test]
    fn attributes_are_written_as_what_they_are() {
        let mut host = FakeHost::new();
        host.with_text(Property("request\0method"), "GET")
            .with_int(Property("destination\0port"), 9080)
            .with_boolean(Property("connection\0mtls"), true)
            .with_text(Property("xds\0node\0metadata\0CLUSTER_ID"), "Kubernetes")
            .with_int(Property("xds\0node\0metadata\0SHARDS"), i64::from_le_bytes(3f64.to_le_bytes()));
        for (text, expected) in [
            ("request.method", "GET"),
            ("destination.port", "9080"),
            ("connection.mtls", "true"),
            ("node.metadata['CLUSTER_ID']", "Kubernetes"),
            ("node.metadata['SHARDS']", "3"),
            ("node.metadata['NONE']", "unknown"),
            ("request.headers['x-none']", "unknown"),
            ("'fixed'", "fixed"),
            ("7", "7"),
        ] {
            assert_eq!(label(&host, text), Ok(expected.into()), "{text}");
        }
    }

    #[test]
    fn the_engine_gives_text_and_one_that_fails_is_unknown() {
        let mut host = FakeHost::new();
        for text in ["response.code / 100", "request.nothing + 1"] {
            host.with_expression(text, None);
        }
        host.with_expression("string(response.code / 100)", Some(b"5"))
            .with_expression("string(request.nothing + 1)", None);
        assert_eq!(label(&host, "response.code / 100"), Ok("5".into()));
        assert_eq!(label(&host, "request.nothing + 1"), Ok("unknown".into()));
    }

    #[test]
    fn a_boolean_that_the_engine_does_not_write_is_written_all_the_same() {
        let mut host = FakeHost::new();
        host.with_expression("string(1 == 1)", None).with_expression("1 == 1", Some(&[1]));
        assert_eq!(label(&host, "1 == 1"), Ok("true".into()));
    }

    #[test]
    fn a_made_attribute_is_filter_state_for_others() {
        let always = Match { condition: None, value: "read".into() };
        let host = FakeHost::new();
        let attribute = Attribute { name: "operation".into(), matches: vec![always] };
        assert_eq!(label_with(&host, "operation", &[attribute]), Ok("read".into()));
        assert_eq!(host.state_of("operation"), Some(b"read".to_vec()));
    }

    #[test]
    fn what_does_not_compile_is_reported_with_its_text() {
        let problems = label(&FakeHost::new(), "nosuch(1)").expect_err("refused");
        let message = "\"nosuch(1)\" is not an expression that Envoy can evaluate (proxy_call_foreign_function answered status 2; its log says why, at level info)";
        assert_eq!(problems, [Problem { path: "here".into(), message: message.into() }]);
    }

    #[test]
    fn the_first_condition_that_holds_makes_the_attribute() {
        let attribute = |conditions: &[Option<&str>]| Attribute {
            name: "operation".into(),
            matches: conditions
                .iter()
                .zip(["first", "second", "third"])
                .map(|(condition, value)| Match { condition: condition.map(String::from), value: value.into() })
                .collect(),
        };
        let mut host = FakeHost::new();
        host.with_expression("yes()", Some(&[1])).with_expression("no()", Some(&[0])).with_expression("fails()", None);
        host.with_expression("text()", Some(b"true"));
        for (conditions, expected) in [
            (vec![Some("no()"), Some("yes()"), None], "second"),
            (vec![Some("no()"), None, Some("yes()")], "second"),
            (vec![Some("no()"), Some("no()")], "unknown"),
            (vec![Some("fails()"), Some("yes()")], "unknown"),
            (vec![Some("text()"), Some("yes()")], "unknown"),
            (vec![], "unknown"),
        ] {
            assert_eq!(
                label_with(&host, "operation", &[attribute(&conditions)]),
                Ok(expected.into()),
                "{conditions:?}"
            );
        }
    }

    #[test]
    fn numbers_come_from_literals_attributes_and_the_engine() {
        let mut host = FakeHost::new();
        host.with_int(Property("request\0size"), 120).with_int(Property("response\0size"), -1);
        host.with_expression("string(request.size * 2)", Some(b"240"));
        host.with_expression("request.size * 2", None);
        host.with_expression("int(request.size * 2)", Some(&240i64.to_le_bytes()));
        host.with_expression("request.duration", Some(&5_000_000i64.to_le_bytes()));
        let (mut symbols, mut problems) = (Symbols::new(Separators::default(), 1000), Vec::new());
        let mut expressions = Expressions::new(&host, &mut symbols, &[], &mut problems);
        for (text, expected) in [
            ("10", Some(10)),
            ("request.size", Some(120)),
            ("response.size", None),
            ("request.size * 2", Some(240)),
            ("request.duration", Some(5_000_000)),
            ("request.host", None),
        ] {
            let index = expressions.add(&host, &mut symbols, text, "here", &mut problems);
            assert_eq!(expressions.number(&host, index), expected, "{text}");
        }
        assert_eq!(problems, []);
    }
}
