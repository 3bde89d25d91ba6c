//! `mesh/`: one command attaches proxies that run, whose pods know nothing of it, and one takes all of it back.

use std::time::{Duration, Instant};

use local_cluster::Pod;
use local_mesh::wait_until;

use crate::changes::under_load_of;
use crate::expected::{call, end, http, labels, of_both, received, request};
use crate::scene::{app, kubernetes, listeners, mesh, pod, reported, restored, Instead, Labels, WAIT};

/// The longest that it may take from the command until all proxies count.
pub const ATTACHED: Duration = Duration::from_secs(60);

/// A little longer than an agent tries to fetch the module.
const TRIED: Duration = Duration::from_secs(12);

/// The workloads of `apps/bare`, until dropped.
struct Bare;

impl Bare {
    fn start() -> Self {
        let bare = Self;
        mesh().kubectl(&["create", "namespace", "bare"]).unwrap();
        mesh().kubectl(&["label", "namespace", "bare", "istio-injection=enabled"]).unwrap();
        mesh().kubectl(&["apply", "--server-side", "-k", &app("bare")]).unwrap();
        bare
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        restored(mesh().kubectl(&["delete", "namespace", "bare"]).map(drop));
    }
}

fn scale_server(replicas: usize) {
    let number = format!("--replicas={replicas}");
    mesh().kubectl(&["-n", "istio-system", "scale", "deployment", "remixer", &number]).unwrap();
    mesh().wait_ready("istio-system", "app.kubernetes.io/name=remixer", replicas).unwrap();
}

/// What is counted of a request to `web` at its caller.
fn from(source: &Labels) -> Labels {
    let web = end("destination", "web-v1", "web", "v1", "bare", "web");
    let mut labels = request(&web, "web", "bare");
    labels.extend(source.clone());
    labels
}

/// Whether requests with these labels were counted, among others.
fn counts(pod: &Pod, labels: &Labels) -> bool {
    has(pod, "istio_requests_total", labels)
}

fn has(pod: &Pod, metric: &str, labels: &Labels) -> bool {
    let has_all = |found: &Labels| labels.iter().all(|(name, value)| found.get(name) == Some(value));
    pod.samples(metric).unwrap().iter().any(|sample| sample.value >= 1.0 && has_all(&sample.labels))
}

/// Whether nothing is left of the proxy's listeners as they were before.
pub fn has_drained(pod: &Pod) -> bool {
    let gauges = ["listeners", "filter_chains"].map(|what| {
        let samples = pod.samples(&format!("envoy_listener_manager_total_{what}_draining")).unwrap();
        samples.first().unwrap_or_else(|| panic!("no gauge of {what} that drain")).value
    });
    gauges == [0.0, 0.0]
}

#[test]
fn one_command_attaches_proxies_that_run_and_one_takes_it_back() {
    let _bare = Bare::start();
    let [client, web, door] = ["client", "web", "door"].map(|app| pod("bare", app));
    let kiosk = pod("street", "kiosk");
    let ask = || call(&client, &["http", "http://web/", "1"]);
    let knock = || call(&kiosk, &["http", "http://door.bare/", "1", "host=anything.example"]);
    wait_until(WAIT, || ask() == "200\n" && knock() == "200\n").unwrap();
    mesh().kubectl(&["delete", "--ignore-not-found", "-k", &kubernetes("remote/server")]).unwrap();
    mesh().wait_ready("istio-system", "app.kubernetes.io/name=remixer", 0).unwrap();

    let of_client = from(&end("source", "client", "client", "v1", "bare", "client"));
    let of_door = from(&end("source", "door", "door", "v4", "bare", "porter"));
    let more = http(1.0);
    let attached = under_load_of(&client, || {
        let begin = Instant::now();
        let attached = Instead::attach("mesh");
        let at_web = received(&of_door);
        let both_ends = || {
            knock();
            counts(&door, &of_door) && counts(&web, &at_web) && counts(&client, &of_client)
        };
        wait_until(ATTACHED, both_ends).unwrap();
        println!("attached after {:?}", begin.elapsed());
        attached
    });
    // What goes over a connection from before is counted by proxies as they were then.
    wait_until(ATTACHED, || [&client, &web, &door].iter().all(|pod| has_drained(pod))).unwrap();
    assert_eq!(reported(&of_both(&client, &web, &of_client, &more), ask), "200\n");
    assert_eq!(reported(&of_both(&door, &web, &of_door, &more), knock), "200\n");

    assert_eq!(call(&client, &["tcp", "web:9090", "3"]), "rating 5\n".repeat(3));
    let service = ("destination_service", "web.bare.svc.cluster.local");
    let by_client = ("source_principal", "spiffe://cluster.local/ns/bare/sa/client");
    let to_web = ("destination_workload", "web-v1");
    for metric in ["istio_tcp_connections_opened_total", "istio_tcp_connections_closed_total"] {
        let source = labels(&[("reporter", "source"), ("source_workload", "client"), to_web, service]);
        let destination = labels(&[("reporter", "destination"), by_client, to_web, service]);
        wait_until(WAIT, || has(&client, metric, &source) && has(&web, metric, &destination)).unwrap();
    }

    // Without the server, pods start and answer, and are counted once it is there.
    scale_server(0);
    let rollout = |arguments: &[&str]| mesh().kubectl(&[&["-n", "bare", "rollout"], arguments].concat()).unwrap();
    rollout(&["restart", "deployment", "web-v1"]);
    rollout(&["status", "deployment", "web-v1", "--timeout=90s"]);
    let web = pod("bare", "web");
    for _ in 0..5 {
        assert_eq!(ask(), "200\n");
    }
    // istiod sends a new pod its filters once more when it is ready.
    std::thread::sleep(TRIED);
    assert_eq!(ask(), "200\n");
    assert!(listeners(&web).contains("remixer.telemetry.sidecar_inbound"));
    assert_eq!(web.samples("istio_requests_total").unwrap(), []);
    scale_server(2);
    let at_web = received(&of_client);
    wait_until(ATTACHED, || ask() == "200\n" && counts(&web, &at_web)).unwrap();
    assert_eq!(reported(&of_both(&client, &web, &of_client, &more), ask), "200\n");

    under_load_of(&client, || {
        drop(attached);
        let gone = |pod: &Pod| !listeners(pod).contains("remixer.");
        wait_until(WAIT, || [&client, &web, &door].iter().all(|pod| gone(pod))).unwrap();
    });
}
