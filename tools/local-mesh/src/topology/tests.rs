use std::time::Duration;

use super::*;

const SMALL: &str = "
name: small
workloads:
  - { name: a, app: a, address: 127.1.0.1, calls: [b] }
  - { name: b-v1, app: b, version: v1, address: 127.1.0.2 }
services:
  - { name: b, port: 9080, protocol: http }
";

#[test]
fn bookinfo_is_valid_and_has_its_edges() {
    let topology = Topology::bookinfo().unwrap();
    let edges: Vec<_> = topology.edges().iter().map(|e| format!("{} {}", e.source.name, e.destination.name)).collect();
    assert_eq!(
        edges,
        [
            "istio-ingressgateway productpage-v1",
            "productpage-v1 details-v1",
            "productpage-v1 reviews-v1",
            "productpage-v1 reviews-v2",
            "productpage-v1 reviews-v3",
            "reviews-v2 ratings-v1",
            "reviews-v3 ratings-v1",
            "ratings-v1 mongodb-v1",
        ]
    );
}

#[test]
fn rebase_moves_every_address() {
    let topology = Topology::parse(SMALL).unwrap().rebase(9);
    assert_eq!(topology.network(), 9);
    assert!(topology.workloads.iter().all(|w| w.address.octets()[1] == 9));
}

#[test]
fn an_unknown_field_is_named() {
    let error = Topology::parse(&SMALL.replace("calls:", "cals:")).unwrap_err();
    assert!(format!("{error:#}").contains("cals"), "{error:#}");
}

#[test]
fn every_problem_is_listed_with_field_and_value() {
    let yaml =
        SMALL.replace("calls: [b]", "calls: [c]").replace("127.1.0.2", "10.0.0.2").replace("port: 9080", "port: 15006");
    let error = format!("{:#}", Topology::parse(&yaml).unwrap_err());
    for part in ["workloads.a.calls", "`c`", "workloads.b-v1.address", "`10.0.0.2`", "services.b.port", "`15006`"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn weights_must_be_a_hundred_and_subsets_exist() {
    let yaml = SMALL.replace(
        "protocol: http }",
        "protocol: http, subsets: { v1: { version: v1 } }, routes: [ { to: { v1: 40, v9: 50 } } ] }",
    );
    let error = format!("{:#}", Topology::parse(&yaml).unwrap_err());
    assert!(error.contains("no subset `v9`") && error.contains("`90`"), "{error}");
}

#[test]
fn sampling_is_a_percentage_and_one_when_nothing_is_said() {
    assert_eq!(Topology::parse(SMALL).unwrap().tracing.sampling, 1.0);
    let error = format!("{:#}", Topology::parse(&format!("{SMALL}tracing: {{ sampling: 101 }}")).unwrap_err());
    assert!(error.contains("tracing.sampling") && error.contains("`101`"), "{error}");
}

#[test]
fn durations_need_a_unit() {
    assert_eq!(duration::parse("800ms"), Some(Duration::from_millis(800)));
    assert_eq!(duration::parse("0.5s"), Some(Duration::from_millis(500)));
    for wrong in ["5", "s", "-1s", "1m", "", "99999999s"] {
        assert_eq!(duration::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn labels_have_the_canonical_pair_and_can_be_removed() {
    let yaml = SMALL.replace(
        "version: v1, address",
        "version: v1, labels: { service.istio.io/canonical-name: '', tier: back }, address",
    );
    let topology = Topology::parse(&yaml).unwrap();
    let labels = topology.workload("b-v1").unwrap().all_labels();
    assert_eq!(labels.get("service.istio.io/canonical-name"), None);
    assert_eq!(labels.get("service.istio.io/canonical-revision").unwrap(), "v1");
    assert_eq!(labels.get("tier").unwrap(), "back");
}

#[test]
fn what_is_no_topology_is_told_once() {
    let told = |yaml| format!("{:#}", Topology::parse(yaml).unwrap_err());
    assert_eq!(told("[1"), "not a topology: unclosed bracket '[' at line 1, column 1");
    let unknown = told("a: b");
    assert_eq!(unknown.matches("unknown field `a`").count(), 1, "{unknown}");
}
