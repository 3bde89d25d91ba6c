//! Envoy counts what the module names.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2e::pair::{connect, DATABASE};
use local_mesh::application::ask;
use local_mesh::{envoy_filter, stats_logger, tools, wait_until, Mesh, Options, Request, Sample, Topology, Update};

use crate::scene::{Setting, ENVOY_COUNTS, PAIR, WAIT};

fn send(mesh: &Mesh, path: &str) {
    let proxy = mesh.sidecar("client-v1").unwrap().outbound();
    let answer = mesh.client().send(&Request::get(proxy, path).host("server.back:9080")).unwrap();
    assert!(answer.status < 500, "{}", answer.status);
}

#[test]
fn a_request_with_the_labels_of_the_one_before_writes_one_state() {
    let options = Options {
        filters: vec![tools::filters().join("envoy-counts/telemetry.yaml")],
        log_level: "warning,wasm:trace".into(),
        concurrency: 1,
        ..Options::default()
    };
    let mesh = Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap();
    let writes = |workload: &str| {
        let log = mesh.sidecar(workload).unwrap().log();
        log.matches("vm->host] env.proxy_set_property(").count()
    };
    for workload in ["client-v1", "server-v2"] {
        // A connection that is used for the first time has no labels yet; which one is used is the client's choice.
        let fewest = |paths: [&str; 2]| {
            let [first, second] = paths;
            let written = (0..5).map(|_| {
                send(&mesh, first);
                let before = writes(workload);
                send(&mesh, second);
                writes(workload) - before
            });
            written.min().unwrap()
        };
        let (warm, other) = (fewest(["/status/200", "/status/200"]), fewest(["/status/200", "/status/404"]));
        assert_eq!((warm, other), (1, 3), "{workload}");
    }
}

#[test]
fn two_plugins_of_one_listener_count_with_labels_of_their_own() {
    let shipped = |name: &str| std::fs::read_to_string(tools::filters().join(name)).unwrap();
    let second = shipped("separate/stats.yaml");
    let configured = r#"'{"metrics": [{"dimensions": {"destination_service": "''other''"}}]}'"#;
    let second = second.replace("'{}'", configured).replace(r#"'{"disable_host_header_fallback": true}'"#, configured);
    let both = [shipped("telemetry.yaml"), second].join("---\n");
    let made = stats_logger::attached(&both).unwrap();
    let options = Options { patches: made.split("---\n").map(str::to_owned).collect(), ..Options::default() };
    let mesh = Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap();
    for path in ["/status/200", "/status/404", "/status/200"] {
        send(&mesh, path);
    }
    let host = "server.back.svc.cluster.local";
    for workload in ["client-v1", "server-v2"] {
        let counts =
            mesh.sidecar(workload).unwrap().counts("istio_requests_total", &["destination_service", "response_code"]);
        let expected = [(host, "200", 2), (host, "404", 1), ("other", "200", 2), ("other", "404", 1)];
        let expected = expected.map(|(service, code, count)| (format!("{service} {code}"), count));
        assert_eq!(counts.unwrap(), expected.into(), "{workload}");
    }
}

#[test]
fn a_connection_is_counted_once_when_it_ends() {
    let setting = Setting {
        topology: DATABASE,
        outbound: r#"{"tcp_reporting_duration": "200ms", "metrics": [{"dimensions": {"target": "cluster_name"}}]}"#,
        ..Setting::default()
    };
    let mut scene = setting.start(ENVOY_COUNTS);
    let mut stream = scene.row(
        "nothing is seen while it lives",
        |mesh| {
            let mut stream = connect(mesh, "client-v1", 27017);
            ask(&mut stream).unwrap();
            std::thread::sleep(Duration::from_millis(500));
            stream
        },
        "client-v1 istio_tcp_connections_opened_total 0
         db-v2 istio_tcp_connections_opened_total 0",
    );
    scene.row(
        "at its end all of it is",
        |_| {
            ask(&mut stream).unwrap();
            drop(stream);
        },
        r#"client-v1 istio_tcp_connections_opened_total{destination_workload="db-v2",target="outbound|27017||db.back.svc.cluster.local"} 1
           client-v1 istio_tcp_connections_closed_total{destination_workload="db-v2"} 1
           client-v1 istio_tcp_received_bytes_total{destination_workload="db-v2"} 22
           client-v1 istio_tcp_sent_bytes_total{destination_workload="db-v2"} 18
           db-v2 istio_tcp_connections_opened_total{source_workload="client-v1"} 1
           db-v2 istio_tcp_connections_closed_total{source_workload="client-v1"} 1
           db-v2 istio_tcp_received_bytes_total{source_workload="client-v1"} 22
           db-v2 istio_tcp_sent_bytes_total{source_workload="client-v1"} 18"#,
    );
}

#[test]
fn without_the_module_nothing_is_counted_and_requests_pass() {
    let patch = "{applyTo: HTTP_FILTER, match: {listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, \
                 subFilter: {name: remixer.telemetry}}}}}, patch: {operation: REMOVE}}";
    let options = Options {
        filters: vec![tools::filters().join("envoy-counts/telemetry.yaml")],
        patches: vec![envoy_filter(patch)],
        ..Options::default()
    };
    let mesh = Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap();
    send(&mesh, "/status/200");
    for workload in ["client-v1", "server-v2"] {
        let stats = mesh.sidecar(workload).unwrap().stats_text().unwrap();
        assert!(!stats.contains("istio_request"), "{workload}: {stats}");
        assert!(!mesh.sidecar(workload).unwrap().log().contains("non-number"), "{workload}");
    }
}

#[test]
fn what_is_idle_is_evicted_and_counted_anew() {
    let patch = "{applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {stats_flush_interval: 1s, stats_eviction_interval: 1s}}}";
    let options = Options {
        filters: vec![tools::filters().join("envoy-counts/telemetry.yaml")],
        patches: vec![envoy_filter(patch)],
        ..Options::default()
    };
    let mesh = Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap();
    let counted = || -> u64 {
        let samples = mesh.sidecar("client-v1").unwrap().metric("istio_requests_total").unwrap();
        samples.iter().map(|sample| sample.value as u64).sum()
    };
    for _ in 0..3 {
        send(&mesh, "/status/200");
    }
    assert_eq!(counted(), 3);
    let begin = Instant::now();
    while counted() > 0 {
        assert!(begin.elapsed() < WAIT, "not evicted");
        std::thread::sleep(Duration::from_millis(100));
    }
    send(&mesh, "/status/200");
    assert_eq!(counted(), 1);
}

#[test]
fn the_files_that_we_ship_count_connections_without_a_bootstrap() {
    let files = [
        "tcp-metadata-exchange-inbound.yaml",
        "tcp-metadata-exchange-outbound.yaml",
        "envoy-counts/telemetry.yaml",
        "envoy-counts/tcp-stats.yaml",
    ];
    let filters = files.map(|name| tools::filters().join(name)).to_vec();
    let mesh = Mesh::start(Topology::parse(DATABASE).unwrap(), Options { filters, ..Options::default() }).unwrap();
    ask(&mut connect(&mesh, "client-v1", 27017)).unwrap();
    for (workload, labels) in [
        ("client-v1", [("reporter", "source"), ("destination_workload", "db-v2"), ("request_protocol", "tcp")]),
        ("db-v2", [("reporter", "destination"), ("source_workload", "client-v1"), ("destination_service_name", "db")]),
    ] {
        let sidecar = mesh.sidecar(workload).unwrap();
        for (metric, value) in [
            ("istio_tcp_connections_opened_total", 1.0),
            ("istio_tcp_connections_closed_total", 1.0),
            ("istio_tcp_received_bytes_total", 11.0),
            ("istio_tcp_sent_bytes_total", 9.0),
        ] {
            let seen = |samples: &[Sample]| samples.iter().find(|sample| sample.name == metric).cloned();
            let sample = sidecar.wait_for_stats(metric, WAIT, seen).unwrap();
            assert_eq!(sample.value, value, "{workload} {metric}");
            for (label, value) in labels {
                assert_eq!(sample.labels.get(label).map(String::as_str), Some(value), "{workload} {metric} {label}");
            }
        }
    }
}

#[test]
fn buckets_are_those_of_the_bootstrap() {
    let bootstrap = std::fs::read_to_string(tools::filters().join("stats-bootstrap.yaml")).unwrap();
    let (head, _) = bootstrap.rsplit_once("buckets: ").unwrap();
    let options = Options {
        filters: vec![tools::filters().join("envoy-counts/telemetry.yaml")],
        patches: vec![format!("{head}buckets: [7, 77777]\n")],
        ..Options::default()
    };
    let mesh = Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap();
    send(&mesh, "/status/200");
    let sidecar = mesh.sidecar("client-v1").unwrap();
    for metric in ["istio_request_bytes", "istio_response_bytes", "istio_request_duration_milliseconds"] {
        let name = format!("{metric}_bucket");
        let bounds = |samples: &[Sample]| {
            let ours = samples.iter().filter(|sample| sample.name == name);
            let bounds: Vec<String> = ours.filter_map(|sample| sample.labels.get("le").cloned()).collect();
            (!bounds.is_empty()).then_some(bounds)
        };
        assert_eq!(sidecar.wait_for_stats(&name, WAIT, bounds).unwrap(), ["7", "77777", "+Inf"], "{metric}");
    }
}

#[test]
fn what_was_counted_goes_with_the_filters_and_begins_anew() {
    for file in ["telemetry.yaml", "envoy-counts/telemetry.yaml"] {
        let filters = ["stats-bootstrap.yaml", file].map(|name| tools::filters().join(name)).to_vec();
        let options = Options { filters: filters.clone(), ..Options::default() };
        let mesh = Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap();
        let counted = || -> u64 {
            let samples = mesh.sidecar("client-v1").unwrap().metric("istio_requests_total").unwrap();
            samples.iter().map(|sample| sample.value as u64).sum()
        };
        let push = |filters: &[PathBuf]| {
            let update = mesh.push("client-v1", |options| options.filters = filters.to_vec()).unwrap();
            assert_eq!(update, Update::Accepted, "{file}");
        };
        (0..3).for_each(|_| send(&mesh, "/status/200"));
        assert_eq!(counted(), 3, "{file}");
        push(&filters[..1]);
        // When the listeners from before have drained.
        wait_until(WAIT, || counted() == 0).unwrap();
        send(&mesh, "/status/200");
        push(&filters);
        wait_until(WAIT, || {
            send(&mesh, "/status/200");
            counted() > 0
        })
        .unwrap();
        assert_eq!(counted(), 1, "{file}");
    }
}
