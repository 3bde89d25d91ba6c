//! Nodes and edges of a service graph.

use std::collections::BTreeMap;

use serde::Serialize;

/// A mesh as it was during a span of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Graph {
    /// By id.
    pub nodes: Vec<Node>,
    /// By source, target and kind.
    pub edges: Vec<Edge>,
}

/// Who calls, or is called.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// Unique in the graph.
    pub id: String,
    /// What it is.
    pub kind: NodeKind,
    /// Name of the workload, the service or the mirror.
    pub name: String,
    /// Namespace; empty when there is none.
    pub namespace: String,
    /// Label `app`; empty when nobody told.
    pub app: String,
    /// Label `version`; empty when nobody told.
    pub version: String,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// A workload of the mesh.
    Workload,
    /// A service of which no workload took the requests: none was there, or none in the mesh.
    Service,
    /// Clients that nothing is known of.
    Unknown,
    /// Where requests go that no route takes.
    Nowhere,
    /// What a shadow filter sends its copies to.
    Mirror,
}

/// What goes over an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeKind {
    /// Requests, of HTTP or gRPC.
    Http,
    /// Bytes of TCP connections.
    Tcp,
    /// Copies of requests.
    Shadow,
}

/// Who sends to whom, in means over the span of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Id of the sender.
    pub source: String,
    /// Id of the receiver.
    pub target: String,
    /// What is sent.
    pub kind: EdgeKind,
    /// Requests (of TCP, new connections) per second.
    pub rate: f64,
    /// Share of the requests that failed, 0 to 1: 5xx, no answer, or a gRPC status that is not OK.
    pub errors: f64,
    /// Milliseconds within which 99 % of the requests were answered.
    pub p99: Option<f64>,
    /// TCP: bytes per second from the source to the target.
    pub received: f64,
    /// TCP: bytes per second from the target to the source.
    pub sent: f64,
    /// Share of what came by mutual TLS, 0 to 1; None when the target has no proxy that could tell.
    pub mtls: Option<f64>,
    /// Share of the requests that a fault filter delayed, 0 to 1 (response flag DI).
    pub delayed: f64,
    /// Share of the requests that a fault filter answered, 0 to 1 (response flag FI).
    pub aborted: f64,
    /// Copies: share of those compared that were answered alike, 0 to 1.
    pub matched: Option<f64>,
    /// Requests per second by `code flags`.
    pub codes: BTreeMap<String, f64>,
}

impl Graph {
    /// The node of an id.
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }
}

impl Edge {
    /// True when nothing went over it.
    pub fn is_empty(&self) -> bool {
        self.rate + self.received + self.sent <= 0.0
    }
}
