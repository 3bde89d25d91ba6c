//! A problem in a resource, with enough detail to find and fix it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::yaml::Position;

/// One reason for rejecting a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its file.
    pub file: PathBuf,
    /// The line, if known.
    pub line: Option<u64>,
    /// The column, known only for invalid YAML.
    pub column: Option<u64>,
    /// The field, for example `spec.configPatches[1].match.listener`; empty for the whole file.
    pub path: String,
    /// The problem, with the value and the allowed values.
    pub message: String,
}

impl Problem {
    /// A problem of a whole file.
    pub(crate) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Problem { file: file.to_path_buf(), line: None, column: None, path: String::new(), message: message.into() }
    }

    /// A file that is not valid YAML, with position and reason.
    pub fn of_yaml(file: &Path, (position, reason): (Position, String)) -> Self {
        let known = |number: u64| (number > 0).then_some(number);
        Problem {
            line: known(position.line),
            column: known(position.column),
            ..Problem::of_file(file, format!("not valid YAML: {reason}"))
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(out, ":{line}")?;
            if let Some(column) = self.column {
                write!(out, ":{column}")?;
            }
        }
        if !self.path.is_empty() {
            write!(out, ": {}", self.path)?;
        }
        write!(out, ": {}", self.message)
    }
}

impl std::error::Error for Problem {}
