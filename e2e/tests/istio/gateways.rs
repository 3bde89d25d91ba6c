//! Gateways: one that is injected, and one that Istio makes of a Gateway resource, whose proxies fetch the module.

use local_mesh::wait_until;

use crate::expected::{call, end, http, of_both, request, WEB};
use crate::scene::{app, config, kubernetes, mesh, pod, reported, with, Applied, Instead, Report, WAIT};

#[test]
fn an_injected_gateway_reports_as_the_source_of_its_requests() {
    let cluster = mesh();
    let namespace = "{ apiVersion: v1, kind: Namespace, metadata: { name: gate } }";
    let _namespace = Applied::yaml("gate", namespace);
    cluster.kubectl(&["apply", "--server-side", "-k", &kubernetes("modules"), "-n", "gate"]).unwrap();
    cluster.kubectl(&["apply", "--server-side", "-k", &app("gate")]).unwrap();
    let (gate, web, kiosk) = (pod("gate", "gate"), pod("shop", "web"), pod("street", "kiosk"));
    let ask = || call(&kiosk, &["http", "http://gate.gate/", "1", "host=anything.example"]);
    wait_until(WAIT, || ask() == "200\n").unwrap();
    let mut labels = request(&WEB, "web", "shop");
    labels.extend(end("source", "gate", "gate", "v4", "gate", "porter"));
    assert_eq!(reported(&of_both(&gate, &web, &labels, &http(1.0)), ask), "200\n");
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
