//! Expressions in labels and metric values, and attributes with values by condition.

use collections::names::Names;
use configuration::{Cut, Problem, Quoted};
use expression::evaluation::{create, Compiled, Value};
use expression::{self, Kind};
use host::{Expression, Host, StateKind};

use crate::config::Attribute;
use crate::metrics::TagSource;
use crate::symbols::{Symbol, Symbols};

/// Attributes whose fields have a fixed type, or are not numbers.
const NEVER_NUMBERS: [&str; 8] =
    ["request", "response", "connection", "source", "destination", "upstream", "upstream_peer", "downstream_peer"];

/// Example of an expression, for messages.
const AN_ATTRIBUTE: &str = "upstream_peer.workload";
/// Example of an expression with a number as result.
pub const A_NUMBER: &str = "response.code or request.size";

/// All expressions of a configuration. Equal texts share an entry.
#[derive(Debug, Default)]
pub struct Expressions {
    texts: Names,
    compiled: Vec<Entry>,
    generated: Vec<Generated>,
    /// The names of those that are generated.
    made: Names,
}

/// How to evaluate an expression.
#[derive(Clone, Debug)]
enum Entry {
    /// A constant text.
    Constant(Symbol),
    /// A configured attribute, by index.
    Generated(usize),
    /// Any other expression.
    Compiled(Compiled),
    /// The expression does not compile; the problem was reported.
    Refused,
}

/// An attribute with values by condition.
#[derive(Debug)]
struct Generated {
    name: String,
    /// Its value for the current stream.
    value: Symbol,
    matches: Vec<(Option<Expression>, Symbol)>,
}

impl Expressions {
    /// Compiles the configured attributes.
    #[inline(never)]
    pub fn new(host: &impl Host, symbols: &mut Symbols, attributes: &[Attribute], problems: &mut Vec<Problem>) -> Self {
        let made = attributes.iter().map(|attribute| attribute.name.as_str()).collect();
        let mut expressions = Self { made, ..Self::default() };
        for (index, attribute) in attributes.iter().enumerate() {
            let mut matches = Vec::new();
            for (place, case) in attribute.matches.iter().enumerate() {
                let path = format!("attributes[{index}].match[{place}].condition");
                let condition = case.condition.as_ref().map(|text| expressions.condition(host, text, &path, problems));
                matches.push((condition.flatten(), symbols.of(&case.value)));
            }
            expressions.generated.push(Generated { name: attribute.name.clone(), value: Symbol::UNKNOWN, matches });
        }
        expressions
    }

    /// Tells Envoy of the configured attributes, which other filters may read.
    pub fn declare(&self, host: &impl Host) {
        for Generated { name, .. } in &self.generated {
            if let Err(error) = host.declare_filter_state(name, StateKind::Text) {
                log::warn!("stats: other expressions cannot read {}: {error}", Cut(name));
            }
        }
    }

    /// Compiles an expression and returns its index. A problem is reported at `path`.
    pub fn add(
        &mut self,
        host: &impl Host,
        symbols: &mut Symbols,
        text: &str,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> usize {
        if let Some(known) = self.texts.get(text) {
            return known;
        }
        let compiled = self.compile(host, symbols, text, path, problems);
        self.compiled.push(compiled);
        let (index, _) = self.texts.add(text);
        index
    }

    fn compile(
        &self,
        host: &impl Host,
        symbols: &mut Symbols,
        text: &str,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> Entry {
        if self.has_label(text, AN_ATTRIBUTE, path, problems) {
            return Entry::Refused;
        }
        match Compiled::new(host, text, path, problems) {
            Some(Compiled::Constant(Value::Text(_))) if matches!(text, "''" | "\"\"") => Entry::Constant(Symbol::EMPTY),
            Some(Compiled::Constant(Value::Text(text))) => Entry::Constant(symbols.of_bytes(&text)),
            Some(Compiled::Attribute(path, kind)) => {
                let made = self.made.get(&path);
                made.map_or_else(|| Entry::Compiled(Compiled::Attribute(path, kind)), Entry::Generated)
            }
            Some(compiled) => Entry::Compiled(compiled),
            None => Entry::Refused,
        }
    }

    /// Compiles an expression with a boolean result.
    pub fn condition(
        &self,
        host: &impl Host,
        text: &str,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<Expression> {
        if self.has_label(text, AN_ATTRIBUTE, path, problems) {
            return None;
        }
        create(host, &expression::for_engine(text), text, path, problems)
    }

    /// Whether `text` uses a label; the problem is reported with a replacement. The engine knows only attributes, with the
    /// configured ones.
    #[inline(never)]
    pub fn has_label(&self, text: &str, instead: &str, path: &str, problems: &mut Vec<Problem>) -> bool {
        let names = expression::names(text);
        let is_label = |name: &str| TagSource::of_label(name).is_some() && self.made.get(name).is_none();
        let label = names.iter().find(|(name, _)| is_label(name));
        if let Some((label, _)) = label {
            let message = format!("{} is a label, must be an attribute such as {instead}", Quoted(label));
            problems.push(Problem { path: path.into(), message });
        }
        label.is_some()
    }

    /// Evaluates the attributes for the current stream, for expressions and, through filter state, for later filters.
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

    /// The value of an expression as a label, if it is constant.
    pub fn constant(&self, index: usize) -> Option<Symbol> {
        match self.compiled.get(index) {
            Some(Entry::Constant(symbol)) => Some(*symbol),
            _ => None,
        }
    }

    /// The value of an expression as a label; unknown if it has none.
    pub fn label(&self, host: &impl Host, symbols: &mut Symbols, index: usize) -> Symbol {
        match self.compiled.get(index) {
            Some(Entry::Constant(symbol)) => *symbol,
            Some(Entry::Generated(index)) => {
                self.generated.get(*index).map_or(Symbol::UNKNOWN, |attribute| attribute.value)
            }
            Some(Entry::Compiled(compiled)) => match compiled.text(host) {
                Some(Value::Text(text)) => symbols.of_bytes(&text),
                Some(Value::Integer(number)) => symbols.of(&number.to_string()),
                Some(Value::Boolean(is)) => symbols.of(if is { "true" } else { "false" }),
                _ => Symbol::UNKNOWN,
            },
            Some(Entry::Refused) | None => Symbol::UNKNOWN,
        }
    }

    /// The value of an expression as a number to record.
    pub fn number(&self, host: &impl Host, index: usize) -> Option<u64> {
        match self.compiled.get(index)? {
            Entry::Compiled(compiled) => u64::try_from(compiled.number(host)?).ok(),
            _ => None,
        }
    }

    /// Whether the expression, written as `text`, may have a number as result, as far as is known without a stream.
    pub fn may_be_number(&self, index: usize, text: &str) -> bool {
        match self.compiled.get(index) {
            Some(Entry::Constant(_) | Entry::Generated(_) | Entry::Refused) | None => false,
            Some(Entry::Compiled(Compiled::Constant(value))) => matches!(value, Value::Integer(_)),
            Some(Entry::Compiled(Compiled::Attribute(_, kind))) => *kind == Kind::Integer,
            Some(Entry::Compiled(Compiled::Engine(_))) => is_of_numbers(text),
            Some(Entry::Compiled(_)) => true,
        }
    }

    /// Whether the expression needs a callback of the stream, so that a tick cannot evaluate it.
    pub fn needs_stream(&self, index: usize) -> bool {
        match self.compiled.get(index) {
            Some(Entry::Generated(_)) => true,
            Some(Entry::Compiled(compiled)) => compiled.needs_stream(),
            _ => false,
        }
    }
}

impl Generated {
    /// The value of the first condition that holds. A condition that fails ends the search: later ones assume that it does
    /// not hold.
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

/// Whether `text`, an expression for the engine, may have a number as result, judged by the names in it.
fn is_of_numbers(text: &str) -> bool {
    let names = expression::names(text);
    let alone: Names = names.iter().filter(|(_, parts)| *parts == 1).map(|(name, _)| *name).collect();
    let is_known = |(name, _): &(&str, usize)| {
        // A variable, as in `exists(x, x.y > 1)`, stands by itself, too; filter state of others is a text.
        alone.get(name).is_some() || expression::is_taken(name)
    };
    match names.as_slice() {
        // Such as `-1` or `1.5`.
        [] => text.bytes().any(|byte| !byte.is_ascii_digit() && !matches!(byte, b'-' | b'.')),
        // Of the attributes without a fixed type, only those in metadata and filter state may be numbers.
        [(name, parts)] if expression::path(text).is_some() => {
            *parts > 1 && expression::is_taken(name) && !NEVER_NUMBERS.contains(name)
        }
        names => names.iter().all(is_known),
    }
}

#[cfg(test)]
mod tests {
    use host::fake::FakeHost;
    use host::property::Property;
    use series::metric_name::Separators;
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
