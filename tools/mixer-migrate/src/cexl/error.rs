//! What is wrong with an expression, and where in it.

use std::fmt::Write;

/// How much of a long expression is quoted on either side of the mistake.
const CONTEXT: usize = 40;

/// Which kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It is not of the language.
    Parse,
    /// The types do not fit.
    Type,
    /// No manifest declares the attribute.
    UnknownAttribute,
    /// There is no such function or operator.
    UnknownFunction,
    /// The left side of `|` is something whose absence Mixer never saw.
    OrOperand,
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The kind of mistake.
    pub kind: ErrorKind,
    /// Byte offset within the expression.
    pub at: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl CompileError {
    pub(crate) fn new(kind: ErrorKind, at: usize, message: impl Into<String>) -> Self {
        Self { kind, at, message: message.into() }
    }

    /// The column in `text`, from 1, in characters.
    pub fn column(&self, text: &str) -> usize {
        text.get(..self.at).map_or(text.chars().count(), |before| before.chars().count()) + 1
    }

    /// The message, then the expression with a caret below the mistake; a long expression is cut on both sides.
    pub fn with_caret(&self, text: &str) -> String {
        let characters: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let column = (self.column(text) - 1).min(characters.len());
        let from = column.saturating_sub(CONTEXT);
        let to = (column + CONTEXT).min(characters.len());
        let cut = |is_cut| if is_cut { "..." } else { "" };
        let mut quoted = format!("{}\n    {}", self.message, cut(from > 0));
        quoted.extend(characters.iter().skip(from).take(to - from));
        // Writing to a String cannot fail.
        let _ = write!(quoted, "{}\n    {:2$}^", cut(to < characters.len()), "", column - from + cut(from > 0).len());
        quoted
    }
}

/// `text` as it is quoted in a message.
pub(super) fn short(text: &str) -> &str {
    if text.len() > CONTEXT {
        "a long text"
    } else {
        text
    }
}
