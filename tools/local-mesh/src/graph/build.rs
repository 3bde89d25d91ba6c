//! Builds nodes and edges from samples.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Edge, EdgeKind, Graph, Node, NodeKind};
use crate::exposition::Sample;

/// Target of requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// A node, by id.
    Node(String),
    /// A service, if the caller knows no more: namespace and name.
    Service(String, String),
}

/// An edge as seen by one reporter.
#[derive(Debug, Clone, Default)]
pub struct Side {
    pub rate: f64,
    pub received: f64,
    pub sent: f64,
    errors: f64,
    delayed: f64,
    aborted: f64,
    p99: Option<f64>,
    secured: f64,
    plain: f64,
    codes: BTreeMap<String, f64>,
}

#[derive(Debug, Default)]
struct Ends {
    source: Side,
    destination: Side,
}

/// Collects samples, then builds a graph.
#[derive(Debug, Default)]
pub struct Builder {
    nodes: BTreeMap<String, Node>,
    edges: BTreeMap<(String, Target, EdgeKind), Ends>,
    /// The workloads that a caller reached through a service.
    reached: BTreeMap<(String, String, String, EdgeKind), BTreeSet<String>>,
}

impl Builder {
    /// A rate of `istio_requests_total`.
    pub fn add_requests(&mut self, sample: &Sample) {
        let rate = sample.value;
        let (code, flags) = (sample.label("response_code"), sample.label("response_flags"));
        let has = |wanted: &str| flags.split(',').any(|flag| flag == wanted);
        let side = self.side(sample, EdgeKind::Http);
        side.rate += rate;
        side.errors += if failed(sample) { rate } else { 0.0 };
        side.delayed += if has("DI") { rate } else { 0.0 };
        side.aborted += if has("FI") { rate } else { 0.0 };
        secure(side, sample);
        if rate > 0.0 {
            let shown = if matches!(flags, "-" | "") { code.to_owned() } else { format!("{code} {flags}") };
            *side.codes.entry(shown).or_default() += rate;
        }
    }

    /// Adds a quantile of the durations.
    pub fn add_p99(&mut self, sample: &Sample) {
        // The duration of a request that reached no workload describes no workload.
        if sample.value.is_finite() && known(sample.label("destination_workload")).is_some() {
            let side = self.side(sample, EdgeKind::Http);
            // Several services, apps or versions may lead to one workload: use the largest.
            side.p99 = Some(side.p99.unwrap_or(0.0).max(sample.value));
        }
    }

    /// Adds a rate of one of `istio_tcp_…` in `slot`.
    pub fn add_tcp(&mut self, sample: &Sample, slot: fn(&mut Side) -> &mut f64) {
        let side = self.side(sample, EdgeKind::Tcp);
        *slot(side) += sample.value;
        secure(side, sample);
    }

    /// The graph.
    pub fn build(mut self) -> Graph {
        let mut edges: BTreeMap<(String, String, EdgeKind), Ends> = BTreeMap::new();
        for ((source, target, kind), ends) in std::mem::take(&mut self.edges) {
            let target = match target {
                Target::Node(id) => id,
                Target::Service(namespace, name) => self.node_of_service(&source, namespace, name, kind),
            };
            let known = edges.entry((source, target, kind)).or_default();
            known.source.add(ends.source);
            known.destination.add(ends.destination);
        }
        Graph {
            nodes: self.nodes.into_values().collect(),
            edges: edges.into_iter().map(|((source, target, kind), ends)| ends.edge(source, target, kind)).collect(),
        }
    }

    fn side(&mut self, sample: &Sample, kind: EdgeKind) -> &mut Side {
        let source = self.workload(sample, "source").unwrap_or_else(|| self.unknown());
        let service = (service_namespace(sample).to_owned(), sample.label("destination_service_name").to_owned());
        let target = match self.workload(sample, "destination") {
            Some(id) => {
                let through = (source.clone(), service.0, service.1, kind);
                self.reached.entry(through).or_default().insert(id.clone());
                Target::Node(id)
            }
            None => Target::Service(service.0, service.1),
        };
        let ends = self.edges.entry((source, target, kind)).or_default();
        match sample.label("reporter") {
            "source" => &mut ends.source,
            _ => &mut ends.destination,
        }
    }

    /// Id of the workload at this end, if it is known.
    fn workload(&mut self, sample: &Sample, end: &str) -> Option<String> {
        let label = |name: &str| known(sample.label(&format!("{end}_{name}"))).unwrap_or_default().to_owned();
        let (name, namespace) = (label("workload"), label("workload_namespace"));
        if name.is_empty() {
            return None;
        }
        let id = format!("{namespace}/{name}");
        let node = self.nodes.entry(id.clone()).or_insert_with(|| Node {
            id: id.clone(),
            kind: NodeKind::Workload,
            name,
            namespace,
            app: String::new(),
            version: String::new(),
        });
        // A caller knows less of a peer that did not answer; other samples may have the values.
        for (slot, value) in [(&mut node.app, label("app")), (&mut node.version, label("version"))] {
            if slot.is_empty() {
                *slot = value;
            }
        }
        Some(id)
    }

    fn unknown(&mut self) -> String {
        self.plain_node("unknown", NodeKind::Unknown, "unknown", "")
    }

    /// Assigns requests that reached no workload to the service's workload, if it has only one.
    fn node_of_service(&mut self, source: &str, namespace: String, name: String, kind: EdgeKind) -> String {
        let through = (source.to_owned(), namespace.clone(), name.clone(), kind);
        let reached = self.reached.get(&through).filter(|reached| reached.len() == 1);
        if let Some(only) = reached.and_then(|reached| reached.first()) {
            return only.clone();
        }
        if known(&name).is_none() {
            return self.plain_node("nowhere", NodeKind::Nowhere, "unknown", "");
        }
        self.plain_node(&format!("service:{namespace}/{name}"), NodeKind::Service, &name, &namespace)
    }

    fn plain_node(&mut self, id: &str, kind: NodeKind, name: &str, namespace: &str) -> String {
        self.nodes.entry(id.to_owned()).or_insert_with(|| plain_node(id, kind, name, namespace));
        id.to_owned()
    }
}

impl Side {
    fn add(&mut self, other: Self) {
        self.rate += other.rate;
        self.received += other.received;
        self.sent += other.sent;
        self.errors += other.errors;
        self.delayed += other.delayed;
        self.aborted += other.aborted;
        self.secured += other.secured;
        self.plain += other.plain;
        self.p99 = self.p99.or(other.p99);
        for (code, rate) in other.codes {
            *self.codes.entry(code).or_default() += rate;
        }
    }

    fn amount(&self) -> f64 {
        self.rate + self.received + self.sent
    }
}

impl Ends {
    fn edge(self, source: String, target: String, kind: EdgeKind) -> Edge {
        let Self { source: caller, destination: callee } = self;
        let told = callee.secured + callee.plain;
        let mtls = (told > 0.0).then_some(callee.secured / told);
        let side = if caller.amount() > 0.0 { caller } else { callee };
        let share = |part: f64| if side.rate > 0.0 { part / side.rate } else { 0.0 };
        let (errors, delayed, aborted) = (share(side.errors), share(side.delayed), share(side.aborted));
        let Side { rate, received, sent, p99, codes, .. } = side;
        Edge { source, target, kind, rate, errors, p99, received, sent, mtls, delayed, aborted, matched: None, codes }
    }
}

/// Adds the copies of shadow filters: rates of copies, and of comparisons by result.
pub fn add_mirrors(graph: &mut Graph, copies: &[Sample], compared: &[Sample]) {
    let mut edges = BTreeMap::new();
    for sample in copies {
        let (source, name) = owner(sample);
        if graph.node(&source).is_none() {
            graph.nodes.push(plain_node(&source, NodeKind::Workload, &name, sample.label("namespace")));
        }
        let id = mirror_id(sample);
        if graph.node(&id).is_none() {
            graph.nodes.push(plain_node(&id, NodeKind::Mirror, sample.label("mirror"), ""));
        }
        *edges.entry((source, id)).or_insert(0.0) += sample.value;
    }
    for ((source, target), rate) in edges {
        let (mut same, mut other) = (0.0, 0.0);
        let is_its = |sample: &&Sample| owner(sample).0 == source && mirror_id(sample) == target;
        for sample in compared.iter().filter(is_its) {
            let result = sample.label("result");
            if result == "match" {
                same += sample.value;
            } else if result.ends_with("_mismatch") {
                other += sample.value;
            }
        }
        graph.edges.push(Edge {
            source,
            target,
            kind: EdgeKind::Shadow,
            rate,
            errors: 0.0,
            p99: None,
            received: 0.0,
            sent: 0.0,
            mtls: None,
            delayed: 0.0,
            aborted: 0.0,
            matched: (same + other > 0.0).then_some(same / (same + other)),
            codes: BTreeMap::new(),
        });
    }
}

/// Id and name of the workload of the scraped pod.
fn owner(sample: &Sample) -> (String, String) {
    let pod = sample.label("pod");
    // Pods of a deployment are named `<deployment>-<hash>-<id>`.
    let name = pod.rsplitn(3, '-').nth(2).unwrap_or(pod);
    (format!("{}/{name}", sample.label("namespace")), name.to_owned())
}

fn mirror_id(sample: &Sample) -> String {
    format!("mirror:{}", sample.label("mirror"))
}

fn plain_node(id: &str, kind: NodeKind, name: &str, namespace: &str) -> Node {
    Node {
        id: id.to_owned(),
        kind,
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        app: String::new(),
        version: String::new(),
    }
}

fn secure(side: &mut Side, sample: &Sample) {
    // A small extra, so that idle edges also have a value.
    let weight = sample.value.max(0.0) + 1e-9;
    match sample.label("connection_security_policy") {
        "mutual_tls" => side.secured += weight,
        "none" => side.plain += weight,
        _ => {}
    }
}

/// As in the table: a client that left (code 0) counts like a 5xx.
fn failed(sample: &Sample) -> bool {
    let (code, status) = (sample.label("response_code"), sample.label("grpc_response_status"));
    code.starts_with('5') || code == "0" || !matches!(status, "" | "0")
}

fn service_namespace(sample: &Sample) -> &str {
    known(sample.label("destination_service_namespace")).unwrap_or_default()
}

fn known(value: &str) -> Option<&str> {
    (!value.is_empty() && value != "unknown").then_some(value)
}
