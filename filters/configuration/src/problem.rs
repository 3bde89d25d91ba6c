//! What is wrong with a configuration, and how it is told.

use core::fmt;

use crate::quote::joined;

/// More problems than this are not told at once: the log line would be too long to read.
const MAX_TOLD: usize = 50;
/// A longer text of one problem is cut, after so many bytes. What it quotes is cut before that.
const MAX_PROBLEM: usize = 2_000;
/// The problems that are told are no longer together, in bytes.
const MAX_TEXT: usize = 16_000;

/// Why a configuration is refused: all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as in `metrics[0].name`; empty for the whole document.
    pub path: String,
    /// What is wrong, with the value.
    pub message: String,
}

impl ConfigError {
    /// An error if there is any problem.
    pub fn unless_empty(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self { problems })
        }
    }

    /// All that is wrong, for a tool that tells each by itself.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl Problem {
    /// The same problem, where the configuration that it is in is the field `name` of another.
    pub fn within(self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.into() } else { format!("{name}.{}", self.path) };
        Self { path, ..self }
    }
}

impl core::error::Error for ConfigError {}

/// At most 20 KB, whatever is in the configuration.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "configuration refused, {count} {}: ", if count == 1 { "problem" } else { "problems" })?;
        let (mut told, mut room) = (0_usize, MAX_TEXT);
        for Problem { path, message } in self.problems.iter().take(MAX_TOLD) {
            let separator = if path.is_empty() { "" } else { ": " };
            let mut text = joined(&[path, separator, message], "");
            if text.len() > MAX_PROBLEM {
                text.truncate(text.floor_char_boundary(MAX_PROBLEM));
                text.push('…');
            }
            let Some(rest) = room.checked_sub(text.len()) else {
                break;
            };
            room = rest;
            f.write_str(if told == 0 { "" } else { "; " })?;
            f.write_str(&text)?;
            told = told.saturating_add(1);
        }
        match count.saturating_sub(told) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}
