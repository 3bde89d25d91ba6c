use super::*;

fn rendered(workload: &str) -> Value {
    let topology = Topology::bookinfo().unwrap();
    let workload = topology.workload(workload).unwrap();
    let files = Files { directory: "/mesh/x".into(), pki: "/mesh/pki".into() };
    placed(&topology, workload, SidecarConfig::plain(&topology, workload, &files))
}

fn named<'a>(config: &'a Value, kind: &str, name: &str) -> &'a Value {
    let list = config.pointer(&format!("/static_resources/{kind}")).unwrap().as_array().unwrap();
    list.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("no {name} in {list:#?}"))
}

fn endpoint(cluster: &Value) -> &Value {
    cluster.pointer("/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address").unwrap()
}

#[test]
fn other_workloads_are_found_by_name_and_the_own_application_by_address() {
    let config = rendered("ratings-v1");
    let outbound = named(&config, "clusters", "outbound|27017||mongodb.default.svc.cluster.local");
    assert_eq!(outbound["type"], "STRICT_DNS");
    assert_eq!(endpoint(outbound), &json!({"address": "mongodb-v1", "port_value": 15006}));
    let inbound = named(&config, "clusters", "inbound|9080||");
    assert_eq!((&inbound["type"], endpoint(inbound)["address"].as_str()), (&json!("STATIC"), Some("127.1.0.7")));
    assert_eq!(config.get("dynamic_resources"), None);
}

#[test]
fn only_what_others_call_listens_on_every_address() {
    let config = rendered("ratings-v1");
    let listeners = config.pointer("/static_resources/listeners").unwrap().as_array().unwrap();
    let bound: Vec<(u64, &str)> = listeners
        .iter()
        .map(|listener| &listener["address"]["socket_address"])
        .map(|address| (address["port_value"].as_u64().unwrap(), address["address"].as_str().unwrap()))
        .collect();
    assert_eq!(bound, [(15090, ANY), (15001, "127.1.0.7"), (27017, "127.1.0.7"), (15006, ANY)]);
    assert_eq!(config.pointer("/admin/address/socket_address/address").unwrap(), LOCAL);
    assert_eq!(endpoint(named(&config, "clusters", "prometheus_stats"))["address"], LOCAL);
    let gateway = rendered("istio-ingressgateway");
    assert_eq!(named(&gateway, "listeners", "0.0.0.0_8080")["address"]["socket_address"]["address"], ANY);
}

#[test]
fn prometheus_scrapes_the_proxies_by_name() {
    let text = scraping(&Topology::bookinfo().unwrap()).to_string();
    assert!(text.contains("\"reviews-v3:15090\"") && !text.contains("127."), "{text}");
}

#[test]
fn a_workload_without_a_proxy_is_refused() {
    let yaml = "
name: x
workloads: [ { name: a, app: a, address: 127.1.0.1, sidecar: false } ]
services: [ { name: a, port: 9080, protocol: http } ]";
    let error = render(&Topology::parse(yaml).unwrap(), &Options::default(), Path::new("/nowhere")).unwrap_err();
    assert!(error.to_string().starts_with("a: "), "{error}");
}
