//! What is wrong with a resource, said so that its author can find and mend it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::yaml::Position;

/// One reason why a resource is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it was read from.
    pub file: PathBuf,
    /// The line, where one is known.
    pub line: Option<u64>,
    /// The column, known for broken YAML only.
    pub column: Option<u64>,
    /// The field, for example `spec.configPatches[1].match.listener`; empty if the file as a whole is meant.
    pub path: String,
    /// What is wrong, with the value and what is allowed in its place.
    pub message: String,
}

impl Problem {
    /// A problem of a whole file.
    pub(crate) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Problem { file: file.to_path_buf(), line: None, column: None, path: String::new(), message: message.into() }
    }

    /// A file that is no YAML: where and why.
    pub(crate) fn of_yaml(file: &Path, (position, reason): (Position, String)) -> Self {
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
