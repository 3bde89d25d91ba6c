//! Rows as aligned text of at most 110 columns.

use std::collections::BTreeMap;

use super::row::{Key, Row};

const HEAD: [&str; 9] =
    ["SOURCE -> DESTINATION", "VER", "REPORTER", "MTLS", "REQUESTS", "SUCCESS", "P50", "P99", "CODES"];

/// Columns of numbers.
const RIGHT: std::ops::RangeInclusive<usize> = 4..=7;

pub(super) fn text(rows: &BTreeMap<Key, Row>) -> String {
    let mut lines: Vec<[String; 9]> = vec![HEAD.map(str::to_owned)];
    let mut last = String::new();
    for (key, row) in rows {
        let edge = format!("{} -> {}", key.source, key.destination);
        let first = edge != last;
        let shown = if first { edge.clone() } else { String::new() };
        let version = if first && row.version != "unknown" { row.version.clone() } else { String::new() };
        last = edge;
        block(shown, version, &key.reporter.0, row, &mut lines);
    }
    align(&lines)
}

/// A row, with one more line for each further code.
fn block(edge: String, version: String, reporter: &str, row: &Row, lines: &mut Vec<[String; 9]>) {
    let security = match (reporter, row.security.as_str()) {
        ("source", _) => "", // a client does not know
        (_, "mutual_tls") => "yes",
        (_, "none") => "no",
        (_, other) => other,
    };
    if row.codes.is_empty() {
        let (count, bytes) = (format!("{} conn", row.connections), format!("TCP, {} sent", size(row.bytes)));
        let [a, b, c] = [""; 3].map(str::to_owned);
        lines.push([edge, version, reporter.to_owned(), security.to_owned(), count, a, b, c, bytes]);
        return;
    }
    let total: f64 = row.codes.values().sum();
    let several = row.codes.len() > 1;
    let mut codes =
        row.codes.iter().map(|(code, count)| if several { format!("{code} x{count}") } else { code.clone() });
    lines.push([
        edge,
        version,
        reporter.to_owned(),
        security.to_owned(),
        total.to_string(),
        format!("{:.1} %", 100.0 * row.succeeded / total),
        milliseconds(row.p50),
        milliseconds(row.p99),
        codes.next().unwrap_or_default(),
    ]);
    for code in codes {
        let mut line: [String; 9] = Default::default();
        line[8] = code;
        lines.push(line);
    }
}

fn align(lines: &[[String; 9]]) -> String {
    let mut widths = [0; 9];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .enumerate()
            .map(
                |(column, (cell, width))| {
                    if RIGHT.contains(&column) {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                },
            )
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) => format!("{ms:.0} ms"),
    }
}

fn size(bytes: f64) -> String {
    if bytes < 10_000.0 {
        format!("{bytes} B")
    } else {
        format!("{:.1} kB", bytes / 1000.0)
    }
}
