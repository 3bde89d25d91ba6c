//! Our own filters report `DI` and `FI`, which no module can set in Envoy's flags. The fault module also works alone.

use std::path::PathBuf;

use local_mesh::{tools, Options};

use crate::scene::{configured, for_path, rules, wait_for, Scene, Setting, PAIR};

/// The labels of the client's and the server's metrics for each path: status, flags, and called service.
const LABELS: [&str; 5] = [
    "response_code",
    "response_flags",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
];

fn faults() -> [String; 2] {
    let abort = r#""abort": {"httpStatus": 418, ALL}"#;
    let delay = r#""delay": {"fixedDelay": "50ms", ALL}"#;
    let outbound =
        [for_path("/abort", abort), for_path("/delay", delay), for_path("/both", &format!("{delay}, {abort}"))];
    let inbound = [for_path("/in-abort", abort), for_path("/in-delay", delay)];
    [rules(&outbound), rules(&inbound)]
}

fn files(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| tools::filters().join(name).with_extension("yaml")).collect()
}

/// Sends a request of each kind, several at once, and checks the metrics.
fn expect_flags(scene: &Scene) {
    for (path, status) in [
        ("/", 200),
        ("/abort", 418),
        ("/delay", 200),
        ("/both", 418),
        ("/in-abort", 418),
        ("/in-delay", 200),
        ("/", 200),
    ] {
        assert_eq!(scene.status(&scene.get(path)), status, "{path}");
    }
    // Requests without a delay end while a delayed one waits.
    std::thread::scope(|scope| {
        let delayed = scope.spawn(|| scene.status(&scene.get("/delay")));
        for _ in 0..5 {
            assert_eq!(scene.status(&scene.get("/")), 200);
        }
        assert_eq!(delayed.join().unwrap(), 200);
    });
    let of = |status: u16, flags: &str| format!("{status} {flags} server.back.svc.cluster.local server back");
    for (workload, expected) in [
        (
            "client",
            [(of(200, "-"), 8), (of(418, "FI"), 1), (of(200, "DI"), 2), (of(418, "DI,FI"), 1), (of(418, "-"), 1)],
        ),
        (
            "server",
            [(of(200, "-"), 9), (of(418, "FI"), 1), (of(200, "DI"), 1), (of(418, "DI,FI"), 0), (of(418, "-"), 0)],
        ),
    ] {
        let expected = expected.into_iter().filter(|(_, count)| *count > 0).collect();
        wait_for(workload, &expected, || scene.counts(workload, "istio_requests_total", &LABELS));
    }
}

#[test]
fn telemetry_shows_faults_and_which_service_they_kept_from_an_answer() {
    let [outbound, inbound] = faults();
    for envoy in tools::ENVOY_VERSIONS {
        let setting = Setting {
            topology: PAIR,
            outbound: &outbound,
            inbound: &inbound,
            envoy: Some(envoy),
            ..Setting::default()
        };
        let scene = setting.start_with(|options| {
            options.filters = vec![tools::filters()];
            options.every_patch_must_match = false;
        });
        expect_flags(&scene);
    }
}

#[test]
fn modules_by_themselves_show_faults_where_stats_is_told_to_ask() {
    let [outbound, inbound] = faults();
    for (envoy, stats) in [(tools::ENVOY_VERSION, "separate/stats"), (tools::OLDEST_ENVOY, "separate/stats-logger")] {
        let asks = |options: &mut Options| {
            options.filters =
                files(&["separate/fault", "fault-bootstrap", stats, "separate/metadata-exchange", "stats-bootstrap"]);
            options.every_patch_must_match = false;
            for plugin in ["stats_outbound", "stats_inbound"] {
                options.plugins.push(configured(plugin, r#"{"fault_flags": true}"#));
            }
        };
        let setting = Setting {
            topology: PAIR,
            outbound: &outbound,
            inbound: &inbound,
            envoy: Some(envoy),
            ..Setting::default()
        };
        expect_flags(&setting.start_with(asks));
    }
}
