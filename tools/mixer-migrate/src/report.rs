//! The report, for people and for programs.

use std::{fmt::Write, rc::Rc};

use serde_json::{json, Value as Json};

use crate::{
    diagnostic::{Diagnostic, Place, Severity},
    migration::Migration,
};

/// The report: what went where, then what there is to say, then a summary. `quiet`: without notes.
pub fn report(migration: &Migration, quiet: bool) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, hence the results that are not looked at.
    for (place, message) in moves(migration, quiet) {
        let _ = writeln!(text, "{place} -> {message}");
    }
    if !migration.output.moves.is_empty() {
        text.push('\n');
    }
    for diagnostic in diagnostics(migration, quiet) {
        let _ = writeln!(text, "{diagnostic}");
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

/// The same as JSON.
pub fn json(migration: &Migration, quiet: bool) -> Json {
    let moves = moves(migration, quiet).into_iter().map(|(place, message)| placed(place, [("to", message.as_str())]));
    let diagnostics = diagnostics(migration, quiet)
        .into_iter()
        .map(|told| placed(&told.place, [("code", told.code.name()), ("message", &told.message)]));
    let count = |severity| migration.diagnostics.count(severity);
    json!({
        "objects": migration.objects,
        "others": migration.others,
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "notes": count(Severity::Note),
        "moves": moves.collect::<Vec<_>>(),
        "diagnostics": diagnostics.collect::<Vec<_>>(),
    })
}

fn moves(migration: &Migration, quiet: bool) -> Vec<&(Place, String)> {
    let mut moves: Vec<&(Place, String)> = migration.output.moves.iter().collect();
    moves.sort_by_key(|(place, _)| (Rc::clone(&place.file), place.position));
    moves.retain(|(place, _)| !quiet || place.field.is_empty());
    moves
}

fn diagnostics(migration: &Migration, quiet: bool) -> Vec<&Diagnostic> {
    let mut told = migration.diagnostics.sorted();
    told.retain(|diagnostic| !(quiet && diagnostic.code.severity() == Severity::Note));
    told
}

/// What is told of a place.
fn placed<'a>(place: &Place, told: impl IntoIterator<Item = (&'a str, &'a str)>) -> Json {
    let place = [
        ("file", json!(*place.file)),
        ("line", json!(place.position.line)),
        ("column", json!(place.position.column)),
        ("object", json!(place.object.as_ref().map(ToString::to_string))),
        ("field", json!(place.field)),
    ];
    let told = told.into_iter().map(|(name, text)| (name, json!(text)));
    Json::Object(place.into_iter().chain(told).map(|(name, value)| (name.to_owned(), value)).collect())
}
