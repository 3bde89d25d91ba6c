//! The tables in the documentation match the code.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use access_log::config::LogConfig;
use access_log::{fields as log_fields, mixer};
use configuration::ConfigError;
use fault::config::FaultConfig;
use fault::injector;
use metadata_exchange::config::ExchangeConfig;
use shadow::config::ShadowConfig;
use shadow::mirroring;
use stats::config::StatsConfig;
use stats::metrics;

const README: &str = include_str!("../../README.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
const STATS: &str = include_str!("../../filters/stats/README.md");
const TELEMETRY: &str = include_str!("../../filters/remixer/README.md");
const EXCHANGE: &str = include_str!("../../filters/metadata-exchange/README.md");
const FAULT: &str = include_str!("../../filters/fault/README.md");
const SHADOW: &str = include_str!("../../filters/shadow/README.md");
const LOG: &str = include_str!("../../filters/access-log/README.md");

/// The first text in backquotes in each row of the table under `heading`.
fn first_column<'a>(document: &'a str, heading: &str) -> Vec<&'a str> {
    let (_, section) = document.split_once(&format!("{heading}\n")).expect(heading);
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect()
}

/// All texts in backquotes in the first cells of the table under `heading`.
fn first_cells<'a>(document: &'a str, heading: &str) -> Vec<&'a str> {
    let (_, section) = document.split_once(&format!("{heading}\n")).expect(heading);
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = rows.filter(|row| row.starts_with("| `")).filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// The known fields in the error for an unknown field.
fn fields(error: &str) -> Vec<String> {
    let (_, known) = error.split_once("known are ").unwrap();
    known.split(';').next().unwrap().split(", ").map(str::to_owned).collect()
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

#[test]
fn the_readme_has_every_label_in_order() {
    assert_eq!(first_column(README, "### Labels, and where their values come from"), labels::names());
}

#[test]
fn the_readme_has_every_metric() {
    let documented = first_column(README, "## Metrics");
    for metric in metrics::standard_names() {
        assert!(documented.contains(&format!("istio_{metric}").as_str()), "istio_{metric}");
    }
    for counter in metadata_exchange::counters::NAMES {
        assert!(documented.contains(&counter.replace('.', "_").as_str()), "{counter}");
    }
    assert!(documented.contains(&stats::metrics::OVERFLOW_METRIC));
}

/// The error for a configuration.
fn refused<T>(parsed: Result<T, ConfigError>) -> String {
    parsed.map(drop).unwrap_err().to_string()
}

/// Each kind of object in a configuration: the filter, the path, the place of its table, and the known fields in the error
/// for an unknown field.
fn objects() -> Vec<(&'static str, &'static str, &'static str, &'static str, Vec<String>)> {
    let telemetry = |json: &str| refused(remixer::config::TelemetryConfig::parse(json.as_bytes()));
    let exchange = |json: &str| refused(ExchangeConfig::parse(json.as_bytes()));
    let stats = |json: &str| refused(StatsConfig::parse(json.as_bytes()));
    let log = |json: &str| refused(LogConfig::parse(json.as_bytes()));
    let abort = r#""abort": {"reset": true, "percentage": {"value": 1}}"#;
    let fault = |json: &str| refused(FaultConfig::parse(json.replace("ABORT", abort).as_bytes()));
    let shadow = |json: &str| refused(ShadowConfig::parse(json.as_bytes()));
    let delay_table = "| field of `delay` | value | default | |";
    let abort_table = "| field of `abort` | value | default | |";
    let unknown = r#"{"x": 1}"#;
    let objects = [
        ("telemetry", "top level", TELEMETRY, "## Configuration of telemetry", telemetry(unknown)),
        ("metadata exchange", "top level", EXCHANGE, "## Configuration", exchange(unknown)),
        ("stats", "top level", STATS, "## Configuration", stats(unknown)),
        ("stats", "`metrics[]`", STATS, "### Changes", stats(r#"{"metrics": [{"x": 1}]}"#)),
        ("stats", "`definitions[]`", STATS, "### Definitions", stats(r#"{"definitions": [{"x": 1}]}"#)),
        ("stats", "`attributes[]`", STATS, "### Attributes", stats(r#"{"attributes": [{"x": 1}]}"#)),
        ("access log", "top level", LOG, "## Configuration", log(unknown)),
        ("access log", "`fields[]`", LOG, "### Added fields", log(r#"{"fields": [{"x": 1}]}"#)),
        ("access log", "`policy`", LOG, "### Policy", log(r#"{"policy": {"x": 1}}"#)),
        ("fault", "top level", FAULT, "## Configuration", fault(unknown)),
        ("fault", "`http[]`", FAULT, "### Rules", fault(r#"{"http": [{"x": 1, "fault": {ABORT}}]}"#)),
        (
            "fault, shadow",
            "`http[].match[]`",
            FAULT,
            "### Matches",
            fault(r#"{"http": [{"match": [{"x": 1}], "fault": {ABORT}}]}"#),
        ),
        ("fault", "`http[].fault.delay`", FAULT, delay_table, fault(r#"{"http": [{"fault": {"delay": {"x": 1}}}]}"#)),
        ("fault", "`http[].fault.abort`", FAULT, abort_table, fault(r#"{"http": [{"fault": {"abort": {"x": 1}}}]}"#)),
        ("shadow", "top level", SHADOW, "## Configuration", shadow(unknown)),
        ("shadow", "`http[]`", SHADOW, "### Rules", shadow(r#"{"http": [{"x": 1}]}"#)),
        ("shadow", "`http[].mirrors[]`", SHADOW, "### Mirrors", shadow(r#"{"http": [{"mirrors": [{"x": 1}]}]}"#)),
        (
            "shadow",
            "`http[].mirrors[].compare`",
            SHADOW,
            "### Comparison",
            shadow(r#"{"http": [{"mirrors": [{"compare": {"x": 1}}]}]}"#),
        ),
        ("shadow", "`limits`", SHADOW, "### Limits", shadow(r#"{"limits": {"x": 1}}"#)),
    ];
    objects.map(|(plugin, object, document, heading, error)| (plugin, object, document, heading, fields(&error))).into()
}

#[test]
fn the_configuration_tables_have_every_field() {
    for (plugin, object, document, heading, fields) in objects() {
        assert_eq!(sorted(first_cells(document, heading)), fields, "{plugin}, {object}");
    }
}

#[test]
fn the_page_of_all_configuration_has_every_field() {
    let (_, page) = CONFIGURATION.split_once("## Every field\n").unwrap();
    let rows: Vec<Vec<&str>> =
        page.lines().filter(|line| line.starts_with("| ")).map(|line| line.split(" | ").collect()).collect();
    let objects = objects();
    assert_eq!(rows.len(), objects.len() + 1, "with the head");
    for (row, (plugin, object, document, _, fields)) in rows.iter().skip(1).zip(objects) {
        let (shown, link) = row[1].split_once("](").unwrap();
        assert_eq!((row[0].trim_start_matches("| "), shown.trim_start_matches('[')), (plugin, object));
        assert_eq!(sorted(row[2].split('`').skip(1).step_by(2).collect()), fields, "{plugin}, {object}");
        let anchor = link.trim_end_matches(')').split_once('#').unwrap().1.replace('-', " ");
        assert!(document.to_lowercase().contains(&format!("## {anchor}\n")), "{anchor}");
    }
}

#[test]
fn the_readme_has_the_host_calls_of_each_module() {
    for (module, calls) in [
        ("remixer", remixer::telemetry::WARM_CALLS),
        ("metadata_exchange", metadata_exchange::exchange::WARM_CALLS),
        ("stats", stats::stats::WARM_CALLS),
        ("access_log", access_log::access_log::WARM_CALLS),
    ] {
        let row = README.lines().find(|line| line.starts_with(&format!("| [`{module}.wasm`]"))).unwrap();
        let told = format!("| {} inbound, {} outbound |", calls.inbound, calls.outbound);
        assert!(row.ends_with(&told), "{row}");
    }
}

#[test]
fn examples_of_configuration_are_accepted() {
    for document in [README, STATS, TELEMETRY] {
        for block in document.split("```json\n").skip(1) {
            let json = block.split("```").next().unwrap();
            local_mesh::stats_tags::bootstrap(&[json.as_bytes()]).unwrap();
        }
    }
}

#[test]
fn the_fault_table_has_every_metric() {
    let metrics: Vec<&str> = fault::metrics::METRICS.iter().map(|(name, _)| *name).collect();
    assert_eq!(sorted(first_cells(FAULT, "### Metrics")), sorted(metrics));
}

#[test]
fn the_costs_of_faults_are_those_that_are_tested() {
    let (_, costs) = FAULT.split_once("## What a request costs that no rule is for").unwrap();
    let numbers: Vec<usize> = costs
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| rules"))
        .take(5)
        .filter_map(|row| row.split('|').nth(2)?.chars().find_map(|c| c.to_digit(10))?.try_into().ok())
        .collect();
    let calls = [
        injector::CALLS_OF_NO_RULE,
        injector::CALLS_WITHOUT_HEADER,
        injector::CALLS_OF_OTHER_VALUE,
        injector::CALLS_OF_OTHER_PATH,
        injector::MOST_HEADER_READS,
    ];
    assert_eq!(numbers, calls);
    let row = README.lines().find(|line| line.starts_with("| [`fault.wasm`]")).unwrap();
    assert!(row.ends_with(&format!("| {} to {} where no rule is for it |", calls[0], calls[2])), "{row}");
}

#[test]
fn examples_of_rules_are_accepted() {
    let examples = FAULT.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned());
    let files = std::fs::read_dir(e2e::examples::folder("faults")).unwrap();
    let files = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    for rules in examples.chain(files) {
        let config = FaultConfig::parse(rules.as_bytes()).unwrap();
        assert!(!config.is_idle() && config.warnings.is_empty(), "{rules}");
    }
}

#[test]
fn the_table_of_regular_expressions_is_true() {
    let told = |regex: &str| {
        let uri = format!(r#"{{"uri": {{"regex": "{}"}}}}"#, regex.replace('\\', r"\\"));
        let json =
            format!(r#"{{"match": [{uri}], "fault": {{"abort": {{"reset": true, "percentage": {{"value": 1}}}}}}}}"#);
        FaultConfig::parse(json.as_bytes()).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let (_, table) = FAULT.split_once("| in RE2 | write |\n|---|---|\n").unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 5);
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        for foreign in cells[1].split('`').skip(1).step_by(2) {
            assert!(told(foreign).contains("` is valid in RE2, and not here: write "), "{foreign}: {}", told(foreign));
        }
        for instead in cells[2].split('`').skip(1).step_by(2) {
            assert_eq!(told(instead), "", "{instead}");
        }
    }
}

#[test]
fn the_access_log_s_tables_have_every_field() {
    let names = |fields: &'static [log_fields::LineField]| fields.iter().map(|field| field.name).collect::<Vec<_>>();
    assert_eq!(first_column(LOG, "## Fields"), names(&log_fields::DEFAULT));
    assert_eq!(first_column(LOG, "These can be named, too:"), names(&log_fields::OTHER));
    let mut variables = names(&mixer::REQUEST);
    variables.extend(names(&mixer::CONNECTION).into_iter().filter(|name| !names(&mixer::REQUEST).contains(name)));
    assert_eq!(first_column(LOG, "## Mixer"), variables);
    for operator in access_log::text_format::names() {
        assert!(LOG.contains(&format!("`%{operator}%`")), "{operator}");
    }
}

#[test]
fn the_shadow_tables_have_every_metric_and_value() {
    let metrics: Vec<&str> = shadow::metrics::METRICS.iter().map(|(name, _)| *name).collect();
    assert_eq!(sorted(first_cells(SHADOW, "## Metrics")), sorted(metrics));
    let (_, metrics) = SHADOW.split_once("## Metrics").unwrap();
    let skips = shadow::metrics::Skip::ALL.iter().map(|skip| skip.name());
    let verdicts = shadow::comparison::Verdict::ALL.iter().map(|verdict| verdict.name());
    for value in skips.chain(verdicts) {
        assert!(metrics.contains(&format!("`{value}`")), "{value}");
    }
}

#[test]
fn the_shadow_readme_has_every_beginning_that_a_marker_must_not_have() {
    let (_, rest) = SHADOW.split_once("would be mirrored:\n").unwrap();
    let list = rest.split("\n\n").next().unwrap();
    let beginnings: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(beginnings, shadow::config::KNOWN);
}

#[test]
fn examples_of_the_access_log_s_configuration_are_accepted() {
    for block in LOG.split("```json\n").skip(1) {
        let json = block.split("```").next().unwrap();
        LogConfig::parse(json.as_bytes()).unwrap();
    }
}

#[test]
fn the_costs_of_shadows_are_those_that_are_tested() {
    let (_, costs) = SHADOW.split_once("## What a request costs").unwrap();
    let numbers: Vec<usize> = costs
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| rules"))
        .filter_map(|row| row.split('|').nth(2)?.split([' ', ',']).find_map(|word| word.parse().ok()))
        .collect();
    let calls = [
        mirroring::CALLS_OF_NO_RULE,
        mirroring::CALLS_WITHOUT_HEADER,
        mirroring::CALLS_OF_OTHER_VALUE,
        mirroring::CALLS_OF_OTHER_PATH,
        mirroring::CALLS_OF_MIRRORED,
    ];
    assert_eq!(numbers, calls);
    let row = README.lines().find(|line| line.starts_with("| [`shadow.wasm`]")).unwrap();
    assert!(row.ends_with(&format!("| {} to {} where no rule is for it |", calls[0], calls[2])), "{row}");
}

#[test]
fn examples_of_mirrors_are_accepted() {
    let examples = SHADOW.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned());
    let files = std::fs::read_dir(e2e::examples::folder("shadows")).unwrap();
    let files = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    for rules in examples.chain(files) {
        let config = ShadowConfig::parse(rules.as_bytes()).unwrap();
        assert!(!config.is_idle(), "{rules}");
    }
}
