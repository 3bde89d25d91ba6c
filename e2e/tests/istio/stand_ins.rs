//! The local mesh's Envoys have what telemetry and EnvoyFilters depend on as istiod and Istio's agent make it: the same
//! workloads are asked for here and there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use local_cluster::json::{at, list, text};
use local_cluster::Pod;
use local_mesh::config::{Files, SidecarConfig};
use local_mesh::Topology;
use serde_json::Value;

use crate::scene::pod;

/// The workloads of `apps/shop` whose services have the ports of their pods.
const TOPOLOGY: &str = "
name: cluster.local
workloads:
  - { name: client, app: client, version: v1, namespace: shop, address: 127.1.0.1, serviceAccount: client, calls: [web] }
  - { name: web-v1, app: web, version: v1, namespace: shop, address: 127.1.0.2, serviceAccount: web }
services:
  - { name: web, namespace: shop, port: 7070, protocol: grpc }
";

/// What is compared, by what it is.
type Facts = BTreeMap<String, Value>;

/// The configuration of a proxy.
struct Config {
    listeners: Vec<Value>,
    clusters: Vec<Value>,
    endpoints: Vec<Value>,
    node: Value,
}

impl Config {
    fn real(pod: &Pod) -> Self {
        let dump = pod.exec("istio-proxy", &["pilot-agent", "request", "GET", "config_dump?include_eds"]).unwrap();
        let dump: Value = serde_json::from_str(&dump).unwrap();
        let all = |path: &str, of: &str| -> Vec<Value> {
            let configs = list(&dump, "/configs").iter().flat_map(|config| list(config, path));
            configs.map(|item| at(item, of).clone()).collect()
        };
        let node = list(&dump, "/configs").iter().find_map(|config| config.pointer("/bootstrap/node")).unwrap();
        Self {
            listeners: all("/dynamic_listeners", "/active_state/listener"),
            clusters: all("/dynamic_active_clusters", "/cluster"),
            endpoints: all("/dynamic_endpoint_configs", "/endpoint_config"),
            node: node.clone(),
        }
    }

    fn ours(workload: &str) -> Self {
        let topology = Topology::parse(TOPOLOGY).unwrap();
        let files = Files { directory: PathBuf::from("/x"), pki: PathBuf::from("/x") };
        let config = SidecarConfig::plain(&topology, topology.workload(workload).unwrap(), &files);
        let endpoints = config.clusters.iter().map(|cluster| at(cluster, "/load_assignment").clone()).collect();
        let node = at(&config.bootstrap, "/node").clone();
        Self { listeners: config.listeners, clusters: config.clusters, endpoints, node }
    }

    fn named<'a>(of: &'a [Value], key: &str, name: &str) -> &'a Value {
        of.iter().find(|value| text(value, key) == name).unwrap_or(&Value::Null)
    }

    fn outbound(&self) -> Facts {
        let listener = self.listeners.iter().find(|l| ["0.0.0.0_7070", "0.0.0.0_9080"].contains(&text(l, "/name")));
        let listener = listener.unwrap_or(&Value::Null);
        let chain = list(listener, "/filter_chains").last().unwrap_or(&Value::Null);
        let cluster = Self::named(&self.clusters, "/name", "outbound|7070||web.shop.svc.cluster.local");
        let mut facts = manager(chain);
        facts.insert("direction".to_owned(), at(listener, "/traffic_direction").clone());
        facts.insert("services".to_owned(), at(cluster, "/metadata/filter_metadata/istio").clone());
        let tls = list(cluster, "/transport_socket_matches").iter();
        let tls: Vec<&Value> = tls.filter(|socket| text(socket, "/name") == "tlsMode-istio").collect();
        let tls = tls.first().map_or(&Value::Null, |socket| *socket);
        for (name, path) in [("tls match", "/match"), ("server name", "/transport_socket/typed_config/sni")] {
            facts.insert(name.to_owned(), at(tls, path).clone());
        }
        let endpoints = Self::named(&self.endpoints, "/cluster_name", "outbound|7070||web.shop.svc.cluster.local");
        facts.insert(
            "endpoint".to_owned(),
            at(endpoints, "/endpoints/0/lb_endpoints/0/metadata/filter_metadata").clone(),
        );
        facts
    }

    fn inbound(&self) -> Facts {
        let listener = Self::named(&self.listeners, "/name", "virtualInbound");
        let of_port = |chain: &&Value| text(chain, "/name") == "0.0.0.0_7070";
        let chains: Vec<&Value> = list(listener, "/filter_chains").iter().filter(of_port).collect();
        let tls = chains.iter().find(|chain| text(chain, "/filter_chain_match/transport_protocol") == "tls");
        let tls = tls.map_or(&Value::Null, |chain| *chain);
        let mut facts = manager(tls);
        facts.insert("direction".to_owned(), at(listener, "/traffic_direction").clone());
        facts.insert("alpn of the mesh".to_owned(), at(tls, "/filter_chain_match/application_protocols").clone());
        let socket = at(tls, "/transport_socket/typed_config");
        facts.insert("certificate".to_owned(), at(socket, "/require_client_certificate").clone());
        facts.insert("alpn".to_owned(), at(socket, "/common_tls_context/alpn_protocols").clone());
        let cluster = Self::named(&self.clusters, "/name", "inbound|7070||");
        facts.insert("services".to_owned(), at(cluster, "/metadata/filter_metadata/istio").clone());
        for passthrough in ["PassthroughCluster", "BlackHoleCluster"] {
            let name = at(Self::named(&self.clusters, "/name", passthrough), "/name").clone();
            facts.insert(passthrough.to_owned(), name);
        }
        facts
    }

    fn node(&self) -> Facts {
        let metadata = at(&self.node, "/metadata");
        let names =
            ["NAMESPACE", "WORKLOAD_NAME", "OWNER", "MESH_ID", "CLUSTER_ID", "SERVICE_ACCOUNT", "INTERCEPTION_MODE"];
        let mut facts: Facts = names.iter().map(|name| ((*name).to_owned(), metadata[*name].clone())).collect();
        for label in ["app", "version", "service.istio.io/canonical-name", "service.istio.io/canonical-revision"] {
            facts.insert(label.to_owned(), metadata["LABELS"][label].clone());
        }
        facts.insert("cluster".to_owned(), at(&self.node, "/cluster").clone());
        facts
    }
}

/// What EnvoyFilters match and telemetry depends on in an HTTP connection manager.
fn manager(chain: &Value) -> Facts {
    let manager =
        list(chain, "/filters").iter().find(|f| text(f, "/name") == "envoy.filters.network.http_connection_manager");
    let manager = manager.map_or(&Value::Null, |filter| at(filter, "/typed_config"));
    let filters = list(manager, "/http_filters").iter().map(|filter| text(filter, "/name").to_owned());
    let filters: Vec<String> = filters.filter(|name| !name.starts_with("remixer")).collect();
    let mut facts = Facts::from([("HTTP filters".to_owned(), filters.into())]);
    for field in [
        "server_name",
        "normalize_path",
        "use_remote_address",
        "forward_client_cert_details",
        "set_current_client_cert_details",
    ] {
        facts.insert(field.to_owned(), manager[field].clone());
    }
    facts
}

/// What a proxy may have no word about.
const MAY_BE_ABSENT: [&str; 4] =
    ["server_name", "use_remote_address", "forward_client_cert_details", "set_current_client_cert_details"];

fn compare(what: &str, ours: Facts, real: Facts) {
    for (name, value) in &real {
        assert!(
            !value.is_null() || MAY_BE_ABSENT.contains(&name.as_str()),
            "{what}: {name} is not where it is looked for"
        );
    }
    let differ: Vec<String> = real
        .iter()
        .filter(|(name, value)| ours.get(*name) != Some(value))
        .map(|(name, value)| format!("{what}: {name}: the local mesh has {}, Istio makes {value}", ours[name]))
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn what_istiod_makes_of_a_caller_is_what_the_local_mesh_has() {
    let (real, ours) = (Config::real(&pod("shop", "client")), Config::ours("client"));
    compare("outbound", ours.outbound(), real.outbound());
}

#[test]
fn what_istiod_makes_of_a_called_workload_is_what_the_local_mesh_has() {
    let (real, ours) = (Config::real(&pod("shop", "web")), Config::ours("web-v1"));
    compare("inbound", ours.inbound(), real.inbound());
}

#[test]
fn what_the_agent_tells_of_a_node_is_what_the_local_mesh_has() {
    let (real, ours) = (Config::real(&pod("shop", "web")), Config::ours("web-v1"));
    compare("node", ours.node(), real.node());
}
