//! Errors of expressions, with their positions.

use std::fmt::Write;

/// Length of the text that is shown before and after the error in a long expression.
const CONTEXT: usize = 40;

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The syntax is wrong.
    Parse,
    /// The types do not match.
    Type,
    /// No manifest declares the attribute.
    UnknownAttribute,
    /// The function or operator does not exist.
    UnknownFunction,
    /// The left side of `|` is an expression that is never absent for Mixer.
    OrOperand,
}

/// Why an expression is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// Byte offset in the expression.
    pub at: usize,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl CompileError {
    pub(crate) fn new(kind: ErrorKind, at: usize, message: impl Into<String>) -> Self {
        Self { kind, at, message: message.into() }
    }

    /// The column in `text`: characters, starting at 1.
    pub fn column(&self, text: &str) -> usize {
        text.get(..self.at).map_or(text.chars().count(), |before| before.chars().count()) + 1
    }

    /// The message, then the expression with a caret below the error. A long expression is cut on both sides.
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

/// The form of `text` in messages.
pub(super) fn short(text: &str) -> &str {
    if text.len() > CONTEXT {
        "a long text"
    } else {
        text
    }
}
