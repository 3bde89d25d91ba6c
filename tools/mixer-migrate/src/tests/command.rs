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
fn the_readme_names_every_diagnostic_and_option() {
    let readme = include_str!("../../README.md");
    for (_, name, meaning) in crate::diagnostic::Code::ALL {
        assert!(readme.contains(&format!("| `{name}` | {meaning} |")), "| `{name}` | {meaning} |");
    }
    assert!(readme.contains(crate::options::USAGE));
}
