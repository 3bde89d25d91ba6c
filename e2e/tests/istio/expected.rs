//! What proxies are to report, known beforehand; and clients that send.

use std::sync::LazyLock;

use local_cluster::Pod;

use crate::scene::{pod, reported, with, Labels, Report};

/// The metrics of HTTP requests, each with one more for a request.
pub fn http(count: f64) -> [(&'static str, f64); 4] {
    [
        ("istio_requests_total", count),
        ("istio_request_duration_milliseconds_count", count),
        ("istio_request_bytes_count", count),
        ("istio_response_bytes_count", count),
    ]
}

pub fn labels(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The labels of one end: the application's name and version, what it is one of, its namespace and service account.
pub fn end(side: &str, workload: &str, app: &str, version: &str, namespace: &str, account: &str) -> Labels {
    let principal = match account {
        "unknown" => "unknown".to_owned(),
        _ => format!("spiffe://cluster.local/ns/{namespace}/sa/{account}"),
    };
    let cluster = if workload == "unknown" { "unknown" } else { "Kubernetes" };
    [
        ("workload", workload),
        ("workload_namespace", namespace),
        ("principal", &principal),
        ("app", app),
        ("version", version),
        ("canonical_service", app),
        ("canonical_revision", if version == "unknown" { "latest" } else { version }),
        ("cluster", cluster),
    ]
    .iter()
    .map(|(name, value)| (format!("{side}_{name}"), (*value).to_owned()))
    .collect()
}

/// What a metric of a request from the client to a service of the mesh has, at the client.
pub fn request(destination: &Labels, service: &str, namespace: &str) -> Labels {
    let mut all = end("source", "client", "client", "v1", "shop", "client");
    all.extend(destination.clone());
    let host = format!("{service}.{namespace}.svc.cluster.local");
    all.extend(labels(&[
        ("reporter", "source"),
        ("destination_service", &host),
        ("destination_service_name", service),
        ("destination_service_namespace", namespace),
        ("request_protocol", "http"),
        ("response_code", "200"),
        ("grpc_response_status", ""),
        ("response_flags", "-"),
        ("connection_security_policy", "unknown"),
    ]));
    all
}

/// The same at the other end.
pub fn received(labels: &Labels) -> Labels {
    with(labels, &[("reporter", "destination"), ("connection_security_policy", "mutual_tls")])
}

/// A metric of connections instead.
pub fn connection(labels: &Labels) -> Labels {
    let mut labels = with(labels, &[("request_protocol", "tcp")]);
    labels.remove("response_code");
    labels.remove("grpc_response_status");
    labels
}

pub static WEB: LazyLock<Labels> = LazyLock::new(|| end("destination", "web-v1", "web", "v1", "shop", "web"));
pub static DB: LazyLock<Labels> = LazyLock::new(|| end("destination", "db", "db", "v2", "shop", "default"));
pub static STOCK: LazyLock<Labels> = LazyLock::new(|| end("destination", "stock", "stock", "v3", "depot", "keeper"));
pub static LODGER: LazyLock<Labels> = LazyLock::new(|| end("destination", "lodger", "lodger", "v6", "loft", "lodger"));
pub static JAR: LazyLock<Labels> = LazyLock::new(|| end("destination", "jar", "jar", "v5", "cellar", "jar"));
/// A pod without sidecar: Istio tells of its endpoints what their workload is, but neither its app nor its version.
pub static KIOSK: LazyLock<Labels> = LazyLock::new(|| with(&NOBODY, &endpoint("kiosk", "street")));
pub static NOBODY: LazyLock<Labels> =
    LazyLock::new(|| end("destination", "unknown", "unknown", "unknown", "unknown", "unknown"));

/// Runs the application as a client; gives what it printed.
pub fn call(pod: &Pod, arguments: &[&str]) -> String {
    pod.exec("app", &[&["pod-app"], arguments].concat()).unwrap()
}

/// Sends from the client; both ends must report it with the same labels but for their own.
pub fn both(server: &Pod, labels: &Labels, more: &[(&str, f64)], arguments: &[&str], expected: &str) {
    let client = pod("shop", "client");
    reported(&of_both(&client, server, labels, more), || assert_eq!(call(&client, arguments), expected));
}

/// What the proxies of both ends are to report.
pub fn of_both<'a>(
    source: &'a Pod,
    destination: &'a Pod,
    labels: &Labels,
    more: &'a [(&'a str, f64)],
) -> [Report<'a>; 2] {
    [Report { pod: source, labels: labels.clone(), more }, Report { pod: destination, labels: received(labels), more }]
}

/// What Istio tells of an endpoint.
pub fn endpoint<'a>(workload: &'a str, namespace: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("destination_workload", workload),
        ("destination_canonical_service", workload),
        ("destination_workload_namespace", namespace),
        ("destination_cluster", "Kubernetes"),
    ]
}
