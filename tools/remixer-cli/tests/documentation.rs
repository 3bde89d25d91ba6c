//! The pages have the help of each command as it is. To renew what differs: UPDATE=1 cargo test -p remixer-cli --test documentation

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::process::Command;

/// The page with all commands.
const PAGE: &str = "docs/remixer.md";

/// Where a command has more to tell.
const MIGRATE: &str = "tools/mixer-migrate/README.md";

fn path(page: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(page)
}

fn remixer(line: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_remixer")).args(line.split_whitespace()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The help of each command, by the line that asks for it.
fn helps() -> Vec<(String, String)> {
    fn collect(command: &clap::Command, line: &str, found: &mut Vec<(String, String)>) {
        found.push((format!("$ {line} --help\n"), remixer(&format!("{} --help", line.trim_start_matches("remixer")))));
        for sub in command.get_subcommands() {
            collect(sub, &format!("{line} {}", sub.get_name()), found);
        }
    }
    let mut found = Vec::new();
    collect(&remixer_cli::cli::command(), "remixer", &mut found);
    found
}

#[test]
fn the_help_of_each_command_is_on_its_page() {
    for (line, help) in helps() {
        let page = if line.contains(" migrate ") { MIGRATE } else { PAGE };
        let text = std::fs::read_to_string(path(page)).unwrap();
        let block = format!("```text\n{line}{help}```\n");
        if std::env::var_os("UPDATE").is_some() {
            let (before, rest) = text.split_once(&format!("```text\n{line}")).expect(&line);
            let (_, after) = rest.split_once("```\n").unwrap();
            std::fs::write(path(page), format!("{before}{block}{after}")).unwrap();
        } else {
            assert!(text.contains(&block), "{page} has another help than this:\n{block}");
        }
    }
}

#[test]
fn each_command_has_a_section_and_a_row() {
    let text = std::fs::read_to_string(path(PAGE)).unwrap();
    for command in remixer_cli::cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(text.contains(&format!("\n## remixer {name}\n")), "{name}");
        assert!(text.contains(&format!("\n| [`remixer {name}`](#remixer-{name}) |")), "{name}");
    }
}

/// What stands under a command's heading.
fn section(name: &str) -> String {
    let text = std::fs::read_to_string(path(PAGE)).unwrap();
    let (_, rest) = text.split_once(&format!("\n## remixer {name}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// The names of all fields in a document, at any depth, but below those that are `free`.
fn fields(document: &serde_json::Value, free: &[&str], found: &mut Vec<String>) {
    for item in document.as_array().into_iter().flatten() {
        fields(item, free, found);
    }
    for (name, value) in document.as_object().into_iter().flatten() {
        found.push(name.clone());
        if !free.contains(&name.as_str()) {
            fields(value, free, found);
        }
    }
}

#[test]
fn the_fields_of_documents_are_explained() {
    let tutorial = "tools/mixer-migrate/testdata/tutorials/double-request-count.yaml";
    let bootstrap = "envoy/stats-bootstrap.yaml";
    // A page is no YAML, which is a mistake.
    for (command, arguments) in [
        ("migrate", path(tutorial)),
        ("check", path(PAGE)),
        ("bootstrap", path(bootstrap)),
        ("stats-tags", PathBuf::new()),
    ] {
        let document = remixer(&format!("{command} --output json {}", arguments.display()));
        let (mut found, section) = (Vec::new(), section(command));
        fields(&serde_json::from_str(&document).unwrap(), &["metadata", "data"], &mut found);
        assert!(found.len() > 1, "{command}");
        for name in found {
            assert!(section.contains(&format!("`{name}`")), "{command}: {name}");
        }
    }
}
