//! `remixer migrate`, also under its former name: what it reads and writes, and its exit status.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

const TUTORIALS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../mixer-migrate/testdata/tutorials");

/// What is said under the former name, besides what is said anyway.
const WORD: &str = "mixer-migrate is `remixer migrate` now; this name goes away after this release\n";

/// Both names; what comes of them is the same, but for a word about the name.
fn commands() -> [Command; 2] {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remixer"));
    command.arg("migrate");
    [command, Command::new(env!("CARGO_BIN_EXE_mixer-migrate"))]
}

fn run(arguments: &[&str], input: &str) -> Output {
    let [new, former] = commands().map(|mut command| {
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    assert_eq!((new.status, &new.stdout), (former.status, &former.stdout));
    let told = text(&former.stderr).strip_suffix(WORD).unwrap_or(text(&former.stderr));
    assert_eq!(text(&new.stderr), told.replace("Usage: mixer-migrate", "Usage: remixer migrate"));
    assert_eq!(told.len() < former.stderr.len(), former.status.code() != Some(1));
    new
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_file_is_migrated() {
    let output = run(&[&format!("{TUTORIALS}/double-request-count.yaml")], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("\"name\": \"double_request_count\""));
    assert!(text(&output.stderr).contains("W-SOURCE-SERVICE"));
}

#[test]
fn check_only_reports() {
    let output = run(&["--check", &format!("{TUTORIALS}/double-request-count.yaml")], "");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert!(text(&output.stderr).contains("0 errors"));
}

#[test]
fn standard_input_and_directories_are_read() {
    let input = include_str!("../../mixer-migrate/testdata/istio-0.7.yaml");
    let output = run(&["-"], input);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("-:5:3 metric/istio-system/requestcount -> "), "{}", text(&output.stderr));
    // Two of the tutorials have a log of the same name.
    let output = run(&["--check", TUTORIALS], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("E-DUPLICATE"));
}

#[test]
fn errors_write_nothing_unless_asked_for() {
    let input =
        include_str!("../../mixer-migrate/testdata/istio-0.7.yaml").replace("source.service |", "source.servic |");
    let output = run(&["-"], &input);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(text(&output.stderr).contains("E-UNKNOWN-ATTR"));
    let input = format!(
        "{}- {{apiVersion: config.istio.io/v1alpha2, kind: denier, metadata: {{name: x}}}}\n",
        include_str!("../../mixer-migrate/testdata/istio-0.7.yaml")
    );
    let output = run(&["--keep-going", "-"], &input);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("request_count"));
}

#[test]
fn wrong_usage_and_files_that_cannot_be_read() {
    for (arguments, message) in [
        (vec!["--chekc", "x"], "--chekc is unknown"),
        (vec![], "no files are given"),
        (vec!["no/such/file.yaml"], "no/such/file.yaml cannot be read"),
    ] {
        let output = run(&arguments, "");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_report_that_cannot_be_written_is_a_failure() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = format!("{TUTORIALS}/double-request-count.yaml");
    for arguments in [vec![file.as_str()], vec!["--check", &file], vec!["--chekc"], vec!["no/such/file.yaml"]] {
        for mut command in commands() {
            let status = command.args(&arguments).stdout(Stdio::null()).stderr(full()).status().unwrap();
            assert_eq!(status.code(), Some(1), "{arguments:?}");
        }
    }
    for mut command in commands() {
        assert_eq!(command.args(["--help"]).stdout(full()).status().unwrap().code(), Some(1));
    }
}

#[test]
fn programs_get_one_document() {
    let file = format!("{TUTORIALS}/double-request-count.yaml");
    let document = |arguments: &[&str], status| {
        let output = run(&[&["--output", "json"], arguments].concat(), "");
        assert_eq!(output.status.code(), Some(status));
        let said = text(&output.stderr);
        assert!(said.is_empty(), "{said}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let migrated = document(&[&file], 0);
    let yaml = run(&[&file], "");
    assert_eq!(migrated["resources"].as_str().unwrap(), text(&yaml.stdout));
    let codes: Vec<_> = migrated["diagnostics"].as_array().unwrap().iter().map(|told| &told["code"]).collect();
    assert!(codes.iter().any(|code| *code == "W-SOURCE-SERVICE"), "{codes:?}");
    assert_eq!(migrated["errors"], 0);
    assert!(document(&["--check", &file], 0)["resources"].is_null());
    let refused = document(&["--check", TUTORIALS], 2);
    assert!(refused["errors"].as_u64() > Some(0) && refused["resources"].is_null());
}
