//! For any input, the migration takes at most a second and never panics.

use std::time::Duration;

use super::{counter, migrate, within};
use crate::report::report;

#[track_caller]
fn soon(text: &str) {
    // Without optimization, the YAML parser is several times slower.
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
    within(limit, text, |text| {
        let migration = migrate(text);
        let yaml = migration.resources(true).unwrap();
        assert!(report(&migration, false).len() + yaml.len() < 20_000_000);
    });
}

#[test]
fn deep_and_long_yaml_is_answered() {
    for text in [
        "[".repeat(64 << 10),
        "{a: ".repeat(16 << 10),
        "- ".repeat(32 << 10),
        "? ".repeat(32 << 10),
        "---\n".repeat(16 << 10),
        "a: &a [*a, *a]\n".repeat(4 << 10),
        "kind: List\napiVersion: v1\nitems:\n".to_owned() + &"- kind: rule\n".repeat(5_000),
        "\u{0}\u{ff}".repeat(1 << 10),
    ] {
        soon(&text);
    }
    // Aliases that double the size nine times.
    let mut bomb = "a0: &a0 [x, x]\n".to_owned();
    for level in 1..40 {
        bomb += &format!("a{level}: &a{level} [*a{}, *a{}]\n", level - 1, level - 1);
    }
    soon(&bomb);
}

#[test]
fn expressions_that_multiply_are_answered() {
    // Each key contains a fallback, which is written twice.
    let mut nested = "request.method".to_owned();
    for _ in 0..60 {
        nested = format!("(request.headers[{nested}] | \"x\")");
    }
    soon(&counter("1", &nested, "true"));
    let mut conditions = "request.method == \"a\"".to_owned();
    for _ in 0..60 {
        conditions = format!("conditional({conditions}, request.referer == \"b\", request.useragent == \"c\")");
    }
    soon(&counter("1", "request.method", &conditions));
    soon(&counter("1", &format!("request.method{}", " | request.referer".repeat(150)), "true"));
}

#[test]
fn changed_configurations_are_answered() {
    let sources = [
        include_str!("../../testdata/tutorials/double-request-count.yaml"),
        include_str!("../../testdata/tutorials/newlog-stdio.yaml"),
        include_str!("../../testdata/tutorials/customer-request-count.yaml"),
        include_str!("../../testdata/istio-0.7.yaml"),
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(end.max(1)).unwrap()).unwrap()
    };
    for round in 0..400 {
        let mut lines: Vec<&str> = sources[round % sources.len()].lines().collect();
        for _ in 0..=random(3) {
            let (from, to) = (random(lines.len()), random(lines.len()));
            match random(3) {
                0 => drop(lines.remove(from)),
                1 => lines.swap(from, to),
                _ => lines.insert(to, lines[from]),
            }
        }
        soon(&lines.join("\n"));
    }
}
