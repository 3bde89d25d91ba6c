//! Envoy's own counters of the edges, without any filter: enough to see that traffic flows.

use anyhow::Result;

use crate::config::{inbound_cluster, outbound_cluster, port};
use crate::mesh::Mesh;
use crate::topology::Edge;
use crate::verdict::Missing;

/// Requests (for TCP, connections) per edge, as sent by the source's proxy, and whether they use TLS.
pub fn render(mesh: &Mesh, tcp_only: bool) -> Result<String> {
    let mut text = String::new();
    for edge in mesh.topology().edges().into_iter().filter(|edge| !(tcp_only && edge.service.is_http())) {
        let (sent, handshakes) = (sent(mesh, &edge)?, handshakes(mesh, &edge)?);
        let tls = if handshakes > 0 { "mTLS" } else { "plaintext" };
        let name = format!("{} -> {}", edge.source.name, edge.destination.name);
        let what = if edge.service.is_http() { "requests" } else { "connections" };
        text.push_str(&format!("{name:<40}  {sent} {what}, {tls}\n"));
    }
    Ok(text)
}

/// Edges without any request or connection, according to the source's proxy.
pub fn missing(mesh: &Mesh) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    for edge in mesh.topology().edges() {
        if sent(mesh, &edge)? == 0 {
            let name = format!("{} -> {}", edge.source.name, edge.destination.name);
            missing.push(Missing { edge: name, what: "the source's proxy sent nothing".to_owned() });
        }
    }
    Ok(missing)
}

/// TCP edges without a connection, at the source or at the destination.
pub fn missing_tcp(mesh: &Mesh) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    for edge in mesh.topology().edges().into_iter().filter(|edge| !edge.service.is_http()) {
        let name = format!("{} -> {}", edge.source.name, edge.destination.name);
        if sent(mesh, &edge)? == 0 {
            missing.push(Missing { edge: name.clone(), what: "the source's proxy opened no connection".to_owned() });
        }
        let arrived = format!("cluster.{}.upstream_cx_total", inbound_cluster(edge.service));
        if mesh.sidecar(&edge.destination.name)?.counter(&arrived)? == 0 {
            missing.push(Missing { edge: name, what: "no connection arrived at the destination's proxy".to_owned() });
        }
    }
    Ok(missing)
}

/// Requests from the source's proxy to the destination's.
fn sent(mesh: &Mesh, edge: &Edge<'_>) -> Result<u64> {
    let source = mesh.sidecar(&edge.source.name)?;
    let destination = mesh.sidecar(&edge.destination.name)?.address(port::INBOUND);
    let mut total = 0;
    for cluster in clusters(edge) {
        let hosts = source.upstream_requests(&cluster)?;
        total += hosts.iter().filter(|(address, _)| *address == destination).map(|(_, count)| count).sum::<u64>();
    }
    Ok(total)
}

fn handshakes(mesh: &Mesh, edge: &Edge<'_>) -> Result<u64> {
    let source = mesh.sidecar(&edge.source.name)?;
    let mut total = 0;
    for cluster in clusters(edge) {
        total += source.counter(&format!("cluster.{cluster}.ssl.handshake"))?;
    }
    Ok(total)
}

fn clusters(edge: &Edge<'_>) -> Vec<String> {
    let subsets = edge.service.subsets.keys().map(String::as_str);
    std::iter::once("").chain(subsets).map(|subset| outbound_cluster(edge.service, subset)).collect()
}
