//! Mutual TLS as PeerAuthentication asks for it.

use crate::expected::{both, call, http, received, request, STOCK, WEB};
use crate::scene::{pod, reported, with, Applied, Report, WAIT};

/// Sets the mode of a namespace until dropped.
fn set(namespace: &str, mode: &str) -> Applied {
    let name = format!("metadata: {{ name: default, namespace: {namespace} }}");
    let policy = format!(
        "{{ apiVersion: security.istio.io/v1, kind: PeerAuthentication, {name}, spec: {{ mtls: {{ mode: {mode} }} }} }}"
    );
    Applied::yaml("mode", &policy)
}

#[test]
fn strict_mutual_tls_refuses_strangers_and_labels_the_others_as_before() {
    let (kiosk, arguments) = (pod("street", "kiosk"), ["pod-app", "http", "http://web.shop/", "1"]);
    kiosk.exec("app", &arguments).unwrap();
    let _mode = set("shop", "STRICT");
    local_mesh::wait_until(WAIT, || (0..5).all(|_| kiosk.exec("app", &arguments).is_err())).unwrap();
    both(&pod("shop", "web"), &request(&WEB, "web", "shop"), &http(1.0), &["http", "http://web/", "1"], "200\n");
}

#[test]
fn without_mutual_tls_peers_are_known_by_their_metadata_and_have_no_principals() {
    let (client, stock) = (pod("shop", "client"), pod("depot", "stock"));
    let _mode = set("depot", "DISABLE");
    let nobody = [("source_principal", "unknown"), ("destination_principal", "unknown")];
    let labels = with(&request(&STOCK, "stock", "depot"), &nobody);
    let plain = with(&received(&labels), &[("connection_security_policy", "none")]);
    let is_plain = || {
        assert_eq!(call(&client, &["http", "http://stock.depot/", "1"]), "200\n");
        stock.samples("istio_requests_total").unwrap().iter().any(|sample| sample.labels == plain)
    };
    local_mesh::wait_until(WAIT, is_plain).unwrap();
    let more = http(1.0);
    let reports =
        [Report { pod: &client, labels, more: &more }, Report { pod: &stock, labels: plain.clone(), more: &more }];
    reported(&reports, || call(&client, &["http", "http://stock.depot/", "1"]));
}
