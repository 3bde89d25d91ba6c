//! What the tests of labels ask of modules that count, with Envoy as the one that counts: `labelled/` is attached instead of `.`.

use local_cluster::Pod;
use local_mesh::wait_until;

use crate::one_command::{has_drained, ATTACHED};
use crate::scene::{filters, kubernetes, listeners, mesh, pod, Applied, Instead};
use crate::{expected, labels};

/// Whether the proxy runs what has just been attached.
fn lets_envoy_count(pod: &Pod) -> bool {
    let counts = |filter: &String| filter.contains("remixer.telemetry.") && filter.contains("envoy_counts");
    listeners(pod).contains("envoy.access_loggers.stats") && filters(pod).iter().any(counts)
}

#[test]
fn where_envoy_counts_every_label_is_the_same() {
    mesh().kubectl(&["delete", "--ignore-not-found", "-k", &kubernetes("remote/server")]).unwrap();
    let _attached = Instead::attach("labelled");
    // These pods have the module mounted, so metadata exchange over TCP can be added, in this order.
    let exchange = |side| Applied::file(&kubernetes(&format!("filters/tcp-metadata-exchange-{side}.yaml")));
    let _inbound = exchange("inbound");
    let _outbound = exchange("outbound");
    let pods = [("shop", "client"), ("shop", "web"), ("shop", "db"), ("depot", "stock")];
    let all = |has: fn(&Pod) -> bool| pods.iter().all(|(namespace, app)| has(&pod(namespace, app)));
    wait_until(ATTACHED, || all(lets_envoy_count)).unwrap();
    // What goes over a connection from before is counted by proxies as they were then.
    wait_until(ATTACHED, || all(has_drained)).unwrap();
    // The module has to be there, too.
    wait_until(ATTACHED, || {
        let client = pod("shop", "client");
        expected::call(&client, &["http", "http://web/", "1"]);
        expected::call(&client, &["http", "http://stock.depot/", "1"]);
        expected::call(&client, &["http", "http://db-0.db:8080/", "1"]);
        all(|pod| !pod.samples("istio_requests_total").unwrap().is_empty())
    })
    .unwrap();

    labels::http_requests_have_all_labels_at_both_ends();
    labels::the_other_namespace_and_service_account_are_those_of_the_destination();
    labels::grpc_calls_have_their_status_and_messages();
    labels::connections_have_their_bytes_and_both_peers();
    labels::a_websocket_is_a_request_that_ends_with_its_connection();
    labels::a_pod_of_a_stateful_set_is_called_by_its_headless_service();
    labels::a_caller_without_a_sidecar_is_unknown_and_in_plaintext();
    labels::a_service_without_sidecars_is_named_by_its_service();
    labels::what_an_authorization_policy_denies_is_seen_by_both();
    labels::a_service_entry_is_the_service_of_what_is_outside();
    labels::what_passes_through_and_what_is_blocked_have_istios_names();
    // Labels are not part of names, so no expression of Istio's finds one in them.
    labels::each_of_several_services_is_the_destination(
        ["component", "redis-cache", "price-tag"].map(|name| (name, None)),
    );
}
