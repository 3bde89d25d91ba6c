//! No request fails while filters come, go and change, or the control plane restarts.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use local_cluster::Pod;
use local_mesh::wait_until;

use crate::scene::{
    attach_filters, config, detach_filters, directory, kubernetes, listeners, mesh, pod, restart, restored, Applied,
    WAIT,
};

/// Sends requests from the client of `shop` until something is done.
fn under_load(act: impl FnOnce()) {
    under_load_of(&pod("shop", "client"), act);
}

/// Sends requests from a client to `web` until something is done; every one must be answered with 200.
pub fn under_load_of<T>(client: &Pod, act: impl FnOnce() -> T) -> T {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut requests: Vec<u64> = Vec::new();
            while !is_done.load(Ordering::Relaxed) {
                let ends = client.exec("app", &["pod-app", "load", "http://web/", "2"]).unwrap();
                let (count, status) = ends.trim().split_once(' ').unwrap();
                assert_eq!(status, "200", "{ends}");
                requests.push(count.parse().unwrap());
            }
            requests.iter().sum::<u64>()
        });
        thread::sleep(Duration::from_secs(1));
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        is_done.store(true, Ordering::Relaxed);
        println!("{} requests", load.join().unwrap());
        acted.unwrap()
    })
}

fn kubectl(arguments: &[&str]) {
    mesh().kubectl(arguments).unwrap();
}

/// Waits until both proxies have filters whose names contain a text, or neither has.
fn until(has: bool, name: &str) {
    let pods = ["client", "web"].map(|app| pod("shop", app));
    wait_until(WAIT, || pods.iter().all(|pod| listeners(pod).contains(name) == has)).unwrap();
}

/// Waits until both proxies have a text in what they are configured with.
fn until_configured(text: &str) {
    let pods = ["client", "web"].map(|app| pod("shop", app));
    wait_until(WAIT, || pods.iter().all(|pod| config(pod).contains(text))).unwrap();
}

/// What `.` attaches is attached again at the end, whatever came between.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        restored(attach_filters());
    }
}

#[test]
fn filters_come_change_and_go_under_load() {
    mesh();
    let log = kubernetes("filters/access-log.yaml");
    let text = fs::read_to_string(&log).unwrap();
    let changed = text.replace("\"disable_host_header_fallback\": true", "\"max_value\": 777");
    assert_ne!(changed, text);
    under_load(|| {
        let _restore = Restore;
        let applied = Applied::file(&log);
        until(true, "remixer.access_log");
        let applied_again = Applied::yaml("access-log", &changed);
        until_configured("777");
        drop((applied, applied_again));
        until(false, "remixer.access_log");
        detach_filters();
        until(false, "remixer.telemetry");
        attach_filters().unwrap();
        until(true, "remixer.telemetry");
    });
}

#[test]
fn istiod_restarts_under_load() {
    under_load(|| {
        let name = mesh().wait_ready_one("istio-system", "app=istiod").unwrap().name().to_owned();
        kubectl(&["-n", "istio-system", "delete", "pod", &name]);
        mesh().wait_ready_one("istio-system", "app=istiod").unwrap();
        // Proxies are connected to it once they have something new.
        let applied = Applied::file(&kubernetes("filters/access-log.yaml"));
        until(true, "remixer.access_log");
        drop(applied);
        until(false, "remixer.access_log");
    });
}

/// As `kubernetes/README.md` upgrades: the ConfigMap, then the workloads.
#[test]
fn the_module_is_renewed_and_pods_are_replaced_under_load() {
    const NEXT: &[u8] = b"\0\x05\x04next"; // a section that says nothing
    let next = directory().join("next");
    for (name, content) in release::files::read_all(&directory().join("release/kubernetes"), "").unwrap() {
        let content = if name == "modules/remixer.wasm" { [&content, NEXT].concat() } else { content };
        release::files::put(&next.join(name), &content).unwrap();
    }
    let renew = |directory: &str| kubectl(&["apply", "--server-side", "-k", directory, "-n", "shop"]);
    under_load(|| {
        renew(&next.join("modules").display().to_string());
        let tail = || {
            let command = ["tail", "-c", "4", "/var/local/remixer/remixer.wasm"];
            pod("shop", "web").exec("istio-proxy", &command).unwrap_or_default()
        };
        wait_until(WAIT, || tail() == "next").unwrap();
        restart("web-v1");
        until(true, "remixer.telemetry");
    });
    renew(&kubernetes("modules"));
}
