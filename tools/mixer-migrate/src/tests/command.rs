//! The report.

use super::{counter, migrate};
use crate::report::report;

#[test]
fn the_report_tells_where_everything_went() {
    let migration = migrate(&counter("1", "request.path", r#"context.protocol == "http""#));
    let text = report(&migration, false);
    for line in [
        "a.yaml:1:1 instance/istio-system/i -> istio_m by rule/istio-system/r of h.handler.istio-system: inbound HTTP, outbound HTTP",
        "a.yaml:8:21 instance/istio-system/i spec.params.dimensions.l -> label l = request.path (inbound HTTP, outbound HTTP)",
        "a.yaml:10:1 handler/istio-system/h -> read for what its instances become",
        "a.yaml:19:1 rule/istio-system/r -> followed to its instances",
        "3 objects of Mixer, 0 others; 0 errors, 1 warning, 0 notes",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
    assert!(!report(&migration, true).contains("label l ="));
}

#[test]
fn the_readme_names_every_diagnostic() {
    let readme = include_str!("../../README.md");
    for (_, name, meaning) in crate::diagnostic::Code::ALL {
        assert!(readme.contains(&format!("| `{name}` | {meaning} |")), "| `{name}` | {meaning} |");
    }
}

#[test]
fn programs_are_told_the_same() {
    let migration = migrate(&counter("1", "request.path", r#"context.protocol == "http""#));
    for quiet in [false, true] {
        let (text, json) = (report(&migration, quiet), crate::report::json(&migration, quiet));
        let place = |told: &serde_json::Value| {
            let object = told["object"].as_str().unwrap();
            let place =
                format!("a.yaml:{}:{} {object} {}", told["line"], told["column"], told["field"].as_str().unwrap());
            place.trim_end().to_owned()
        };
        let moves = json["moves"].as_array().unwrap().iter();
        let moves = moves.map(|told| format!("{} -> {}", place(told), told["to"].as_str().unwrap()));
        let told = json["diagnostics"].as_array().unwrap().iter();
        let told = told.map(|told| {
            format!("{}: {}: {}", place(told), told["code"].as_str().unwrap(), told["message"].as_str().unwrap())
        });
        let lines: Vec<String> = moves.chain([String::new()]).chain(told).collect();
        assert_eq!(text.lines().take(lines.len()).collect::<Vec<_>>(), lines);
        assert_eq!((&json["objects"], &json["errors"], &json["warnings"]), (&3.into(), &0.into(), &1.into()));
    }
}
