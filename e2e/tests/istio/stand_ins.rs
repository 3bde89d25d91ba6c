//! The local mesh's Envoys have what telemetry and EnvoyFilters depend on as istiod and Istio's agent make it: the same
//! workloads are asked for here and there.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use local_cluster::json::{at, list, text};
use local_cluster::Pod;
use local_mesh::config::{Files, SidecarConfig};
use local_mesh::Topology;
use serde_json::Value;

use crate::scene::{kubernetes, pod};

/// Workloads of `apps/`, with a service that has the port of its pods.
const TOPOLOGY: &str = "
name: cluster.local
services:
  - { name: web, namespace: shop, port: 7070, protocol: grpc }
workloads:
  - { name: client, app: client, version: v1, namespace: shop, address: 127.1.0.1, serviceAccount: client, calls: [web] }
  - { name: web-v1, app: web, version: v1, namespace: shop, address: 127.1.0.2, serviceAccount: web }
";

/// The same with the service's port for connections.
fn with_tcp() -> String {
    TOPOLOGY.replace("port: 7070, protocol: grpc", "port: 9090, protocol: tcp")
}

/// The same with a gateway.
fn with_gateway() -> String {
    let gateway = "gateway: { port: 8080, routes: [{ prefix: /, to: web }] }";
    let account = "namespace: gate, serviceAccount: porter";
    format!("{TOPOLOGY}  - {{ name: gate, app: gate, version: v4, address: 127.1.0.3, {account}, {gateway} }}\n")
}

/// What is compared, by what it is.
type Facts = BTreeMap<String, Value>;

/// The configuration of a proxy.
struct Config {
    listeners: Vec<Value>,
    clusters: Vec<Value>,
    endpoints: Vec<Value>,
    bootstrap: Value,
}

impl Config {
    fn real(pod: &Pod) -> Self {
        let dump = pod.exec("istio-proxy", &["pilot-agent", "request", "GET", "config_dump?include_eds"]).unwrap();
        let dump: Value = serde_json::from_str(&dump).unwrap();
        let all = |path: &str, of: &str| -> Vec<Value> {
            let configs = list(&dump, "/configs").iter().flat_map(|config| list(config, path));
            configs.map(|item| at(item, of).clone()).collect()
        };
        let bootstrap = list(&dump, "/configs").iter().find_map(|config| config.get("bootstrap")).unwrap();
        Self {
            listeners: all("/dynamic_listeners", "/active_state/listener"),
            clusters: all("/dynamic_active_clusters", "/cluster"),
            endpoints: all("/dynamic_endpoint_configs", "/endpoint_config"),
            bootstrap: bootstrap.clone(),
        }
    }

    fn ours(topology: &str, workload: &str) -> Self {
        let topology = Topology::parse(topology).unwrap();
        let files = Files { directory: PathBuf::from("/x"), pki: PathBuf::from("/x") };
        let SidecarConfig { mut bootstrap, listeners, clusters } =
            SidecarConfig::plain(&topology, topology.workload(workload).unwrap(), &files);
        // Envoy itself merges this, by an argument, here and there.
        let of_file = fs::read_to_string(kubernetes("bootstrap/all/custom_bootstrap.json")).unwrap();
        let of_file: serde_json::Map<String, Value> = serde_json::from_str(&of_file).unwrap();
        bootstrap.as_object_mut().unwrap().extend(of_file);
        let endpoints = clusters.iter().map(|cluster| at(cluster, "/load_assignment").clone()).collect();
        Self { listeners, clusters, endpoints, bootstrap }
    }

    fn named<'a>(of: &'a [Value], key: &str, name: &str) -> &'a Value {
        of.iter().find(|value| text(value, key) == name).unwrap_or(&Value::Null)
    }

    /// The listener for requests to a port.
    fn outbound(&self, port: u16) -> Facts {
        let names = [format!("0.0.0.0_{port}"), "0.0.0.0_9080".to_owned()];
        let listener = self.listeners.iter().find(|l| names.iter().any(|name| text(l, "/name") == name));
        let listener = listener.unwrap_or(&Value::Null);
        let chain = list(listener, "/filter_chains").last().unwrap_or(&Value::Null);
        let mut facts = manager(chain);
        facts.insert("direction".to_owned(), at(listener, "/traffic_direction").clone());
        facts
    }

    /// The listener for connections to a port.
    fn outbound_tcp(&self, port: u16) -> Facts {
        let of_web = |listener: &&Value| {
            let chain = list(listener, "/filter_chains").last().unwrap_or(&Value::Null);
            proxy(chain)["cluster"] == format!("outbound|{port}||web.shop.svc.cluster.local")
        };
        let listener = self.listeners.iter().find(of_web).unwrap_or(&Value::Null);
        let mut facts = proxy(list(listener, "/filter_chains").last().unwrap_or(&Value::Null));
        facts.insert("direction".to_owned(), at(listener, "/traffic_direction").clone());
        facts
    }

    /// The cluster of a port of `web`, and its endpoint.
    fn cluster(&self, port: u16) -> Facts {
        let name = format!("outbound|{port}||web.shop.svc.cluster.local");
        let cluster = Self::named(&self.clusters, "/name", &name);
        let tls = list(cluster, "/transport_socket_matches").iter();
        let tls: Vec<&Value> = tls.filter(|socket| text(socket, "/name") == "tlsMode-istio").collect();
        let tls = tls.first().map_or(&Value::Null, |socket| *socket);
        let endpoints = Self::named(&self.endpoints, "/cluster_name", &name);
        Facts::from(
            [
                ("services", at(cluster, "/metadata/filter_metadata/istio")),
                ("filters of the cluster", at(cluster, "/filters")),
                ("tls match", at(tls, "/match")),
                ("server name", at(tls, "/transport_socket/typed_config/sni")),
                ("alpn", at(tls, "/transport_socket/typed_config/common_tls_context/alpn_protocols")),
                ("endpoint", at(endpoints, "/endpoints/0/lb_endpoints/0/metadata/filter_metadata")),
            ]
            .map(|(name, value)| (name.to_owned(), value.clone())),
        )
    }

    /// The listener of a gateway.
    fn gateway(&self) -> Facts {
        let listener = Self::named(&self.listeners, "/name", "0.0.0.0_8080");
        let mut facts = manager(list(listener, "/filter_chains").last().unwrap_or(&Value::Null));
        facts.insert("direction".to_owned(), at(listener, "/traffic_direction").clone());
        facts
    }

    /// What a called workload has for a port.
    fn inbound(&self, port: u16, of_chain: fn(&Value) -> Facts) -> Facts {
        let listener = Self::named(&self.listeners, "/name", "virtualInbound");
        let of_port = |chain: &&Value| text(chain, "/name") == format!("0.0.0.0_{port}");
        let chains: Vec<&Value> = list(listener, "/filter_chains").iter().filter(of_port).collect();
        let by_transport = |transport: &str| {
            let found = chains.iter().find(|c| text(c, "/filter_chain_match/transport_protocol") == transport);
            found.map_or(&Value::Null, |chain| *chain)
        };
        let tls = by_transport("tls");
        let mut facts = of_chain(tls);
        let plain = of_chain(by_transport("raw_buffer"));
        facts.extend(plain.into_iter().map(|(name, value)| (format!("{name} in plaintext"), value)));
        facts.insert("direction".to_owned(), at(listener, "/traffic_direction").clone());
        facts.insert("alpn of the mesh".to_owned(), at(tls, "/filter_chain_match/application_protocols").clone());
        let socket = at(tls, "/transport_socket/typed_config");
        facts.insert("certificate".to_owned(), at(socket, "/require_client_certificate").clone());
        facts.insert("alpn".to_owned(), at(socket, "/common_tls_context/alpn_protocols").clone());
        let cluster = Self::named(&self.clusters, "/name", &format!("inbound|{port}||"));
        facts.insert("services".to_owned(), at(cluster, "/metadata/filter_metadata/istio").clone());
        for passthrough in ["PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"] {
            let name = at(Self::named(&self.clusters, "/name", passthrough), "/name").clone();
            facts.insert(passthrough.to_owned(), name);
        }
        facts
    }

    /// What is in a proxy from its start on.
    fn bootstrap(&self) -> Facts {
        const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
        const ROUTE: &str = "/route_config/virtual_hosts/0/routes/0";
        let bootstrap = &self.bootstrap;
        let port = |value: &Value| at(value, "/address/socket_address/port_value").clone();
        let manager = |listener: &Value, path: &str| at(listener, &format!("{MANAGER}{path}")).clone();
        let mut listeners = list(bootstrap, "/static_resources/listeners").iter();
        let stats = listeners.find(|l| manager(l, &format!("{ROUTE}/match/prefix")) == "/stats/prometheus");
        let stats = stats.unwrap_or(&Value::Null);
        let clusters = list(bootstrap, "/static_resources/clusters");
        let cluster = Self::named(clusters, "/name", "prometheus_stats");
        let ours = |path: &str, field: &str, prefix: &str| -> Value {
            list(bootstrap, path).iter().filter(|value| text(value, field).starts_with(prefix)).cloned().collect()
        };
        Facts::from(
            [
                ("stats port", port(stats)),
                ("direction of stats", at(stats, "/traffic_direction").clone()),
                ("cluster of stats", manager(stats, &format!("{ROUTE}/route/cluster"))),
                ("port of stats", port(at(cluster, "/load_assignment/endpoints/0/lb_endpoints/0/endpoint"))),
                ("admin port", port(at(bootstrap, "/admin"))),
                ("labels", ours("/stats_config/stats_tags", "/regex", "^wasmcustom")),
                ("buckets", at(bootstrap, "/stats_config/histogram_bucket_settings").clone()),
                ("runtime", ours("/layered_runtime/layers", "/name", "remixer")),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        )
    }

    fn node(&self) -> Facts {
        let node = at(&self.bootstrap, "/node");
        let metadata = at(node, "/metadata");
        let names =
            ["NAMESPACE", "WORKLOAD_NAME", "OWNER", "MESH_ID", "CLUSTER_ID", "SERVICE_ACCOUNT", "INTERCEPTION_MODE"];
        let mut facts: Facts = names.iter().map(|name| ((*name).to_owned(), metadata[*name].clone())).collect();
        for label in ["app", "version", "service.istio.io/canonical-name", "service.istio.io/canonical-revision"] {
            facts.insert(label.to_owned(), metadata["LABELS"][label].clone());
        }
        facts.insert("cluster".to_owned(), at(node, "/cluster").clone());
        // What is different for each pod is told by its name.
        let mut id = text(node, "/id").to_owned();
        for name in ["NAME", "INSTANCE_IPS"] {
            id = id.replacen(text(metadata, &format!("/{name}")), name, 1);
        }
        facts.insert("id".to_owned(), id.into());
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

/// What EnvoyFilters match and telemetry depends on in the proxy of a connection.
fn proxy(chain: &Value) -> Facts {
    let filters = list(chain, "/filters");
    let names = filters.iter().map(|filter| text(filter, "/name")).filter(|name| !name.starts_with("remixer"));
    let proxy = filters.iter().find(|filter| text(filter, "/name") == "envoy.filters.network.tcp_proxy");
    let proxy = proxy.map_or(&Value::Null, |filter| at(filter, "/typed_config"));
    Facts::from(
        [
            ("filters", names.collect()),
            ("cluster", at(proxy, "/cluster").clone()),
            ("statistics", at(proxy, "/stat_prefix").clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

/// What a proxy may have no word about.
const MAY_BE_ABSENT: [&str; 6] = [
    "server_name",
    "use_remote_address",
    "forward_client_cert_details",
    "set_current_client_cert_details",
    "direction of stats",
    "filters of the cluster",
];

/// What is not the same.
fn differences(what: &str, ours: Facts, real: Facts) -> Vec<String> {
    for (name, value) in &real {
        assert!(
            !value.is_null() || MAY_BE_ABSENT.contains(&name.trim_end_matches(" in plaintext")),
            "{what}: {name} is not where it is looked for"
        );
    }
    let differ = real.iter().filter(|(name, value)| ours.get(*name) != Some(value));
    differ
        .map(|(name, value)| format!("{what}: {name}: the local mesh has {}, Istio makes {value}", ours[name]))
        .collect()
}

/// All facts must be the same.
fn compare<const N: usize>(all: [(&str, Facts, Facts); N]) {
    let differ: Vec<String> = all.into_iter().flat_map(|(what, ours, real)| differences(what, ours, real)).collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn what_istiod_makes_of_a_caller_is_what_the_local_mesh_has() {
    let real = Config::real(&pod("shop", "client"));
    let [http, tcp] = [TOPOLOGY, &with_tcp()].map(|topology| Config::ours(topology, "client"));
    compare([
        ("outbound", http.outbound(7070), real.outbound(7070)),
        ("cluster", http.cluster(7070), real.cluster(7070)),
        ("outbound, tcp", tcp.outbound_tcp(9090), real.outbound_tcp(9090)),
        ("cluster, tcp", tcp.cluster(9090), real.cluster(9090)),
    ]);
}

#[test]
fn what_istiod_makes_of_a_called_workload_is_what_the_local_mesh_has() {
    let real = Config::real(&pod("shop", "web"));
    let [http, tcp] = [TOPOLOGY, &with_tcp()].map(|topology| Config::ours(topology, "web-v1"));
    compare([
        ("inbound", http.inbound(7070, manager), real.inbound(7070, manager)),
        ("inbound, tcp", tcp.inbound(9090, proxy), real.inbound(9090, proxy)),
    ]);
}

#[test]
fn what_istiod_makes_of_a_gateway_is_what_the_local_mesh_has() {
    let (real, ours) = (Config::real(&pod("gate", "gate")), Config::ours(&with_gateway(), "gate"));
    compare([
        ("gateway", ours.gateway(), real.gateway()),
        ("cluster of a gateway", ours.cluster(7070), real.cluster(7070)),
        ("bootstrap of a gateway", ours.bootstrap(), real.bootstrap()),
    ]);
}

#[test]
fn what_the_agent_tells_of_a_node_and_starts_it_with_is_what_the_local_mesh_has() {
    let (real, ours) = (Config::real(&pod("shop", "web")), Config::ours(TOPOLOGY, "web-v1"));
    compare([("node", ours.node(), real.node()), ("bootstrap", ours.bootstrap(), real.bootstrap())]);
    // Of all other statistics, Istio's proxies have few.
    let matcher = at(&real.bootstrap, "/stats_config/stats_matcher/inclusion_list");
    assert!(list(matcher, "/patterns").contains(&serde_json::json!({"prefix": "wasm"})), "{matcher}");
}
