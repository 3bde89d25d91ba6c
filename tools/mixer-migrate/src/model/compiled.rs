//! Compiled expressions of objects, with errors and doubtful parts.

use crate::{
    cexl::{self, CompileError, ErrorKind, Expression, Function, Kind},
    diagnostic::{Code, Diagnostics, Place},
    fields::At,
    vocabulary::Attributes,
};

/// An expression of an object.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Its text.
    pub text: String,
    /// The compiled expression.
    pub expression: Expression,
    /// Its place.
    pub place: Place,
}

/// Compiles an expression, and reports errors and doubtful parts.
pub(super) fn compile(at: &At<'_>, attributes: &Attributes, diagnostics: &mut Diagnostics) -> Option<Compiled> {
    let text = at.expression(diagnostics)?;
    match cexl::compile(&text, attributes) {
        Ok(expression) => {
            doubts(&expression, at, diagnostics);
            Some(Compiled { text, expression, place: at.place() })
        }
        Err(error) => {
            diagnostics.add(code(&error), &at.place(), message(&error, &text));
            None
        }
    }
}

fn code(error: &CompileError) -> Code {
    match error.kind {
        ErrorKind::Parse => Code::Parse,
        ErrorKind::Type => Code::Type,
        ErrorKind::UnknownAttribute => Code::UnknownAttribute,
        ErrorKind::UnknownFunction => Code::UnknownFunction,
        ErrorKind::OrOperand => Code::OrOperand,
    }
}

fn message(error: &CompileError, text: &str) -> String {
    let shown = error.with_caret(text);
    let column = error.column(text);
    match error.kind {
        ErrorKind::Parse => format!("cannot parse expression at column {column}: {shown}"),
        ErrorKind::UnknownAttribute => {
            let (first, caret) = shown.split_once('\n').unwrap_or((&shown, ""));
            format!("{first}. Mixer rejected this instance.\n{caret}")
        }
        _ => shown,
    }
}

/// Reports valid expressions that most likely do something else than intended.
fn doubts(expression: &Expression, at: &At<'_>, diagnostics: &mut Diagnostics) {
    expression.walk(&mut |part| match &part.kind {
        Kind::Call(Function::Matches, arguments) => {
            if let [receiver, argument] = arguments.as_slice() {
                if argument.as_constant().is_some() && receiver.as_constant().is_none() {
                    let message = "x.matches(\"pattern\") took x for the pattern and the text for what is searched: write \
                                   \"pattern\".matches(x). The result does what Mixer did";
                    diagnostics.add(Code::Matches, &at.place(), message);
                }
            }
        }
        Kind::Index(map, key) => {
            let headers = matches!(&map.kind, Kind::Attribute(name) if matches!(name.as_str(), "request.headers" | "response.headers"));
            if let (true, Some(cexl::Value::String(key))) = (headers, key.as_constant()) {
                if key.chars().any(|character| character.is_ascii_uppercase()) {
                    let message = format!(
                        "header {key:?} never matched: proxies send names in lower case. The result does what Mixer did; \
                         write {:?} to get its value",
                        key.to_ascii_lowercase()
                    );
                    diagnostics.add(Code::HeaderCase, &at.place(), message);
                }
            }
        }
        _ => {}
    });
}
