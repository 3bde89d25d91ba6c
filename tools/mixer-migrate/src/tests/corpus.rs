//! Complete configurations of users and of Istio: which of them can be migrated, and the errors of the others.

use super::{codes, migrate, migrate_with};
use crate::{defaults::Version, diagnostic::Severity, Options};

/// A file and its errors.
const FILES: [(&str, &str, &[&str]); 10] = [
    ("accesslog-stdio", include_str!("../../testdata/tutorials/accesslog-stdio.yaml"), &[]),
    ("customer-request-count", include_str!("../../testdata/tutorials/customer-request-count.yaml"), &[]),
    ("double-request-count", include_str!("../../testdata/tutorials/double-request-count.yaml"), &[]),
    ("new-telemetry", include_str!("../../testdata/tutorials/new-telemetry.yaml"), &[]),
    ("newlog-fluentd", include_str!("../../testdata/tutorials/newlog-fluentd.yaml"), &[]),
    ("newlog-stdio", include_str!("../../testdata/tutorials/newlog-stdio.yaml"), &[]),
    // Three instances that the page does not contain.
    ("requests-total", include_str!("../../testdata/tutorials/requests-total.yaml"), &["E-DANGLING"; 3]),
    ("istio 0.7", include_str!("../../testdata/istio-0.7.yaml"), &[]),
    ("istio 1.0", include_str!("../../defaults/1.0.yaml"), &[]),
    ("istio 1.4", include_str!("../../defaults/1.4.yaml"), &[]),
];

#[test]
fn what_users_have_migrates() {
    for (name, text, errors) in FILES {
        let migration = migrate(text);
        let found: Vec<&str> = codes(&migration).into_iter().filter(|code| code.starts_with("E-")).collect();
        assert_eq!(found, errors, "{name}");
        assert_eq!(migration.resources(false).is_some(), errors.is_empty(), "{name}");
        assert!(!migration.output.plugins.is_empty(), "{name}");
    }
}

#[test]
fn what_a_page_left_out_comes_from_the_release() {
    let (_, text, _) = FILES[6];
    let migration = migrate_with(text, &Options { defaults: Some(Version::V1_0), ..Options::default() });
    let errors: Vec<&str> = codes(&migration).into_iter().filter(|code| code.starts_with("E-")).collect();
    // The handler has no metrics for requestsize and responsesize.
    assert_eq!(errors, ["E-INSTANCE-NAME"; 2]);
    assert_eq!(migration.diagnostics.count(Severity::Error), 2);
    let yaml = migration.resources(true).unwrap();
    assert!(yaml.contains("\"name\": \"request_duration_seconds\""), "{yaml}");
}
