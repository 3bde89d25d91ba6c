//! The modules in Envoy: the bootstrap settings that they need, the supported versions of Envoy, and the effect of crashes
//! and invalid configurations on traffic.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::panic)]

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use e2e::wait::WAIT;
use local_mesh::application::ask;
use local_mesh::{tools, Mesh, Options, PluginConfig, Request, Sample, Topology, Update};
use serde_json::{json, Value};
use series::metric_name::{self, Separators};

const PAIR: &str = "
name: pair
workloads:
  - { name: client, app: client, address: 127.1.0.1, calls: [server] }
  - { name: server, app: server, address: 127.1.0.2 }
services:
  - { name: server, port: 9080, protocol: http }
";

/// The server is outside the mesh, so that there is only one proxy.
const ONE_PROXY: &str = "
name: one
workloads:
  - { name: client, app: client, address: 127.1.0.1, calls: [server] }
  - { name: server, app: server, address: 127.1.0.2, sidecar: false }
services:
  - { name: server, port: 9080, protocol: http }
";

/// One of our files.
fn file(name: &str) -> String {
    fs::read_to_string(tools::filters().join(name)).unwrap()
}

fn start(topology: &str, options: Options) -> anyhow::Result<Mesh> {
    Mesh::start(Topology::parse(topology).unwrap(), options)
}

fn attached() -> Options {
    Options { filters: vec![tools::filters()], ..Options::default() }
}

/// Each filter alone.
fn separately() -> Options {
    let files =
        ["stats-bootstrap.yaml", "separate/stats.yaml", "separate/metadata-exchange.yaml", "separate/access-log.yaml"];
    Options { filters: files.map(|file| tools::filters().join(file)).to_vec(), ..Options::default() }
}

/// Faults on the way out.
fn with_faults() -> Options {
    let files = ["stats-bootstrap.yaml", "fault-bootstrap.yaml", "fault-outbound.yaml"];
    Options { filters: files.map(|file| tools::filters().join(file)).to_vec(), ..Options::default() }
}

/// Stats as an access logger.
fn with_logger() -> Options {
    let files = ["stats-bootstrap.yaml", "separate/stats-logger.yaml", "separate/metadata-exchange.yaml"];
    Options { filters: files.map(|file| tools::filters().join(file)).to_vec(), ..Options::default() }
}

fn configured(plugin: &str, configuration: &str) -> Vec<PluginConfig> {
    vec![PluginConfig { workload: None, plugin: plugin.to_owned(), configuration: configuration.to_owned() }]
}

/// A request from the client's application.
fn get(mesh: &Mesh, path: &str) -> Request {
    Request::get(mesh.sidecar("client").unwrap().outbound(), path).host("server:9080")
}

fn send(mesh: &Mesh) {
    assert_eq!(mesh.client().send(&get(mesh, "/status/200")).unwrap().status, 200);
}

/// Waits until a workload has one series, with this count and these labels.
fn expect_series(mesh: &Mesh, workload: &str, count: u64, labels: &[(&str, &str)]) {
    let found = |samples: &[Sample]| {
        let series: Vec<_> = samples.iter().filter(|s| s.name == "istio_requests_total").cloned().collect();
        (series.iter().map(|s| s.value).sum::<f64>() >= count as f64).then_some(series)
    };
    let series = mesh.sidecar(workload).unwrap().wait_for_stats("istio_requests_total", WAIT, found).unwrap();
    let [only] = &series[..] else { panic!("{workload}: {series:?}") };
    assert!(only.value == count as f64 && only.has(labels), "{workload}: {only:?}");
}

/// One request is counted once on each side, with the labels of both sides.
fn expect_telemetry(mesh: &Mesh) {
    send(mesh);
    for (workload, reporter) in [("client", "source"), ("server", "destination")] {
        let labels = [("reporter", reporter), ("source_workload", "client"), ("destination_workload", "server")];
        expect_series(mesh, workload, 1, &labels);
    }
}

#[test]
fn the_bootstrap_takes_out_the_labels_that_stats_writes() {
    let document: Value = serde_saphyr::from_str(&file("stats-bootstrap.yaml")).unwrap();
    let config = document.pointer("/spec/configPatches/0/patch/value/stats_config").unwrap();
    let of_label = |label| (label, metric_name::tag_regex(label, &Separators::default()));
    let tags: Vec<Value> = labels::names()
        .map(of_label)
        .into_iter()
        .chain(metric_name::build_tag_regexes())
        .map(|(name, regex)| json!({"tag_name": name, "regex": regex}))
        .collect();
    assert_eq!(config["stats_tags"], Value::Array(tags));
}

#[test]
fn the_bootstraps_take_out_the_labels_of_the_fault_and_shadow_metrics() {
    for (name, metrics) in [("fault", &fault::metrics::METRICS[..]), ("shadow", &shadow::metrics::METRICS)] {
        let document: Value = serde_saphyr::from_str(&file(&format!("{name}-bootstrap.yaml"))).unwrap();
        let config = document.pointer("/spec/configPatches/0/patch/value/stats_config").unwrap();
        let mut labels: Vec<&str> = Vec::new();
        for label in metrics.iter().flat_map(|(_, labels)| labels.iter().copied()) {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        let tag = |label| json!({"tag_name": label, "regex": metric_name::tag_regex(label, &Separators::default())});
        assert_eq!(config["stats_tags"], labels.into_iter().map(tag).collect::<Value>(), "{name}");
    }
}

#[test]
fn telemetry_works_in_each_envoy_that_setup_gets_together_and_by_each_filter() {
    for version in tools::ENVOY_VERSIONS {
        for options in [attached(), separately(), with_logger()] {
            let mesh = start(PAIR, Options { envoy_version: Some(version.to_owned()), ..options }).unwrap();
            let running = mesh.sidecar("client").unwrap().admin("/server_info").unwrap();
            assert!(running.contains(&format!("/{version}/")), "{running}");
            expect_telemetry(&mesh);
        }
    }
}

#[test]
fn direction_and_reporter_follow_from_the_listener_under_any_root_id_or_none() {
    for root_id in [Some("something_else"), None] {
        let filters =
            ["separate/stats.yaml", "separate/metadata-exchange.yaml"].map(|name| with_root_id(&file(name), root_id));
        let bootstrap = tools::filters().join("stats-bootstrap.yaml");
        let options = Options { filters: vec![bootstrap], patches: filters.to_vec(), ..Options::default() };
        let mesh = start(PAIR, options).unwrap();
        expect_telemetry(&mesh);
    }
}

/// An EnvoyFilter with another root id, or none, for all its filters.
fn with_root_id(yaml: &str, root_id: Option<&str>) -> String {
    assert!(yaml.contains("root_id: "));
    let lines = yaml.lines().filter_map(|line| match (line.split_once("root_id: "), root_id) {
        (Some((indent, _)), Some(id)) => Some(format!("{indent}root_id: {id}\n")),
        (Some(_), None) => None,
        (None, _) => Some(format!("{line}\n")),
    });
    lines.collect()
}

/// A module that works until the sixth request or data chunk from a client, and then traps.
const CRASHING: &str = r#"
(module
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "_initialize"))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func $count (param i32 i32 i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.eq (global.get $calls) (i32.const 6)) (then unreachable))
    (i32.const 0))
  (export "proxy_on_request_headers" (func $count))
  (export "proxy_on_downstream_data" (func $count))
  (func (export "proxy_on_delete") (param i32)))
"#;

/// The answers to five requests in progress, to the one that makes the module trap, and to a later one. The crashing module
/// replaces ours.
fn statuses_around_a_crash(filter: &str, change: impl Fn(String) -> String) -> Vec<u16> {
    let mesh = with_crashing_module(ONE_PROXY, filter, change);
    let outside = mesh.application("server").unwrap();
    let statuses = std::thread::scope(|scope| {
        let under_way = scope.spawn(|| mesh.client().send_together(&vec![get(&mesh, "/delay/1000"); 5]));
        local_mesh::wait_until(WAIT, || outside.served() == 5).unwrap();
        let crash = mesh.client().send(&get(&mesh, "/status/200"));
        let mut answers = under_way.join().unwrap();
        answers.extend([crash, mesh.client().send(&get(&mesh, "/status/200"))]);
        answers.into_iter().map(|answer| answer.unwrap().status).collect()
    });
    expect_crash(&mesh);
    statuses
}

/// A mesh with one of our files, changed, with the crashing module instead of ours.
fn with_crashing_module(topology: &str, filter: &str, change: impl Fn(String) -> String) -> Mesh {
    let module = Module::write(CRASHING);
    let yaml = change(replace_modules(filter, &module));
    start(topology, Options { patches: vec![yaml], ..Options::default() }).unwrap()
}

fn expect_crash(mesh: &Mesh) {
    let log = mesh.sidecar("client").unwrap().log();
    assert!(log.contains("unreachable"), "the module did not crash: {log}");
}

/// A module in a file, which is removed at the end.
struct Module(PathBuf);

impl Module {
    fn write(text: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("remixer-test-{}-{number}.wasm", std::process::id()));
        fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
        Self(path)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// One of our files, with another module instead of ours.
fn replace_modules(filter: &str, module: &Module) -> String {
    let yaml = file(filter);
    let lines = yaml.lines().map(|line| match line.split_once("filename: ") {
        Some((indent, _)) => format!("{indent}filename: {}\n", module.0.display()),
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn requests_go_on_when_a_module_crashes() {
    for filter in
        ["telemetry.yaml", "separate/stats.yaml", "separate/metadata-exchange.yaml", "separate/access-log.yaml"]
    {
        assert_eq!(statuses_around_a_crash(filter, |yaml| yaml), [200; 7], "{filter}");
    }
}

#[test]
fn connections_go_on_when_a_module_crashes() {
    for filter in ["tcp-stats.yaml", "tcp-metadata-exchange-outbound.yaml", "tcp-access-log.yaml"] {
        let topology = ONE_PROXY.replace("9080, protocol: http", "27017, protocol: tcp");
        let mesh = with_crashing_module(&topology, filter, |yaml| yaml);
        let address = mesh.sidecar("client").unwrap().address(27017);
        let connect = || {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(WAIT)).unwrap();
            stream
        };
        let (mut open, mut crashing) = (connect(), connect());
        for _ in 0..3 {
            ask(&mut open).unwrap();
            ask(&mut crashing).unwrap();
        }
        expect_crash(&mesh);
        for mut stream in [open, crashing, connect()] {
            ask(&mut stream).unwrap();
        }
    }
}

/// The metric of the alert `VmReloaded`.
#[test]
fn a_module_that_is_loaded_again_after_a_crash_is_counted() {
    let topology = PAIR.replace("9080, protocol: http", "27017, protocol: tcp");
    let mesh = with_crashing_module(&topology, "tcp-metadata-exchange-inbound.yaml", |yaml| yaml);
    let ask_once = || {
        let mut stream = TcpStream::connect(mesh.sidecar("client").unwrap().address(27017))?;
        stream.set_read_timeout(Some(WAIT))?;
        ask(&mut stream)
    };
    let reloads = || {
        let samples = mesh.sidecar("server").unwrap().metric("envoy_wasm_vm_reload_success").unwrap();
        samples.iter().map(|sample| sample.value).sum::<f64>()
    };
    assert_eq!(reloads(), 0.0);
    local_mesh::wait_until(WAIT, || ask_once().is_err()).unwrap();
    local_mesh::wait_until(WAIT, || ask_once().is_ok()).unwrap();
    assert_eq!(reloads(), 1.0);
}

/// The reason why our files use the deprecated `fail_open` and not this.
#[test]
fn with_failure_policy_fail_open_a_crash_fails_the_requests_under_way() {
    let statuses = statuses_around_a_crash("separate/stats.yaml", |yaml| {
        let other = yaml.replace("fail_open: true", "failure_policy: FAIL_OPEN");
        assert_ne!(other, yaml);
        other
    });
    assert_eq!(statuses, [503, 503, 503, 503, 503, 503, 200]);
}

/// Configurations with errors in all fields, by root id, and the message for each field.
const BAD: [(&str, &str, &[&str]); 6] = [
    (
        "stats_outbound",
        r#"{"disable_host_header_fallback": 1, "max_series": 7, "tcp_reporting_duration": "soon", "max_serie": 3}"#,
        &[
            "4 problems",
            "disable_host_header_fallback: 1 is not allowed, must be true or false",
            "max_series: 7 is not allowed, must be a whole number from 100 to 100000",
            "tcp_reporting_duration: \"soon\" is not allowed, must be a duration such as \"15s\" or \"500ms\", from 100ms to 3600s",
            "max_serie: unknown field (value 3), known are ",
        ],
    ),
    ("stats_outbound", r#"{"max_series": 100"#, &["1 problem: not valid JSON: EOF while parsing an object at line 1 column 18"]),
    (
        "metadata_exchange_outbound",
        r#"{"max_peer_cache_size": -1, "additional_labels": "role", "max_peers": 1}"#,
        &[
            "3 problems",
            "max_peer_cache_size: -1 is not allowed, must be a whole number from 0 to 10000",
            "additional_labels: \"role\" is not allowed, must be a list of at most 32 texts, none empty",
            "max_peers: unknown field (value 1), known are ",
        ],
    ),
    ("metadata_exchange_outbound", "[]", &["1 problem: [] is not allowed, must be a JSON object"]),
    (
        "telemetry_outbound",
        r#"{"share_peers": "maybe", "stats": {"max_series": 7}, "metadata_exchange": 1, "logs": {}}"#,
        &[
            "4 problems",
            "share_peers: \"maybe\" is not allowed, must be true or false",
            "stats.max_series: 7 is not allowed, must be a whole number from 100 to 100000",
            "metadata_exchange: 1 is not allowed, must be an object",
            "logs: unknown field (value {}), known are access_log, metadata_exchange, share_peers, stats",
        ],
    ),
    (
        "access_log_outbound",
        r#"{"preset": "ENVOY", "policy": {"log": "PERCENTAGE"}, "fields": [{"name": "a", "value": "nosuch(1)"}], "only_field": []}"#,
        &[
            "4 problems",
            "preset: \"ENVOY\" is not allowed, must be \"ISTIO\" or \"MIXER\"",
            "policy.percentage: missing",
            "fields[0].value: \"nosuch(1)\" is not an expression that Envoy can evaluate",
            "only_field: unknown field (value []), known are ",
        ],
    ),
];

/// The files for this plugin.
fn with_plugin(plugin: &str) -> Options {
    if plugin.starts_with("telemetry") {
        attached()
    } else {
        separately()
    }
}

/// There is one message, with all expected parts. Each worker logs it.
fn expect_refusal(log: &str, expected: &[&str]) {
    let mut messages: Vec<&str> =
        log.lines().filter_map(|line| Some(line.split_once("configuration refused")?.1)).collect();
    messages.dedup();
    let [message] = messages[..] else { panic!("not one message: {log}") };
    for part in expected {
        assert!(message.contains(part), "not said: {part}\n{}", message);
    }
}

#[test]
fn a_proxy_that_starts_with_a_bad_configuration_runs_without_that_filter() {
    for (index, (plugin, configuration, expected)) in BAD.into_iter().enumerate() {
        let envoy_version = (index % 2 == 0).then(|| tools::OLDEST_ENVOY.to_owned());
        let plugins = configured(plugin, configuration);
        let mesh = start(ONE_PROXY, Options { plugins, envoy_version, ..with_plugin(plugin) }).unwrap();
        send(&mesh);
        let sidecar = mesh.sidecar("client").unwrap();
        expect_refusal(&sidecar.log(), expected);
        let error = format!("{:#}", sidecar.check_plugins().unwrap_err());
        assert!(error.contains(&format!("the sidecar of client refuses its configuration of {plugin}")), "{error}");
        let goes_on = if plugin.contains("access_log") { "traffic passes" } else { "the defaults hold" };
        let told = format!("no valid configuration came before, {goes_on}");
        assert!(
            sidecar.log().lines().any(|line| line.contains("[warning]") && line.contains(&told)),
            "{}",
            sidecar.log()
        );
        let gauges = sidecar.counts("remixer_configuration_refused", &["component"]).unwrap();
        assert_eq!(gauges, [(plugin.to_owned(), 1)].into());
        // It is corrected while the proxy runs.
        assert_eq!(mesh.push("client", |options| options.plugins.clear()).unwrap(), Update::Accepted);
        send(&mesh);
        let gauges = sidecar.counts("remixer_configuration_refused", &["component"]).unwrap();
        assert_eq!(gauges, [(plugin.to_owned(), 0)].into());
    }
}

#[test]
fn what_is_taken_off_is_refused_no_more_and_does_not_come_back() {
    let with = |rules: &str| configured("remixer-fault-outbound", rules);
    let abort = r#"{"fault": {"abort": {"httpStatus": 418, "percentage": {"value": 100}}}}"#;
    let mesh = start(ONE_PROXY, Options { plugins: with(abort), ..with_faults() }).unwrap();
    let status = || mesh.client().send(&get(&mesh, "/").header("connection", "close")).unwrap().status;
    let push = |rules: &str| mesh.push("client", |options| options.plugins = with(rules)).unwrap();
    assert_eq!(status(), 418);
    assert!(matches!(push("{"), Update::Refused(_)));
    let sidecar = mesh.sidecar("client").unwrap();
    let log = sidecar.log();
    assert!(log.contains("fault: the last valid configuration stays until this one is corrected"), "{log}");
    assert_eq!(status(), 418);
    // The plugin ends when the last of its streams has ended.
    let off = mesh.push("client", |options| (options.filters, options.plugins) = (Vec::new(), Vec::new())).unwrap();
    assert_eq!((off, status()), (Update::Accepted, 200));
    let drained =
        || sidecar.counts("remixer_configuration_refused", &["component"]).unwrap().values().all(|gauge| *gauge == 0);
    local_mesh::wait_until(WAIT, drained).unwrap();
    assert!(matches!(push("["), Update::Refused(_)));
    assert_eq!(status(), 200, "the faults that were taken off");
}

#[test]
fn rules_that_were_put_back_are_the_last_valid_ones_and_correct_a_mistake_though_old_connections_drain() {
    let with = |rules: &str| configured("remixer-fault-outbound", rules);
    let abort =
        |code: u16| format!(r#"{{"fault": {{"abort": {{"httpStatus": {code}, "percentage": {{"value": 100}}}}}}}}"#);
    for envoy in tools::ENVOY_VERSIONS {
        let options = Options { drain: 60, envoy_version: Some(envoy.to_owned()), ..with_faults() };
        let mesh = start(ONE_PROXY, Options { plugins: with(&abort(418)), ..options }).unwrap();
        let push = |rules: &str| mesh.push("client", |options| options.plugins = with(rules)).unwrap();
        // Enough of them to meet each worker.
        let all = |status: u16| {
            let one = || mesh.client().send(&get(&mesh, "/").header("connection", "close")).unwrap().status;
            local_mesh::wait_until(WAIT, || (0..20).all(|_| one() == status)).unwrap();
        };
        let refused = || mesh.sidecar("client").unwrap().refused().unwrap();
        all(418);
        assert_eq!(push(&abort(419)), Update::Accepted);
        all(419);
        assert_eq!(push(&abort(418)), Update::Accepted);
        all(418);
        assert!(matches!(push("{"), Update::Refused(_)), "{envoy}");
        all(418);
        assert_eq!(refused(), ["fault/remixer-fault-outbound"], "{envoy}");
        assert_eq!(push(&abort(418)), Update::Accepted);
        all(418);
        assert_eq!(refused(), Vec::<String>::new(), "{envoy}");
    }
}

#[test]
fn a_bad_update_is_refused_and_the_old_configuration_goes_on() {
    for options in [separately(), attached()] {
        let mesh = start(ONE_PROXY, options.clone()).unwrap();
        send(&mesh);
        let bad = BAD.into_iter().filter(|(plugin, ..)| with_plugin(plugin).filters == options.filters);
        for (count, (plugin, configuration, expected)) in (2..).zip(bad) {
            let update = mesh.push("client", |options| options.plugins = configured(plugin, configuration)).unwrap();
            let Update::Refused(log) = update else { panic!("accepted: {configuration}") };
            expect_refusal(&log, expected);
            send(&mesh);
            expect_series(&mesh, "client", count, &[("response_code", "200")]);
        }
    }
}

#[test]
fn a_good_update_takes_effect_and_no_request_is_lost() {
    let mesh = start(ONE_PROXY, separately()).unwrap();
    let mut sent = 0;
    let mut counts = |service: &str| {
        // Not a host of the mesh, so that the configuration decides whether it becomes a label.
        mesh.client().send(&get(&mesh, "/").host("example.com")).unwrap();
        sent += 1;
        let samples = mesh.sidecar("client").unwrap().metric("istio_requests_total").unwrap();
        assert_eq!(samples.iter().map(|sample| sample.value).sum::<f64>(), f64::from(sent), "{samples:?}");
        samples.iter().any(|sample| sample.has(&[("destination_service", service)]))
    };
    assert!(counts("example.com") && !counts("unknown"));
    let good = configured("stats_outbound", r#"{"disable_host_header_fallback": true}"#);
    assert_eq!(mesh.push("client", |options| options.plugins = good).unwrap(), Update::Accepted);
    local_mesh::wait_until(WAIT, || counts("unknown")).unwrap();
}

#[test]
fn the_configuration_that_came_with_istio_1_5_is_read() {
    let configuration = "{\n  \"debug\": \"false\",\n  \"stat_prefix\": \"istio\",\n}\n";
    let mesh =
        start(ONE_PROXY, Options { plugins: configured("stats_outbound", configuration), ..separately() }).unwrap();
    send(&mesh);
    expect_series(&mesh, "client", 1, &[("response_code", "200")]);
}
