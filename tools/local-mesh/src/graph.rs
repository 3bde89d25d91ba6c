//! The service graph of a mesh, from its Prometheus: the calls between workloads, their rates and errors.
//!
//! The caller's proxy is the source for an edge, because only that proxy sees requests that never arrive. If the caller has
//! no proxy, the callee's is used. Only the callee's proxy knows whether a request came over mutual TLS.

mod build;
mod model;
mod selection;
mod servicegraph;

use anyhow::Result;

pub use model::{Edge, EdgeKind, Graph, Node, NodeKind};
pub use selection::Selection;
pub use servicegraph::{d3_graph, dot, service_graph};

use self::build::Builder;
use crate::prometheus::Queries;

/// The labels of both ends of a call.
const ENDS: &str = "reporter, source_workload, source_workload_namespace, source_app, source_version, \
    destination_workload, destination_workload_namespace, destination_app, destination_version, \
    destination_service_name, destination_service_namespace";

impl Graph {
    /// Queries Prometheus.
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
        // Metrics of the shadow filter. Without it, the results are empty.
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
}

#[cfg(test)]
mod tests;
