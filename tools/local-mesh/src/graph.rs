//! The service graph of a mesh, out of its Prometheus: who calls whom, how often, how well.
//!
//! An edge is what the caller's proxy says of it, as only that one sees requests that never arrive; what the callee's says
//! counts where the caller has no proxy. Whether it is mutual TLS, only the callee's knows.

mod build;
mod selection;
mod servicegraph;

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

pub use selection::Selection;
pub use servicegraph::{d3_graph, dot, service_graph};

use self::build::Builder;
use crate::prometheus::Queries;

/// The labels that say who called whom.
const ENDS: &str = "reporter, source_workload, source_workload_namespace, source_app, source_version, \
    destination_workload, destination_workload_namespace, destination_app, destination_version, \
    destination_service_name, destination_service_namespace";

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
    /// Asks Prometheus.
    pub async fn of(prometheus: &Queries, selection: &Selection) -> Result<Self> {
        let horizon = selection.horizon();
        let rate = |by: &str, metric: &str| format!("sum by ({by}) (rate({metric}[{horizon}]))");
        let outcome = "request_protocol, response_code, response_flags, grpc_response_status";
        let requests = rate(&format!("{ENDS}, connection_security_policy, {outcome}"), "istio_requests_total");
        let durations = rate(&format!("{ENDS}, le"), "istio_request_duration_milliseconds_bucket");
        let slowest = format!("histogram_quantile(0.99, {durations})");
        let tcp = |metric: &str| rate(&format!("{ENDS}, connection_security_policy"), metric);
        let [received, sent, opened] =
            ["received_bytes", "sent_bytes", "connections_opened"].map(|what| tcp(&format!("istio_tcp_{what}_total")));
        // The shadow filter's; where there is none, the answers are empty.
        let copies = rate("namespace, pod, mirror", "shadow_requests_total");
        let compared = rate("namespace, pod, mirror, result", "shadow_compare_total{role!=\"control\"}");
        let (requests, slowest, received, sent, opened, copies, compared) = tokio::try_join!(
            prometheus.query(&requests),
            prometheus.query(&slowest),
            prometheus.query(&received),
            prometheus.query(&sent),
            prometheus.query(&opened),
            prometheus.query(&copies),
            prometheus.query(&compared),
        )?;
        let mut builder = Builder::default();
        requests.iter().for_each(|sample| builder.add_requests(sample));
        slowest.iter().for_each(|sample| builder.add_p99(sample));
        received.iter().for_each(|sample| builder.add_tcp(sample, |side| &mut side.received));
        sent.iter().for_each(|sample| builder.add_tcp(sample, |side| &mut side.sent));
        opened.iter().for_each(|sample| builder.add_tcp(sample, |side| &mut side.rate));
        let mut graph = builder.build();
        build::add_mirrors(&mut graph, &copies, &compared);
        Ok(selection.apply(graph))
    }

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

#[cfg(test)]
mod tests;
