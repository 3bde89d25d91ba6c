//! Nodes and edges of a service graph.

use std::collections::BTreeMap;

use serde::Serialize;

/// The graph of a mesh over a period of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Graph {
    /// The nodes, by id.
    pub nodes: Vec<Node>,
    /// The edges, by source, target and kind.
    pub edges: Vec<Edge>,
}

/// A sender or receiver of requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// Unique in the graph.
    pub id: String,
    /// Its kind.
    pub kind: NodeKind,
    /// Name of the workload, the service or the mirror.
    pub name: String,
    /// Namespace; empty if there is none.
    pub namespace: String,
    /// Label `app`; empty if unknown.
    pub app: String,
    /// Label `version`; empty if unknown.
    pub version: String,
}

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// A workload of the mesh.
    Workload,
    /// A service whose requests reached no workload: it has none, or none in the mesh.
    Service,
    /// Unknown clients.
    Unknown,
    /// Requests that match no route.
    Nowhere,
    /// The target of a shadow filter's copies.
    Mirror,
}

/// The kind of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeKind {
    /// HTTP or gRPC requests.
    Http,
    /// Bytes of TCP connections.
    Tcp,
    /// Copies of requests.
    Shadow,
}

/// An edge, with averages over the period.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Id of the sender.
    pub source: String,
    /// Id of the receiver.
    pub target: String,
    /// Its kind.
    pub kind: EdgeKind,
    /// Requests per second; for TCP, new connections per second.
    pub rate: f64,
    /// Share of the requests that failed, 0 to 1: 5xx, no answer, or a gRPC status that is not OK.
    pub errors: f64,
    /// 99th percentile of the duration, in milliseconds.
    pub p99: Option<f64>,
    /// TCP: bytes per second from the source to the target.
    pub received: f64,
    /// TCP: bytes per second from the target to the source.
    pub sent: f64,
    /// Share of mutual TLS, 0 to 1; `None` if the target has no proxy to report it.
    pub mtls: Option<f64>,
    /// Share of the requests delayed by a fault filter, 0 to 1 (response flag DI).
    pub delayed: f64,
    /// Share of the requests aborted by a fault filter, 0 to 1 (response flag FI).
    pub aborted: f64,
    /// For copies: share of the comparisons that match, 0 to 1.
    pub matched: Option<f64>,
    /// Requests per second by `code flags`.
    pub codes: BTreeMap<String, f64>,
}

impl Graph {
    /// The node with this id.
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }
}

impl Edge {
    /// Whether the edge had no traffic.
    pub fn is_empty(&self) -> bool {
        self.rate + self.received + self.sent <= 0.0
    }
}
