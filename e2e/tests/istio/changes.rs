//! No request fails while filters come, go and change, or the control plane restarts.

use std::thread;
use std::time::Duration;

use crate::scene::{kubernetes, mesh, pod, WAIT};

/// Sends requests from the client while something is done; every one must be answered with 200.
fn under_load(seconds: u64, act: impl FnOnce()) {
    let client = pod("shop", "client");
    let load =
        thread::spawn(move || client.exec("app", &["pod-app", "load", "http://web/", &seconds.to_string()]).unwrap());
    thread::sleep(Duration::from_secs(1));
    act();
    assert!(!load.is_finished(), "{seconds} s of load are too few");
    let ends = load.join().unwrap();
    let (count, status) = ends.trim().split_once(' ').unwrap();
    assert_eq!(status, "200", "{ends}");
    println!("{count} requests");
}

/// Whether the client's proxy has filters whose names contain a text.
fn has_filter(name: &str) -> bool {
    let pod = pod("shop", "client");
    pod.exec("istio-proxy", &["pilot-agent", "request", "GET", "config_dump"]).unwrap().contains(name)
}

fn kubectl(arguments: &[&str]) {
    mesh().kubectl(arguments).unwrap();
}

fn until(what: bool, name: &str) {
    local_mesh::wait_until(WAIT, || has_filter(name) == what).unwrap();
}

#[test]
fn filters_come_and_go_under_load() {
    let log = kubernetes("filters/access-log.yaml");
    under_load(40, || {
        kubectl(&["apply", "-f", &log]);
        until(true, "remixer.access_log");
        kubectl(&["delete", "-f", &log]);
        until(false, "remixer.access_log");
        kubectl(&["delete", "-f", &kubernetes("filters/tcp-metadata-exchange-outbound.yaml")]);
        kubectl(&["delete", "-k", &kubernetes("filters")]);
        until(false, "remixer.telemetry");
        kubectl(&["apply", "-k", &kubernetes("filters")]);
        kubectl(&["apply", "-f", &kubernetes("filters/tcp-metadata-exchange-outbound.yaml")]);
        until(true, "remixer.telemetry");
    });
}

#[test]
fn istiod_restarts_under_load() {
    under_load(25, || {
        let name = mesh().wait_ready_one("istio-system", "app=istiod").unwrap().name().to_owned();
        kubectl(&["-n", "istio-system", "delete", "pod", &name]);
        mesh().wait_ready_one("istio-system", "app=istiod").unwrap();
    });
}

#[test]
fn the_module_is_renewed_under_load() {
    under_load(30, || {
        kubectl(&["apply", "--server-side", "-k", &kubernetes("modules"), "-n", "shop"]);
        kubectl(&["-n", "shop", "rollout", "restart", "deployment", "web-v1"]);
        kubectl(&["-n", "shop", "rollout", "status", "deployment", "web-v1", "--timeout=60s"]);
    });
}
