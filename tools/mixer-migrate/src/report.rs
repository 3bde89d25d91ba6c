//! The report for the user.

use std::{fmt::Write, rc::Rc};

use crate::{
    diagnostic::{Place, Severity},
    migration::Migration,
};

/// The report: the new location of each field, the diagnostics, and a summary.
pub fn report(migration: &Migration, quiet: bool) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, so the results are ignored.
    let mut moves: Vec<&(Place, String)> = migration.output.moves.iter().collect();
    moves.sort_by_key(|(place, _)| (Rc::clone(&place.file), place.position));
    for (place, message) in moves {
        if !quiet || place.field.is_empty() {
            let _ = writeln!(text, "{place} -> {message}");
        }
    }
    if !migration.output.moves.is_empty() {
        text.push('\n');
    }
    for diagnostic in migration.diagnostics.sorted() {
        if !(quiet && diagnostic.code.severity() == Severity::Note) {
            let _ = writeln!(text, "{diagnostic}");
        }
    }
    let count = |severity, name: &str| {
        let count = migration.diagnostics.count(severity);
        format!("{count} {name}{}", if count == 1 { "" } else { "s" })
    };
    let _ = writeln!(
        text,
        "{} objects of Mixer, {} others; {}, {}, {}",
        migration.objects,
        migration.others,
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning"),
        count(Severity::Note, "note")
    );
    text
}
