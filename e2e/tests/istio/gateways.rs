//! Gateways: one that is injected, and one that Istio makes of a Gateway resource, whose proxies fetch the module.

use local_mesh::wait_until;

use crate::expected::{call, end, http, of_both, received, request, NOBODY, WEB};
use crate::filters::{copies, with_rules, FAULTS, MIRROR};
use crate::scene::{
    app, config, kubernetes, listeners, mesh, pod, reported, with, Applied, Instead, Labels, Report, WAIT,
};

/// Labels of requests that an injected gateway sends.
fn of_gate(destination: &Labels, service: &str, namespace: &str) -> Labels {
    let mut labels = request(destination, service, namespace);
    labels.extend(end("source", "gate", "gate", "v4", "gate", "porter"));
    labels
}

fn ask_gate(path: &str) -> String {
    let url = format!("http://gate.gate{path}");
    call(&pod("street", "kiosk"), &["http", &url, "1", "host=anything.example", "end-user=jason"])
}

#[test]
fn an_injected_gateway_reports_as_the_source_of_its_requests() {
    let (gate, web) = (pod("gate", "gate"), pod("shop", "web"));
    wait_until(WAIT, || ask_gate("/") == "200\n").unwrap();
    let labels = of_gate(&WEB, "web", "shop");
    assert_eq!(reported(&of_both(&gate, &web, &labels, &http(1.0)), || ask_gate("/")), "200\n");
}

#[test]
fn faults_and_mirrors_are_made_at_a_gateway() {
    let (gate, web) = (pod("gate", "gate"), pod("shop", "web"));
    // A gateway's callers have no sidecars, and so no labels.
    let faults =
        FAULTS.replace(r#""sourceLabels": {"app": "client"}"#, r#""authority": {"exact": "anything.example"}"#);
    let attached = [with_rules("fault-gateway", &faults), with_rules("shadow-gateway", MIRROR)];
    let names = ["remixer-fault-gateway", "remixer-shadow-gateway"];
    wait_until(WAIT, || names.iter().all(|name| listeners(&gate).contains(name))).unwrap();
    wait_until(WAIT, || (0..4).all(|_| ask_gate("/teapot") == "418\n")).unwrap();
    let nobody = [("source_principal", "unknown"), ("response_code", "418"), ("response_flags", "FI")];
    let more = http(1.0);
    let report = Report { pod: &gate, labels: with(&of_gate(&NOBODY, "web", "shop"), &nobody), more: &more };
    reported(&[report], || ask_gate("/teapot"));
    let labels = of_gate(&WEB, "web", "shop");
    let delayed = with(&labels, &[("response_flags", "DI")]);
    let reports = [
        Report { pod: &gate, labels: delayed, more: &more },
        Report { pod: &web, labels: received(&labels), more: &more },
    ];
    assert_eq!(reported(&reports, || ask_gate("/late")), "200\n");
    let before = copies(&gate);
    assert_eq!(ask_gate("/copied"), "200\n");
    wait_until(WAIT, || copies(&gate) == before.map(|count| count + 1.0)).unwrap();
    drop(attached);
    wait_until(WAIT, || !names.iter().any(|name| listeners(&gate).contains(name))).unwrap();
    wait_until(WAIT, || (0..4).all(|_| ask_gate("/teapot") == "200\n")).unwrap();
}

#[test]
fn proxies_fetch_the_module_also_those_of_a_gateway_resource() {
    let cluster = mesh();
    let _server = Applied::directory(&kubernetes("remote/server"));
    cluster.kubectl(&["-n", "istio-system", "rollout", "status", "deployment", "remixer", "--timeout=60s"]).unwrap();
    let _attached = Instead::attach("remote");
    let _hatch = Applied::file(&app("hatch.yaml"));
    let hatch = cluster.wait_ready_one("shop", "gateway.networking.k8s.io/gateway-name=hatch").unwrap();
    let (client, web, kiosk) = (pod("shop", "client"), pod("shop", "web"), pod("street", "kiosk"));
    // The agent has put the file that it fetched in place of the address.
    for pod in [&client, &web, &hatch] {
        wait_until(WAIT, || config(pod).contains("/var/lib/istio/data/")).unwrap();
    }
    let ask = || call(&kiosk, &["http", "http://hatch-istio.shop/", "1", "host=anything.example"]);
    wait_until(WAIT, || ask() == "200\n").unwrap();
    let mut labels = request(&WEB, "web", "shop");
    labels.extend(end("source", "hatch-istio", "hatch-istio", "unknown", "shop", "hatch-istio"));
    // Its pods have no label `app`.
    let labels = with(&labels, &[("source_app", "unknown")]);
    let more = http(1.0);
    assert_eq!(reported(&of_both(&hatch, &web, &labels, &more), ask), "200\n");
    let report = Report { pod: &client, labels: request(&WEB, "web", "shop"), more: &more };
    reported(&[report], || call(&client, &["http", "http://web/", "1"]));
}
