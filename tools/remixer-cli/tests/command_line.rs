//! What holds for every command: help, exit status, where output goes, and what is said of mistakes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use remixer_cli::cli;

/// The repository.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn remixer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remixer"));
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    remixer(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The words of every command, such as `mesh render`, without `help`.
fn commands() -> Vec<Vec<String>> {
    fn collect(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
        found.push(words.to_vec());
        for sub in command.get_subcommands() {
            collect(sub, &[words, &[sub.get_name().to_owned()]].concat(), found);
        }
    }
    let mut found = Vec::new();
    collect(&cli::command(), &[], &mut found);
    found
}

#[test]
fn the_tree_of_commands_is_sound() {
    cli::command().debug_assert();
    assert_eq!(commands().len(), 12);
}

#[test]
fn every_help_has_examples_that_are_accepted() {
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = run(&[words.as_slice(), &["--help"]].concat());
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
        let help = text(&output.stdout);
        let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{words:?}: no examples"));
        let examples = examples.split("\n\n").next().unwrap();
        let start = [&["remixer"], words.as_slice()].concat().join(" ");
        assert!(examples.contains(&start), "{words:?}: {examples}");
        for line in examples.lines().filter_map(|line| line.trim().strip_prefix("remixer ")) {
            let example: Vec<&str> = line.split(['|', '>', '#']).next().unwrap().split_whitespace().collect();
            let parsed = cli::command().try_get_matches_from([&["remixer"], example.as_slice()].concat());
            let is_fine = parsed.is_ok() || parsed.unwrap_err().kind() == clap::error::ErrorKind::DisplayHelp;
            assert!(is_fine, "{example:?}");
        }
    }
}

#[test]
fn mistakes_are_told_with_option_value_and_what_is_allowed() {
    for (line, told) in [
        (
            "mesh --for 20",
            "error: --for cannot be \"20\"\n  allowed: a duration of at most a day, such as 500ms or 20s\n",
        ),
        (
            "mesh --zipkin here",
            "error: --zipkin cannot be \"here\"\n  allowed: a host and a port, such as 127.0.0.1:9411\n",
        ),
        (
            "mesh --for 0s",
            "error: --for cannot be \"0s\"\n  allowed: a duration of at most a day, such as 500ms or 20s\n",
        ),
        (
            "mesh traffic here",
            "error: <HOST:PORT> cannot be \"here\"\n  allowed: a host and a port, such as 127.0.0.1:9090\n",
        ),
        (
            "graph --prometheus http://127.0.0.1:9090",
            "error: --prometheus cannot be \"http://127.0.0.1:9090\"\n  allowed: a host and a port, such as 127.0.0.1:9090\n",
        ),
        ("mesh --plain --filters x", "error: --plain cannot be used with --filters <FILE>\n"),
        ("mesh --topolgy x", "error: --topolgy is unknown\n  did you mean --topology?\n"),
        ("mesh --for", "error: --for needs a value\n"),
        ("mesh --output json", "error: --for <DURATION> is missing\n"),
        ("mesh --for 1s render --compose x", "error: render cannot be used with --for <DURATION>\n"),
        ("mesh render", "error: --compose <DIRECTORY> is missing\n"),
        ("mesh app a b", "error: \"b\" is not expected\n"),
        ("mish", "error: there is no command \"mish\"\n  did you mean mesh?\n"),
        (
            "nosuch",
            "error: there is no command \"nosuch\"\n  allowed: mesh, graph, check, bootstrap, stats-tags, stats-logger, migrate, completions\n",
        ),
        ("help mesh nosuch", "error: there is no command \"nosuch\"\n  allowed: render, app, traffic\n"),
        ("graph", "error: --prometheus <HOST:PORT> is missing\n"),
        (
            "graph --prometheus a",
            "error: --prometheus cannot be \"a\"\n  allowed: a host and a port, such as 127.0.0.1:9090\n",
        ),
        ("check", "error: no files are given\n"),
        ("bootstrap", "error: no files are given\n"),
        ("bootstrap --output yaml x", "error: --output cannot be \"yaml\"\n  allowed: text, json\n"),
        ("migrate --tcp=no x", "error: --tcp cannot be \"no\"\n  allowed: parity\n"),
        ("completions tcsh", "error: <SHELL> cannot be \"tcsh\"\n  allowed: bash, elvish, fish, powershell, zsh\n"),
    ] {
        let output = run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{line}");
        let said = text(&output.stderr);
        assert!(said.starts_with(told) && said.ends_with("\nMore: --help\n"), "{line}: {said}");
    }
    let none = run(&[]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).starts_with("error: a command is needed\n") && text(&none.stderr).contains("Commands:"));
}

#[test]
fn what_cannot_be_done_is_told_with_what_it_is_about() {
    for (line, told) in [
        ("bootstrap no/such", "no/such: cannot be read"),
        ("bootstrap envoy/telemetry.yaml", "no EnvoyFilter here is for the bootstrap: none has `applyTo: BOOTSTRAP`"),
        ("check envoy no/such", "no/such cannot be read"),
        ("stats-tags no/such", "no/such cannot be read"),
        ("stats-tags README.md", "README.md: configuration refused, 1 problem: not valid JSON"),
        ("migrate scripts", "scripts has no .yaml, .yml or .json file"),
        ("migrate --output json scripts", "scripts has no .yaml, .yml or .json file"),
        ("mesh --topology no/such", "no/such"),
        ("mesh app nobody", "there is no workload `nobody`"),
        ("mesh app ratings-v1 --check", "refused"),
        ("mesh render --compose /dev/null", "/dev/null"),
        ("graph --output json --prometheus 127.0.0.1:1", "--prometheus 127.0.0.1:1: cannot be asked"),
    ] {
        let output = run(&line.split(' ').collect::<Vec<_>>());
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{line}: {said}");
        assert!(said.starts_with("error: ") && said.contains(told), "{line}: {said}");
    }
}

#[test]
fn a_configuration_with_a_mistake_is_refused() {
    let file = std::env::temp_dir().join(format!("remixer-cli-{}.json", std::process::id()));
    fs::write(&file, r#"{"max_series": 1}"#).unwrap();
    let output = run(&["stats-tags", file.to_str().unwrap()]);
    fs::remove_file(&file).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(text(&output.stderr).contains("max_series: 1 is not allowed"), "{}", text(&output.stderr));
}

/// What `remixer check` says of standard input, with its exit status.
fn checked(arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut command = remixer(&[&["check"], arguments].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have enough before it has all.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
}

#[test]
fn resources_are_checked_with_an_exit_status() {
    let right = fs::read(root().join("envoy/fault-outbound.yaml")).unwrap();
    let summary = "1 plugin in 1 resource of 1 file, 0 other objects skipped: no mistake\n";
    assert_eq!(checked(&["-"], &right), (Some(0), summary.to_owned(), String::new()));
    let wrong = text(&right).replace("\"http\"", "\"htp\"");
    let (status, told, nothing) = checked(&["-", "envoy/fault-inbound.yaml"], wrong.as_bytes());
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((status, lines.len(), nothing.as_str()), (Some(2), 2, ""), "{told}");
    let line = wrong.lines().position(|line| line.contains("htp")).unwrap().checked_add(1).unwrap();
    assert!(lines[0].starts_with(&format!("-:{line}:31: htp: unknown field (value []), known are ")), "{told}");
    assert!(lines[0].ends_with("did you mean `http`? [EnvoyFilter/istio-system/remixer-fault-outbound, plugin fault]"));
    assert_eq!(lines[1], "2 plugins in 2 resources of 2 files, 0 other objects skipped: 1 mistake");
    let (status, document, _) = checked(&["--output", "json", "-"], wrong.as_bytes());
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!((status, &document["mistakes"][0]["line"]), (Some(2), &line.into()));
    let (status, ..) = checked(&["envoy"], b"");
    assert_eq!(status, Some(0));
}

#[test]
fn input_is_bounded() {
    let (status, nothing, told) = checked(&["-"], &vec![b'#'; (64 << 20) + 1]);
    assert_eq!((status, nothing.as_str()), (Some(1), ""));
    assert_eq!(told, "error: standard input cannot be read: it has more than 64 MiB: divide it\n");
    let (status, _, told) = checked(&["-"], b"a: \xff");
    assert_eq!(status, Some(1));
    assert!(told.starts_with("error: standard input cannot be read: "), "{told}");
}

#[test]
fn there_are_completions_for_every_command() {
    for (shell, start) in [("bash", "_remixer()"), ("zsh", "#compdef remixer"), ("fish", "# Print an optspec")] {
        let output = run(&["completions", shell]);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
        let script = text(&output.stdout);
        assert!(script.starts_with(start), "{shell}: {script:.100}");
        for command in ["mesh", "render", "check", "stats-tags", "duration-unit", "with-defaults"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn bash_takes_its_completions() {
    let script = "source <(\"$0\" completions bash) && COMP_WORDS=(remixer st) COMP_CWORD=1 && \
        _remixer remixer st remixer && echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_remixer")]).output().unwrap();
    assert_eq!(text(&output.stdout), "stats-tags stats-logger\n", "{}", text(&output.stderr));
}

#[test]
fn programs_get_json() {
    let map = json(&["bootstrap", "--output", "json", "envoy/stats-bootstrap.yaml"]);
    assert_eq!((&map["kind"], &map["metadata"]["name"]), (&"ConfigMap".into(), &"remixer-bootstrap".into()));
    let data: serde_json::Value = serde_json::from_str(map["data"]["custom_bootstrap.json"].as_str().unwrap()).unwrap();
    let tags = json(&["stats-tags", "--output", "json"]);
    assert_eq!(data["stats_config"]["stats_tags"], tags["stats_tags"]);
    assert_eq!(tags["extraStatTags"][0], "reporter");
}

#[test]
fn people_get_what_is_shipped() {
    let output = run(&["stats-tags"]);
    let shipped = fs::read_to_string(root().join("envoy/stats-bootstrap.yaml")).unwrap();
    assert!(text(&output.stdout).starts_with(&shipped));
    assert!(text(&output.stdout).contains("\n# extraStatTags: reporter,"));
    let map = run(&["bootstrap", "--name", "mine", "envoy/stats-bootstrap.yaml"]);
    assert!(text(&map.stdout).starts_with("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: mine }\n"));
}

#[test]
fn there_are_no_colours_but_at_a_terminal() {
    for line in ["--help", "mesh --for 20"] {
        let output = run(&line.split(' ').collect::<Vec<_>>());
        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{line}");
    }
}

/// Under `script`, which gives a terminal; where it is not installed, that is left out.
#[test]
fn at_a_terminal_there_are_colours_unless_they_are_not_wanted() {
    let program = env!("CARGO_BIN_EXE_remixer");
    let at_terminal = |no_color: &str| {
        let mut command = Command::new("script");
        let line = format!("{program} mesh --for 20");
        command.args(["--quiet", "--command", &line, "/dev/null"]).stdin(Stdio::null());
        command.env_remove("CLICOLOR_FORCE").env("TERM", "xterm").env("NO_COLOR", no_color);
        command.output().ok().map(|output| text(&output.stdout).to_owned())
    };
    let (Some(with), Some(without)) = (at_terminal(""), at_terminal("1")) else {
        println!("skipped: script is not installed here");
        return;
    };
    assert!(with.contains("\u{1b}[1;31merror:"), "{with}");
    assert!(without.contains("error: --for") && !without.contains('\u{1b}'), "{without}");
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_a_failure_and_no_crash() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for line in [
        "--help",
        "mesh --help",
        "--version",
        "help",
        "stats-tags",
        "stats-tags --output json",
        "stats-logger envoy/telemetry.yaml",
        "bootstrap envoy/stats-bootstrap.yaml",
        "check envoy/stats-bootstrap.yaml",
        "completions bash",
        "graph --prometheus 127.0.0.1:1 --listen 127.0.0.1:0",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let output = remixer(&words).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(!text(&output.stderr).contains("panicked"), "{line}: {}", text(&output.stderr));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = remixer(&words).stdout(writer).stderr(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}");
    }
}
