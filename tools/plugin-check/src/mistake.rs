//! What is told, to people and to programs.

use std::fmt;

use envoy_filter::yaml::Position;
use serde_json::{json, Value};

/// A mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its file; `-` for standard input.
    pub file: String,
    /// Its position; line and column are 0 where unknown.
    pub position: Position,
    /// The resource: kind/namespace/name; empty for a whole file.
    pub object: String,
    /// The root id of the plugin whose configuration has the mistake; empty if it is outside of a configuration.
    pub plugin: String,
    /// The path of the field: in the plugin's configuration, else in the resource. May be empty.
    pub field: String,
    /// What is wrong: the value, what is allowed, and what was probably meant.
    pub message: String,
}

/// The mistakes, and what was looked at.
#[derive(Debug, Default)]
pub struct Report {
    /// Number of files.
    pub files: usize,
    /// Number of EnvoyFilters, WasmPlugins and TrafficExtensions, of whomever.
    pub resources: usize,
    /// Number of our plugins in them.
    pub plugins: usize,
    /// Number of other objects.
    pub skipped: usize,
    /// The mistakes, by file and position.
    pub mistakes: Vec<Mistake>,
}

impl Report {
    /// A line for each mistake, and a summary.
    pub fn text(&self) -> String {
        let mut text: String = self.mistakes.iter().map(|mistake| format!("{mistake}\n")).collect();
        text.push_str(&format!(
            "{} in {} of {}, {} skipped: {}\n",
            count(self.plugins, "plugin"),
            count(self.resources, "resource"),
            count(self.files, "file"),
            count(self.skipped, "other object"),
            match self.mistakes.len() {
                0 => "no mistake".to_owned(),
                mistakes => count(mistakes, "mistake"),
            }
        ));
        text
    }

    /// The same as JSON.
    pub fn json(&self) -> Value {
        let mistakes = self.mistakes.iter().map(|mistake| {
            json!({
                "file": mistake.file,
                "line": mistake.position.line,
                "column": mistake.position.column,
                "object": mistake.object,
                "plugin": mistake.plugin,
                "field": mistake.field,
                "message": mistake.message,
            })
        });
        json!({
            "files": self.files,
            "resources": self.resources,
            "plugins": self.plugins,
            "skipped": self.skipped,
            "mistakes": mistakes.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        for number in [self.position.line, self.position.column].into_iter().filter(|number| *number > 0) {
            write!(out, ":{number}")?;
        }
        if !self.field.is_empty() {
            write!(out, ": {}", self.field)?;
        }
        write!(out, ": {}", self.message)?;
        match (self.object.as_str(), self.plugin.as_str()) {
            ("", _) => Ok(()),
            (object, "") => write!(out, " [{object}]"),
            (object, plugin) => write!(out, " [{object}, plugin {plugin}]"),
        }
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
