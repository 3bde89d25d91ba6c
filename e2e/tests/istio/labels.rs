//! Every label of every metric, at both proxies, against values that are known beforehand.

use std::time::Duration;

use local_mesh::Sample;

use crate::expected::{
    both, call, connection, end, endpoint, http, of_both, received, request, DB, KIOSK, NOBODY, STOCK, WEB,
};
use crate::scene::{mesh, pod, reported, with, Applied, Report, WAIT};

#[test]
pub fn http_requests_have_all_labels_at_both_ends() {
    let web = pod("shop", "web");
    let labels = request(&WEB, "web", "shop");
    both(&web, &labels, &http(3.0), &["http", "http://web/", "3"], "200\n200\n200\n");
    let labels = with(&labels, &[("response_code", "503")]);
    both(&web, &labels, &http(1.0), &["http", "http://web.shop.svc.cluster.local/status/503", "1"], "503\n");
}

#[test]
pub fn the_other_namespace_and_service_account_are_those_of_the_destination() {
    let labels = request(&STOCK, "stock", "depot");
    both(&pod("depot", "stock"), &labels, &http(2.0), &["http", "http://stock.depot/", "2"], "200\n200\n");
}

#[test]
pub fn grpc_calls_have_their_status_and_messages() {
    let labels = with(&request(&WEB, "web", "shop"), &[("request_protocol", "grpc"), ("grpc_response_status", "0")]);
    // Messages are counted before a call has its end.
    let mut started = labels.clone();
    let of_the_end =
        ["request_protocol", "response_code", "grpc_response_status", "response_flags", "connection_security_policy"];
    started.retain(|name, _| !of_the_end.contains(&name.as_str()));
    let at_server = with(&started, &[("reporter", "destination")]);
    let (client, web) = (pod("shop", "client"), pod("shop", "web"));
    let (calls, messages) =
        (http(1.0), [("istio_request_messages_total", 3.0), ("istio_response_messages_total", 3.0)]);
    let [at_client, at_web] = of_both(&client, &web, &labels, &calls);
    let reports = [
        at_client,
        at_web,
        Report { pod: &client, labels: started, more: &messages },
        Report { pod: &web, labels: at_server, more: &messages },
    ];
    assert_eq!(reported(&reports, || call(&client, &["grpc", "web:7070", "/shop.Web/Ask", "1", "3"])), "3\n");
    let labels = with(&labels, &[("grpc_response_status", "7")]);
    both(&pod("shop", "web"), &labels, &http(1.0), &["grpc", "web:7070", "/shop.Web/Deny", "1", "1"], "0\n");
}

#[test]
pub fn connections_have_their_bytes_and_both_peers() {
    let metrics = [
        ("istio_tcp_connections_opened_total", 1.0),
        ("istio_tcp_connections_closed_total", 1.0),
        ("istio_tcp_received_bytes_total", 33.0),
        ("istio_tcp_sent_bytes_total", 27.0),
    ];
    let labels = connection(&request(&WEB, "web", "shop"));
    both(&pod("shop", "web"), &labels, &metrics, &["tcp", "web:9090", "3"], &"rating 5\n".repeat(3));
    let labels = connection(&request(&DB, "db", "shop"));
    both(&pod("shop", "db"), &labels, &metrics, &["tcp", "db-0.db:9090", "3"], &"rating 5\n".repeat(3));
}

#[test]
pub fn a_websocket_is_a_request_that_ends_with_its_connection() {
    // It is the client that closes.
    let changes = [("response_code", "101"), ("response_flags", "DC")];
    let labels = with(&request(&WEB, "web", "shop"), &changes);
    let metrics = http(1.0);
    both(&pod("shop", "web"), &labels, &metrics, &["websocket", "web:80", "2"], "rating 5\nrating 5\n");
}

#[test]
pub fn a_pod_of_a_stateful_set_is_called_by_its_headless_service() {
    let labels = request(&DB, "db", "shop");
    both(&pod("shop", "db"), &labels, &http(1.0), &["http", "http://db-0.db:8080/", "1"], "200\n");
}

#[test]
pub fn a_job_is_a_workload_too() {
    let job = "
apiVersion: batch/v1
kind: Job
metadata: { name: batch, namespace: shop }
spec:
  template:
    metadata:
      labels: { app: batch, remixer: enabled }
      annotations:
        sidecar.istio.io/bootstrapOverride: remixer-bootstrap
        sidecar.istio.io/userVolume: '{\"remixer\": {\"configMap\": {\"name\": \"remixer\"}}}'
        sidecar.istio.io/userVolumeMount: '{\"remixer\": {\"mountPath\": \"/var/local/remixer\", \"readOnly\": true}}'
        sidecar.istio.io/statsFlushInterval: 1s
    spec:
      restartPolicy: Never
      containers:
      - { name: app, image: pod-app, command: [sh, -c, 'pod-app http http://web/ 2 && until [ -e /tmp/seen ]; do sleep 0.1; done'] }
";
    let labels = with(
        &request(&WEB, "web", "shop"),
        &end("source", "batch", "batch", "unknown", "shop", "default")
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect::<Vec<_>>(),
    );
    let (web, more) = (pod("shop", "web"), http(2.0));
    reported(&[Report { pod: &web, labels: received(&labels), more: &more }], || mesh().apply(job).unwrap());
    let batch = pod("shop", "batch");
    for (metric, count) in more {
        let only = |samples: &[Sample]| match samples {
            [sample] => (sample.labels == labels && sample.value == count).then_some(()),
            _ => None,
        };
        batch.wait_for_samples(metric, WAIT, only).unwrap();
    }
    batch.exec("app", &["touch", "/tmp/seen"]).unwrap();
    // What ran beside the work ends with it.
    local_mesh::wait_until(WAIT, || {
        let status = ["-n", "shop", "get", "job", "batch", "-o", "jsonpath={.status.succeeded}"];
        mesh().kubectl(&status).unwrap() == "1"
    })
    .unwrap();
    mesh().kubectl(&["-n", "shop", "delete", "job", "batch", "--wait"]).unwrap();
}

#[test]
pub fn a_caller_without_a_sidecar_is_unknown_and_in_plaintext() {
    let kiosk = pod("street", "kiosk");
    let mut labels = request(&WEB, "web", "shop");
    labels.extend(end("source", "unknown", "unknown", "unknown", "unknown", "unknown"));
    let labels = with(
        &labels,
        &[("reporter", "destination"), ("connection_security_policy", "none"), ("destination_principal", "unknown")],
    );
    let web = pod("shop", "web");
    let report = Report { pod: &web, labels, more: &http(1.0) };
    assert_eq!(reported(&[report], || call(&kiosk, &["http", "http://web.shop/", "1"])), "200\n");
}

#[test]
pub fn a_service_without_sidecars_is_named_by_its_service() {
    let client = pod("shop", "client");
    let labels = with(&request(&KIOSK, "kiosk", "street"), &[("source_principal", "unknown")]);
    let report = Report { pod: &client, labels, more: &http(1.0) };
    assert_eq!(reported(&[report], || call(&client, &["http", "http://kiosk.street/", "1"])), "200\n");
}

#[test]
pub fn what_an_authorization_policy_denies_is_seen_by_both() {
    let policy = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: stock, namespace: depot }
spec:
  selector: { matchLabels: { app: stock } }
  action: DENY
  rules: [{ to: [{ operation: { paths: [/denied] } }] }]
";
    let _applied = Applied::yaml("policy", policy);
    let client = pod("shop", "client");
    let denied = || call(&client, &["http", "http://stock.depot/denied", "1"]) == "403\n";
    // Connections from before may pass for a while.
    local_mesh::wait_until(WAIT, || (0..20).all(|_| denied())).unwrap();
    let labels = with(&request(&STOCK, "stock", "depot"), &[("response_code", "403")]);
    both(&pod("depot", "stock"), &labels, &http(1.0), &["http", "http://stock.depot/denied", "1"], "403\n");
}

#[test]
pub fn a_service_entry_is_the_service_of_what_is_outside() {
    let kiosk = pod("street", "kiosk").address().unwrap();
    let entry = format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: weather, namespace: shop }}
spec:
  hosts: [weather.example]
  addresses: [192.0.2.10]
  ports: [{{ name: http, number: 8080, protocol: HTTP }}]
  resolution: STATIC
  location: MESH_EXTERNAL
  endpoints: [{{ address: {kiosk} }}]
"
    );
    let _applied = Applied::yaml("entry", &entry);
    let client = pod("shop", "client");
    let ask = || call(&client, &["http", "http://192.0.2.10:8080/", "1", "host=weather.example"]);
    local_mesh::wait_until(WAIT, || ask() == "200\n").unwrap();
    let labels = with(
        &with(&request(&NOBODY, "weather", "shop"), &endpoint("weather-0", "shop")),
        &[
            ("destination_service", "weather.example"),
            ("destination_service_name", "weather.example"),
            ("source_principal", "unknown"),
        ],
    );
    assert_eq!(reported(&[Report { pod: &client, labels, more: &http(1.0) }], ask), "200\n");
}

#[test]
pub fn what_passes_through_and_what_is_blocked_have_istios_names() {
    let client = pod("shop", "client");
    let kiosk = pod("street", "kiosk").address().unwrap();
    let url = format!("http://{kiosk}:8080/");
    let names = |name| {
        with(
            &request(&NOBODY, "web", "unknown"),
            &[("destination_service", name), ("destination_service_name", name), ("source_principal", "unknown")],
        )
    };
    let host = format!("{kiosk}:8080");
    let labels = with(&names("PassthroughCluster"), &[("destination_service", &host)]);
    let report = Report { pod: &client, labels, more: &http(1.0) };
    assert_eq!(reported(&[report], || call(&client, &["http", &url, "1"])), "200\n");

    let only_registered = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: client, namespace: shop }
spec: { workloadSelector: { labels: { app: client } }, outboundTrafficPolicy: { mode: REGISTRY_ONLY } }
";
    let applied = Applied::yaml("sidecar", only_registered);
    local_mesh::wait_until(WAIT, || call(&client, &["http", &url, "1"]) == "502\n").unwrap();
    let labels = with(&names("BlackHoleCluster"), &[("destination_service", &host), ("response_code", "502")]);
    let report = Report { pod: &client, labels, more: &http(1.0) };
    assert_eq!(reported(&[report], || call(&client, &["http", &url, "1"])), "502\n");
    drop(applied);
    // The Sidecar resource has changed nothing of the labels.
    local_mesh::wait_until(WAIT, || call(&client, &["http", &url, "1"]) == "200\n").unwrap();
}

/// Expressions in the bootstrap of Istio's agent, for metrics of its own, find labels in some hosts' names. All other labels
/// are right.
#[test]
fn of_several_services_on_one_pod_the_called_one_is_the_destination() {
    each_of_several_services_is_the_destination([
        ("component", Some(("component", "shop"))),
        ("redis-cache", Some(("cache", "shop"))),
        ("price-tag", Some(("tag", "shop.svc.cluster.local"))),
    ]);
}

/// Services on the pod of `web`, each with a label that expressions find in its name.
pub fn each_of_several_services_is_the_destination(services: [(&'static str, Option<(&str, &str)>); 3]) {
    let (client, web) = (pod("shop", "client"), pod("shop", "web"));
    let service = |service: &str| {
        let ports = "ports: [{ name: http, port: 80, targetPort: 8080 }, { name: tcp, port: 9090 }]";
        let text = format!(
            "{{ apiVersion: v1, kind: Service, metadata: {{ name: {service}, namespace: shop }}, spec: {{ selector: {{ app: web }}, {ports} }} }}"
        );
        Applied::yaml(service, &text)
    };
    let _applied = services.map(|(name, _)| service(name));
    for (service, found) in services {
        let url = format!("http://{service}/");
        let ask = || client.exec("app", &["pod-app", "http", &url, "1"]);
        // Its name and its listener have to come, and each worker looks at the services of its clusters every 15 s.
        let count = || -> f64 {
            let samples = web.samples("istio_requests_total").unwrap();
            samples.iter().filter(|s| s.label("destination_service_name") == service).map(|s| s.value).sum()
        };
        local_mesh::wait_until(WAIT.saturating_mul(2), || {
            let before = count();
            let answers = (0..8).filter(|_| ask().is_ok()).count();
            answers == 8 && local_mesh::wait_until(Duration::from_secs(1), || count() - before == 8.0).is_ok()
        })
        .unwrap();
        let labels = with(&request(&WEB, service, "shop"), found.as_slice());
        both(&web, &labels, &http(1.0), &["http", &url, "1"], "200\n");
        let opened = [("istio_tcp_connections_opened_total", 1.0)];
        both(&web, &connection(&labels), &opened, &["tcp", &format!("{service}:9090"), "1"], "rating 5\n");
        // The other one is still called by its own name.
        both(&web, &request(&WEB, "web", "shop"), &http(1.0), &["http", "http://web/", "1"], "200\n");
    }
}
