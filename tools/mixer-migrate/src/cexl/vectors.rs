//! Compares our results with those of Mixer's own engine (`testdata/expressions.txt`).

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{compile, evaluate, parse_timestamp, Attributes, ErrorKind, Type, Value, Vocabulary};

const VECTORS: &str = include_str!("../../testdata/expressions.txt");

/// The attributes at the beginning of the file.
pub(super) struct Report;

impl Vocabulary for Report {
    fn attribute_type(&self, name: &str) -> Option<Type> {
        Some(match name {
            "absent" | "absent2" | "context.reporter.kind" => Type::String,
            "absenti" => Type::Int64,
            "absentb" => Type::Bool,
            "absentd" => Type::Duration,
            "absentm" => Type::StringMap,
            _ => self.get(name)?.ty(),
        })
    }

    fn nearest(&self, _: &str) -> Option<String> {
        None
    }
}

impl Attributes for Report {
    fn get(&self, name: &str) -> Option<Value> {
        Some(match name {
            "s" => Value::String("abc".into()),
            "s2" => Value::String("xyz".into()),
            "empty" => Value::String(String::new()),
            "i" => Value::Int64(42),
            "f" => Value::Double(1.5),
            "b" => Value::Bool(true),
            "d" => Value::Duration(1_500_000),
            "t" => Value::Timestamp(parse_timestamp("2020-01-02T03:04:05.678901234Z")?),
            "ip1" => Value::ip([10, 1, 2, 3].into()),
            "m" => {
                let entries = [("app", "web"), ("e", ""), ("X-Up", "1")];
                Value::StringMap(entries.map(|(key, value)| (key.into(), value.into())).into())
            }
            _ => return None,
        })
    }
}

/// Our result for an expression, in the file's form.
fn result(text: &str, expected: &str) -> String {
    let expression = match compile(text, &Report) {
        Ok(expression) => expression,
        Err(error) => {
            return match error.kind {
                ErrorKind::Parse => "refused parse",
                ErrorKind::Type if error.message.contains("arguments, not") => "miscompiled arguments",
                ErrorKind::Type => "refused type",
                ErrorKind::UnknownFunction => "refused function",
                ErrorKind::UnknownAttribute => "refused attribute",
                ErrorKind::OrOperand => "miscompiled operand",
            }
            .into()
        }
    };
    let Ok(value) = evaluate(&expression, &Report) else {
        return format!("fails {}", expression.ty);
    };
    let json: Json = match &value {
        Value::Duration(nanoseconds) => (*nanoseconds).into(),
        Value::Int64(number) => (*number).into(),
        Value::Bool(is) => (*is).into(),
        // The file contains the number in JSON's form, with or without a point.
        Value::Double(number) => {
            let told: f64 = expected.split_once('=').unwrap().1.parse().unwrap();
            return if told == *number { expected.into() } else { number.to_string() };
        }
        Value::Timestamp(nanoseconds) => {
            let told: Json = serde_json::from_str(expected.split_once('=').unwrap().1).unwrap();
            return if parse_timestamp(told.as_str().unwrap()) == Some(*nanoseconds) {
                expected.into()
            } else {
                value.to_string()
            };
        }
        _ => value.to_string().into(),
    };
    format!("{}={json}", value.ty())
}

#[test]
fn every_result_of_the_original_engine_holds() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let (expression, expected) = line.split_once('\t').expect("expression, tab, result");
        let text: String = serde_json::from_str(expression).unwrap();
        let result = result(&text, expected);
        if result != expected {
            wrong.push(format!("{expression}: {result}, not {expected}"));
        }
        count += 1;
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(count, 185);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let shown: BTreeMap<&str, &str> = [
        ("absent | \"0\"", "operator \"|\": left is STRING, right is DURATION (Mixer reads \"0\" and the like as a duration; write \"\" or another text)\n    absent | \"0\"\n           ^"),
        ("i - 1", "operator \"-\" is not part of CEXL; there are no negative numbers and no differences\n    i - 1\n      ^"),
        ("conditional(!b, s, s2)", "operator \"!\" is not part of CEXL; write \"x == false\"\n    conditional(!b, s, s2)\n                ^"),
        ("s | nope", "attribute \"nope\" is in no attributemanifest\n    s | nope\n        ^"),
        ("s |", "an operand is missing at the end\n    s |\n       ^"),
        ("f(", "an operand is missing at the end\n    f(\n      ^"),
        ("m[\"a\"", "the end stands where ] is needed to close the index\n    m[\"a\"\n         ^"),
        ("i | \"x\"", "operator \"|\": left is INT64, right \"x\" is STRING; write a number without quotes\n    i | \"x\"\n      ^"),
        ("s.type", "the reserved word type stands where a name is needed\n    s.type\n      ^"),
    ]
    .into();
    for (text, expected) in shown {
        let error = compile(text, &Report).expect_err(text);
        assert_eq!(error.with_caret(text), expected);
    }
    let long = format!("{}\u{e9} # {}", "s + ".repeat(60), "s".repeat(100));
    let shown = compile(&long, &Report).unwrap_err().with_caret(&long);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].starts_with("    ...") && lines[1].ends_with("..."), "{shown}");
    assert_eq!(lines[1].chars().nth(lines[2].len() - 1), Some('#'), "{shown}");
}
