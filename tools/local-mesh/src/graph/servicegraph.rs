//! The formats of Istio's servicegraph, for existing scripts. Nodes are named `app (workload)`, rates `reqs/sec` and
//! `bytes/sec`; other labels are our own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;

use serde_json::{json, Value};

use super::model::{Edge, EdgeKind, Graph, Node, NodeKind};

/// `/graph`: nodes by name, edges with labels.
pub fn service_graph(graph: &Graph) -> Value {
    let names = names(graph);
    let nodes: serde_json::Map<String, Value> = names.values().map(|name| (name.clone(), json!({}))).collect();
    let edges: Vec<Value> = edges(graph, &names)
        .map(|(source, target, edge)| json!({"source": source, "target": target, "labels": labels(edge)}))
        .collect();
    json!({"nodes": nodes, "edges": edges})
}

/// `/d3graph`: the same, with a list of nodes. Links refer to nodes by their index.
pub fn d3_graph(graph: &Graph) -> Value {
    let names = names(graph);
    let listed: BTreeSet<&str> = names.values().map(String::as_str).collect();
    let position: HashMap<&str, usize> = listed.iter().enumerate().map(|(index, name)| (*name, index)).collect();
    let nodes: Vec<Value> = listed.iter().map(|name| json!({"name": name})).collect();
    let links: Vec<Value> = edges(graph, &names)
        .map(|(source, target, edge)| {
            json!({"source": position.get(source), "target": position.get(target), "labels": labels(edge)})
        })
        .collect();
    json!({"nodes": nodes, "links": links})
}

/// `/dotgraph`: the language of Graphviz.
pub fn dot(graph: &Graph) -> String {
    let names = names(graph);
    let mut text = "digraph \"istio-servicegraph\" {\n".to_owned();
    for (source, target, edge) in edges(graph, &names) {
        let label: Vec<String> = labels(edge).iter().map(|(name, value)| format!("{name}: {value}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} -> {} [label={}];", quoted(source), quoted(target), quoted(&label.join(", ")));
    }
    for name in names.values().collect::<BTreeSet<_>>() {
        let _ = writeln!(text, "{} [label={}];", quoted(name), quoted(name));
    }
    text + "}\n"
}

fn labels(edge: &Edge) -> BTreeMap<&'static str, String> {
    let number = |value: f64| format!("{value:.6}");
    let mut labels = BTreeMap::new();
    match edge.kind {
        EdgeKind::Http => labels.insert("reqs/sec", number(edge.rate)),
        EdgeKind::Tcp => labels.insert("bytes/sec", number(edge.received)),
        EdgeKind::Shadow => labels.insert("shadow reqs/sec", number(edge.rate)),
    };
    let shares = [("error ratio", edge.errors), ("fault ratio", edge.delayed.max(edge.aborted))];
    labels.extend(shares.into_iter().filter(|(_, share)| *share > 0.0).map(|(name, share)| (name, number(share))));
    labels.extend(edge.p99.map(|p99| ("p99 ms", number(p99))));
    labels.extend(edge.mtls.map(|share| ("mtls ratio", number(share))));
    labels.extend(edge.matched.map(|share| ("match ratio", number(share))));
    labels
}

/// The edges with the names of their nodes.
fn edges<'a>(
    graph: &'a Graph,
    names: &'a BTreeMap<&str, String>,
) -> impl Iterator<Item = (&'a str, &'a str, &'a Edge)> {
    graph.edges.iter().filter_map(|edge| {
        let name = |id: &str| names.get(id).map(String::as_str);
        Some((name(&edge.source)?, name(&edge.target)?, edge))
    })
}

/// A name for each id. It includes the namespace if two workloads have the same name.
fn names(graph: &Graph) -> BTreeMap<&str, String> {
    let mut taken = HashSet::new();
    let mut names = BTreeMap::new();
    for node in &graph.nodes {
        let mut name = servicegraph_name(node, &node.name);
        // All unknown clients are one node, and so are all unknown targets, as in servicegraph.
        let is_new = taken.insert(name.clone());
        if !is_new && !matches!(node.kind, NodeKind::Unknown | NodeKind::Nowhere) {
            name = servicegraph_name(node, &format!("{}.{}", node.name, node.namespace));
        }
        names.insert(node.id.as_str(), name);
    }
    names
}

fn servicegraph_name(node: &Node, workload: &str) -> String {
    match node.kind {
        NodeKind::Workload if node.app.is_empty() => format!("{} ({workload})", node.name),
        NodeKind::Workload => format!("{} ({workload})", node.app),
        NodeKind::Service => format!("{workload} (unknown)"),
        NodeKind::Unknown | NodeKind::Nowhere => "unknown (unknown)".to_owned(),
        NodeKind::Mirror => format!("mirror ({workload})"),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
