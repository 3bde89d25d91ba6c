//! Our dashboards and alert rules: a real Prometheus that scrapes bookinfo runs every query, and each has a result.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]

mod board;
mod scene;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use local_mesh::prometheus::Prometheus;
use local_mesh::tools;
use local_mesh::traffic::Sending;

use self::board::Query;

/// Time limit for all queries to have a result; usually ten seconds.
const WAIT: Duration = Duration::from_secs(60);

/// Values for the users' variables. Each query must have a result for one of them, because no service uses HTTP, gRPC and
/// TCP.
const CHOICES: [&[(&str, &str)]; 3] = [
    &[("service", "reviews.default.svc.cluster.local"), ("workload", "reviews-v3")],
    &[("service", "advice.default.svc.cluster.local"), ("workload", "advice-v1")],
    &[("service", "mongodb.default.svc.cluster.local"), ("workload", "mongodb-v1")],
];

/// The caller of a TCP service, for the only query that needs it.
const CALLER: &[(&str, &str)] = &[("workload", "ratings-v1"), ("service", "")];

/// All values of variables with several values, and variables that are the same in all choices.
const COMMON: [(&str, &str); 7] = [
    ("namespace", "default"),
    ("pod", ".*"),
    ("srccluster", ".*"),
    ("srcns", ".*"),
    ("srcwl", ".*"),
    ("dstwl", ".*"),
    ("dstsvc", ".*"),
];

/// Alerts for events that do not occur in the mesh: a crash, and a pod's label without the module.
const NOT_HERE: [&str; 2] = ["VmReloaded", "ModuleMissing"];

/// A rule of alerts.yaml.
struct Alert {
    name: String,
    expression: String,
}

#[test]
fn every_query_returns_data() {
    let mesh = scene::start();
    let _sending = Sending::start(&mesh, WAIT * 3).unwrap();
    let prometheus = mesh.prometheus().unwrap();
    // Rejections before the first scrape are not an increase.
    let first = r#"envoy_listener_manager_lds_update_rejected{pod=~"mongodb.*"}"#;
    local_mesh::wait_until(WAIT, || !prometheus.query(first).unwrap().is_empty()).unwrap();
    scene::refuse(&mesh);

    let runs = |text: &str| scene::has_shadow() || !text.contains("shadow_");
    let boards = board::all();
    let mut waiting: Vec<Query> =
        boards.iter().flat_map(board::Board::queries).filter(|query| runs(&query.text)).collect();
    let mut alerts: Vec<Alert> =
        alerts().into_iter().filter(|alert| runs(&alert.expression) && !NOT_HERE.contains(&&*alert.name)).collect();
    // It needs a proxy without metrics, which would have no data for the queries.
    let silent = alerts.remove(alerts.iter().position(|alert| alert.name == "ProxySilent").unwrap());
    assert!(waiting.len() > 80 && alerts.len() > 5, "{} queries, {} alerts", waiting.len(), alerts.len());

    let end = Instant::now() + WAIT;
    while !(waiting.is_empty() && alerts.is_empty()) && Instant::now() < end {
        scene::send_besides(&mesh);
        scene::overflow(&mesh);
        waiting.retain(|query| !returns(prometheus, query));
        alerts.retain(|alert| prometheus.query(&alert.expression).unwrap().is_empty());
        std::thread::sleep(Duration::from_millis(300));
    }
    let mut problems: Vec<String> = waiting.iter().map(|query| format!("{}: {}", query.name, query.text)).collect();
    problems.extend(alerts.iter().map(|alert| format!("alert {}: {}", alert.name, alert.expression)));
    assert!(problems.is_empty(), "without data:\n{}", problems.join("\n"));

    let of_details = || {
        let samples = prometheus.query(&silent.expression).unwrap();
        samples.iter().any(|sample| sample.label("destination_workload") == "details-v1")
    };
    assert!(!of_details(), "{} reports, and is called silent", "details-v1");
    scene::silence(&mesh, "details-v1");
    local_mesh::wait_until(WAIT, of_details).unwrap();
    mesh.check().unwrap();
}

#[test]
fn dashboards_keep_their_rules() {
    let boards = board::all();
    let files: Vec<&str> = boards.iter().map(|board| board.file.as_str()).collect();
    assert_eq!(files, ["mesh.json", "performance.json", "service.json", "workload.json"]);
    let problems: Vec<String> = boards.iter().flat_map(board::Board::problems).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn alert_rules_pass_their_tests() {
    for arguments in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts-test.yaml"]] {
        let output =
            Command::new(tools::promtool().unwrap()).current_dir(tools::dashboards()).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
    }
    let tests = fs::read_to_string(tools::dashboards().join("alerts-test.yaml")).unwrap();
    for alert in alerts() {
        assert!(
            tests.contains(&format!("alertname: {}\n", alert.name)),
            "{} has no test in which it fires",
            alert.name
        );
    }
}

/// Counters and log lines are compared by the test `catalog`.
#[test]
fn the_operations_page_has_every_alert() {
    let page = fs::read_to_string(tools::filters().with_file_name(catalog::OPERATIONS)).unwrap();
    let alerts = alerts().into_iter().map(|alert| alert.name);
    let missing: Vec<String> = alerts.map(|name| format!("`{name}`")).filter(|text| !page.contains(text)).collect();
    assert!(missing.is_empty(), "{} has not:\n{}", catalog::OPERATIONS, missing.join("\n"));
}

/// The alerts with windows of a few seconds, because the mesh is not older.
fn alerts() -> Vec<Alert> {
    let yaml = fs::read_to_string(tools::dashboards().join("alerts.yaml")).unwrap();
    let rules = yaml.split("- alert: ").skip(1);
    rules
        .map(|rule| {
            let (name, rest) = rule.split_once('\n').unwrap();
            let (_, expression) = rest.split_once("expr: ").unwrap();
            let end = ["\n    for: ", "\n    labels: "].iter().filter_map(|field| expression.find(field)).min();
            let expression = &expression[..end.unwrap()];
            let expression = expression.strip_prefix("|\n").unwrap_or(expression);
            let window = if name == "ProxySilent" { "[6s]" } else { "[30s]" };
            let shorter =
                ["[5m]", "[10m]", "[15m]"].iter().fold(expression.to_owned(), |text, long| text.replace(long, window));
            // In such a short time, there are fewer pairs.
            Alert { name: name.to_owned(), expression: shorter.replace("> 100", "> 0") }
        })
        .collect()
}

fn returns(prometheus: &Prometheus, query: &Query) -> bool {
    let seen_by = ["source", "destination"];
    CHOICES.iter().chain([&CALLER]).any(|choice| {
        seen_by.iter().any(|reporter| {
            let mut values: BTreeMap<&str, &str> = COMMON.into_iter().chain(choice.iter().copied()).collect();
            values.insert("reporter", reporter);
            query.has_data(&prometheus.query(&query.fill(&values)).unwrap())
        })
    })
}
