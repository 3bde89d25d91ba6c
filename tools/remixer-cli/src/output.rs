//! What is written where: results to standard output, all else to standard error.
//!
//! Both may be full or closed. A result that cannot be written is a failure of the command.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::builder::StyledStr;
use clap::ValueEnum;
use serde_json::Value;

/// For whom a result is. (Comments of the variants would be in every help.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    // For people.
    Text,
    // For programs: one JSON document on standard output, and nothing else there.
    Json,
}

/// Writes a result.
pub fn write(text: &str) -> Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output cannot be written")
}

/// Writes a result, and some more fields of it, as JSON.
pub fn write_json<'a>(mut value: Value, more: impl IntoIterator<Item = (&'a str, Value)>) -> Result<()> {
    if let Some(fields) = value.as_object_mut() {
        fields.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    write(&format!("{value:#}\n"))
}

/// Writes a result that has colours at a terminal.
pub fn write_styled(text: &StyledStr) -> Result<()> {
    let mut out = anstream::stdout();
    write!(out, "{}", text.ansi()).and_then(|()| out.flush()).context("standard output cannot be written")
}

/// Tells something that is no result, such as a report.
pub fn tell(text: &str) -> Result<()> {
    io::stderr().write_all(text.as_bytes()).context("standard error cannot be written")
}

/// Tells why something cannot be done. If it cannot be told, the exit status still says that.
pub fn complain(text: &str) {
    let _ = write!(anstream::stderr(), "\u{1b}[1;31merror:\u{1b}[0m {text}");
}

/// Tells something that is worth knowing, in a line.
pub fn note(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// A step of progress with the time since the first, at a terminal alone.
pub fn progress(what: &str) {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = BEGIN.get_or_init(Instant::now);
    if io::stderr().is_terminal() {
        note(&format!("[{:5.1} s] {what}", begin.elapsed().as_secs_f64()));
    }
}
