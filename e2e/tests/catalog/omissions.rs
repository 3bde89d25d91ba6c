//! That each omission is named: something is taken out of the repository as it is, and a line must tell.

use std::sync::OnceLock;

use catalog::{Dashboards, Ends, Filter, Metric, Reference, Root, TABLE};

use super::missing;
use super::repository::Repository;

/// The repository as it is, and what it lacks.
fn as_it_is() -> &'static (Repository, Vec<String>) {
    static LOADED: OnceLock<(Repository, Vec<String>)> = OnceLock::new();
    LOADED.get_or_init(|| {
        let repository = Repository::load();
        let lines = missing(&repository);
        (repository, lines)
    })
}

/// Changes the repository, and looks for a line that begins so and was not there before.
fn expect(change: impl FnOnce(&mut Repository), line: &str) {
    let (repository, before) = as_it_is();
    let mut repository = repository.clone();
    change(&mut repository);
    let after = missing(&repository);
    let is_told = |lines: &[String]| lines.iter().any(|known| known.starts_with(line));
    assert!(!is_told(before) && is_told(&after), "{line}\n{after:#?}");
}

/// Removes a file, and with it everything in a folder of that name.
fn without(path: &'static str) -> impl FnOnce(&mut Repository) {
    move |repository| {
        let count = repository.files.len();
        repository.files.retain(|file, _| file != path && !file.starts_with(&format!("{path}/")));
        assert!(repository.files.len() < count, "there is no {path}");
    }
}

/// Removes the lines of a file that have a text.
fn without_lines(path: &'static str, text: &'static str) -> impl FnOnce(&mut Repository) {
    move |repository| {
        let content = repository.files.get_mut(path).unwrap();
        assert!(content.contains(text), "{path}: {text}");
        *content = content.lines().filter(|line| !line.contains(text)).map(|line| format!("{line}\n")).collect();
    }
}

fn replaced(path: &'static str, from: &'static str, to: &'static str) -> impl FnOnce(&mut Repository) {
    move |repository| {
        let content = repository.files.get_mut(path).unwrap();
        assert!(content.contains(from), "{path}: {from}");
        *content = content.replace(from, to);
    }
}

/// Changes the row of fault.
fn row(change: impl FnOnce(&mut Filter)) -> impl FnOnce(&mut Repository) {
    move |repository| change(repository.filters.iter_mut().find(|filter| filter.name == "fault").unwrap())
}

#[test]
fn files_that_are_left_out_are_named() {
    expect(without("filters/fault/Cargo.toml"), "filters/fault/Cargo.toml is missing: copy");
    expect(without("filters/fault/README.md"), "filters/fault/README.md is missing: write");
    expect(without("filters/fault/src/module.rs"), "filters/fault/src/module.rs is missing: ");
    expect(without("envoy/fault-inbound.yaml"), "envoy/fault-inbound.yaml is missing, which ");
    expect(without("envoy/fault-bootstrap.yaml"), "envoy/fault-bootstrap.yaml is missing, which ");
    expect(without("e2e/tests/fault"), "e2e/tests/fault.rs is missing: write it; ");
}

#[test]
fn rows_of_the_table_that_are_left_out_are_named() {
    let no_filter = |repository: &mut Repository| repository.filters.retain(|filter| filter.name != "fault");
    expect(no_filter, &format!("{TABLE}: FILTERS has no filter with the `page` \"filters/fault/README.md\": add "));
    let no_module = |repository: &mut Repository| repository.modules.retain(|module| module.package != "fault");
    expect(no_module, &format!("{TABLE}: MODULES has no row for filters/fault/Cargo.toml: add `module(\"fault\", "));

    // Lines about the row of fault, without one of its fields.
    let told = |change: fn(&mut Filter), line: &str| expect(row(change), &format!("{TABLE}: {line}"));
    let no_metrics = |fault: &mut Filter| fault.metrics = &[];
    told(no_metrics, "`fault` has no metric `fault_active`, which filters/fault/src/metrics.rs counts: add ");
    told(no_metrics, "`fault` lacks `metric(\"fault_aborts_injected_total\", &[\"rule\", \"result\"]),`");
    told(no_metrics, "no metric of `fault` has the label `rule` of envoy/fault-bootstrap.yaml: add");
    const MORE: &[Metric] = &[Metric { name: "fault_other", labels: &["other"] }];
    told(|fault| fault.metrics = MORE, "no source of `fault` names its metric `fault_other`: ");
    told(|fault| fault.metrics = MORE, "no source of `fault` names the label `other` of `fault_other`: ");
    let gauge = replaced("filters/fault/src/lib.rs", "pub mod limits;", "pub const HELD: &str = \"fault_held\";");
    expect(gauge, &format!("{TABLE}: `fault` has no metric `fault_held`, which filters/fault/src/lib.rs counts: add "));
    told(|fault| fault.envoy_filters = &[], "no filter has envoy/fault-inbound.yaml: add `EnvoyFilter::file(");
    told(|fault| fault.bootstrap = None, "no filter has envoy/fault-bootstrap.yaml: add `bootstrap: Some(");
    told(|fault| fault.bootstrap = None, "`fault` has labels and no bootstrap: add ");
    let no_roots = |fault: &mut Filter| fault.roots = &[];
    told(no_roots, "no filter has the root id \"fault\" of envoy/fault-inbound.yaml: add `Root::plain(\"fault\")`");
    told(no_roots, "no filter has \"fault\" of filters/remixer/src/filter.rs: add ");
    told(|fault| fault.places = &[], "envoy/fault-inbound.yaml attaches `fault` as HttpFilter: add it to `places`");
    told(|fault| fault.contexts = &[], "envoy/fault-inbound.yaml attaches `fault` to Inbound: add it to `contexts`");
    let not_in_remixer = |fault: &mut Filter| fault.modules = &["fault"];
    let not_in = "`fault` is not in remixer.wasm, which envoy/fault-inbound.yaml loads: ";
    told(not_in_remixer, &format!("{not_in}add it to `modules`, or load fault.wasm"));
    told(not_in_remixer, "\"fault\" of `fault` is a root id of remixer: add \"remixer\" to `modules`");
    told(|fault| fault.tests = &[], "`fault` has no end-to-end test: write one, ");
    told(|fault| fault.dashboards = Dashboards::NotShown(""), "say why no dashboard shows the metrics of `fault`");
    let told_direction = row(|fault| fault.roots = &[Root { id: "fault", ends: Ends::Told }]);
    expect(told_direction, "filters/labels/src/direction.rs: FILTERS and ");
}

/// Takes lines out of a file, and looks for a line about that file.
fn expect_of_lines(path: &'static str, text: &'static str, line: &str) {
    expect(without_lines(path, text), &format!("{path}: {line}"));
}

/// Replaces a text in a file, and looks for a line about that file.
fn expect_of_change(path: &'static str, (from, to): (&'static str, &'static str), line: &str) {
    expect(replaced(path, from, to), &format!("{path}: {line}"));
}

#[test]
fn rows_of_documents_that_are_left_out_are_named() {
    let row_of_fault = "the table of modules has no row of fault.wasm: add `| [`fault.wasm`](filters/fault) | ";
    expect_of_lines("README.md", "| [`fault.wasm`]", row_of_fault);
    expect_of_change("README.md", (" | 203 KB | ", " | 1 KB | "), "the row of fault.wasm has another size ");
    let file = "nothing leads to envoy/fault-inbound.yaml: add to the table ";
    expect_of_change("README.md", ("](envoy/fault-inbound.yaml)", "](x)"), file);
    let page = row(|fault| fault.page = "filters/rules/README.md");
    expect(page, "README.md: nothing leads to filters/rules/README.md: add ");
    expect_of_lines("CHANGELOG.md", "`fault.wasm`", "names no `fault.wasm`: add ");

    let link = ("../filters/fault/README.md#", "#");
    expect_of_change("docs/configuration.md", link, "no row of \"Every field\" leads to filters/fault/README.md: add ");
    let counter = "no row has `fault_overflow_total`: add ";
    expect_of_change("docs/operations.md", ("`fault_overflow_total`", ""), counter);
    let log = "nothing says what `fault: without a timer, nothing is delayed` means, ";
    expect_of_change("docs/operations.md", ("without a timer, nothing is delayed", ""), log);

    let metric = "no row under \"## Metrics\" has `fault_active` ";
    expect_of_lines("filters/fault/README.md", "| `fault_active`", metric);
    expect_of_lines("filters/remixer/README.md", "| `fault` |", "no row has the root id \"fault\": add ");
}

#[test]
fn what_is_left_out_of_envoy_filters_and_tests_is_named() {
    expect_of_lines("envoy/fault-bootstrap.yaml", "(result=", "nothing takes the label `result` out ");
    let root_id = "no plugin has a root id of `fault`: add `root_id: fault`";
    expect_of_lines("envoy/fault-inbound.yaml", "root_id:", root_id);
    let alike = "`code` and Istio's label `response_code` end alike, ";
    expect_of_change("envoy/shadow-bootstrap.yaml", ("tag_name: role", "tag_name: code"), alike);
    let elsewhere = replaced("envoy/shadow-gateway.yaml", "GATEWAY", "SIDECAR_INBOUND");
    expect(elsewhere, "envoy/: no file attaches `shadow` to Gateway, ");
    for (name, file) in [("shadow-gateway", "shadow-gateway.yaml"), ("shadow.yaml", "shadow.yaml")] {
        let in_no_test = |repository: &mut Repository| {
            let tests = repository.files.iter_mut().filter(|(path, _)| path.starts_with("e2e/tests/"));
            tests.for_each(|(_, code)| *code = code.replace(&format!("\"{name}"), "\"x"));
        };
        expect(in_no_test, &format!("e2e/tests/shadow/main.rs: no test attaches envoy/{file} "));
    }

    let table = "add `[package.metadata.module]` ";
    expect_of_lines("filters/fault/Cargo.toml", "[package.metadata.module]", table);
    expect_of_lines("Dockerfile", "/src/dist/*.wasm", "stage mesh lacks modules: add ");
    let no_panel = |repository: &mut Repository| repository.queries.clear();
    expect(no_panel, "dashboards/: no panel shows `fault_active` of `fault`: add one, or ");
}

#[test]
fn what_a_filter_with_a_reference_of_its_own_leaves_out_is_named() {
    const PAGE: &str = "filters/fault/README.md";
    let own = || row(|fault| fault.reference = Reference::OwnPage);
    let test = format!("filters/fault/src/config.rs: no test compares the fields with {PAGE}: add one ");
    expect(own(), &test);
    expect(own(), &format!("{PAGE}: nothing says what `fault: without a timer, nothing is delayed` means, "));
    let change = |repository: &mut Repository| {
        own()(repository);
        replaced(PAGE, "## Configuration", "## Other")(repository);
    };
    expect(change, &format!("{PAGE}: has no `## Configuration`: add it"));
}
