//! What the scenes share: who is there, on which addresses, and what is sent.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use labels::peer::Peer;
use local_mesh::config::{node_id, port, Files, SidecarConfig, ISTIO_VERSION};
use local_mesh::topology::{Topology, Workload};
use metadata_exchange::wire::{ID_HEADER, METADATA_HEADER};

/// The workload beside which the measured proxy stands, who calls it, and whom it calls.
pub const MEASURED: &str = "productpage-v1";
/// See [`MEASURED`].
pub const CALLER: &str = "frontend-v1";
/// See [`MEASURED`].
pub const CALLEE: &str = "reviews-v1";
/// See [`MEASURED`].
pub const DATABASE: &str = "ledger-v1";

/// The port of every application.
pub const APPLICATION_PORT: u16 = 9080;

/// Bytes of a body, about what a small service answers.
const BODY: usize = 128;

/// Who is there and where.
#[derive(Debug)]
pub struct Site {
    /// The workloads.
    pub topology: Topology,
    /// Directories for this run.
    pub files: Files,
    /// The modules that are measured.
    pub modules: PathBuf,
    /// The modules of [`crate::assembly`].
    pub assembled: PathBuf,
}

impl Site {
    /// On 127.`network`.x.x, with configuration in `directory`.
    pub fn new(network: u8, directory: &Path, modules: &Path) -> Result<Self> {
        let topology = Topology::parse(include_str!("topology.yaml"))?.rebase(network);
        let site = Self {
            topology,
            files: Files { directory: directory.join(MEASURED), pki: directory.join("pki") },
            modules: modules.to_owned(),
            assembled: directory.join("modules"),
        };
        local_mesh::pki::write(&site.topology, &site.files.pki)?;
        crate::assembly::write(&site.assembled, &site.peer(site.workload(CALLER)?).to_state())?;
        Ok(site)
    }

    /// One of them.
    pub fn workload(&self, name: &str) -> Result<&Workload> {
        self.topology.workload(name).with_context(|| format!("the topology has no {name}"))
    }

    /// What the measured proxy is told before anything is added to it.
    pub fn plain(&self) -> Result<SidecarConfig> {
        Ok(SidecarConfig::plain(&self.topology, self.workload(MEASURED)?, &self.files))
    }

    /// The address of listener number `index` of a scene, which has a third byte of its own.
    pub fn listener(&self, scene: u8, index: usize) -> Result<SocketAddr> {
        let last = u8::try_from(index + 1).context("too many variants")?;
        Ok(SocketAddr::from((Ipv4Addr::new(127, self.topology.network(), scene, last), port::INBOUND)))
    }

    /// Where the application of a workload listens.
    pub fn application(&self, name: &str) -> Result<SocketAddr> {
        Ok(SocketAddr::from((self.workload(name)?.address, APPLICATION_PORT)))
    }

    /// What a proxy says of its workload, as [`local_mesh::config`] writes it into node metadata.
    pub fn peer(&self, workload: &Workload) -> Peer {
        Peer {
            name: workload.pod(),
            namespace: workload.namespace.clone(),
            workload_name: workload.name.clone(),
            owner: format!("kubernetes://apis/apps/v1/namespaces/{}/deployments/{}", workload.namespace, workload.name),
            mesh_id: self.topology.trust_domain.clone(),
            cluster_id: "Kubernetes".to_owned(),
            istio_version: ISTIO_VERSION.to_owned(),
            labels: workload.all_labels().into_iter().collect(),
        }
    }

    /// A request as a browser's, passed on by a sidecar.
    pub fn request(&self, host: &str, from: Option<&Workload>) -> Result<Arc<[u8]>> {
        let mut text = format!(
            "GET /api/v1/products/17/reviews?page=2 HTTP/1.1\r\n\
             host: {host}\r\n\
             user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36\r\n\
             accept: application/json, text/plain, */*\r\n\
             accept-encoding: gzip, deflate, br\r\n\
             accept-language: en-GB,en;q=0.9,de;q=0.8\r\n\
             cookie: session=eyJ1c2VyIjoiamFzb24ifQ.Zx8k3A.b2Zm\r\n\
             x-forwarded-proto: http\r\n\
             x-request-id: 6f1d3c1e-57a0-9d5a-a2a6-0f3f8c1c9b11\r\n\
             traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
        );
        if let Some(workload) = from {
            text.push_str(&self.peer_headers(workload)?);
        }
        text.push_str("\r\n");
        Ok(text.into_bytes().into())
    }

    /// An answer; with metadata if it comes from a sidecar.
    pub fn answer(&self, from: Option<&Workload>) -> Result<Arc<[u8]>> {
        let mut text = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
             server: bench\r\ncontent-length: {BODY}\r\n"
        );
        if let Some(workload) = from {
            text.push_str("x-envoy-upstream-service-time: 1\r\n");
            text.push_str(&self.peer_headers(workload)?);
        }
        text.push_str("\r\n");
        text.push_str(&body());
        Ok(text.into_bytes().into())
    }

    /// The two headers by which a workload's proxy introduces itself.
    pub fn peer_headers(&self, workload: &Workload) -> Result<String> {
        let metadata = metadata_exchange::wire::encode(&self.peer(workload)).ok().context("metadata too large")?;
        Ok(format!("{METADATA_HEADER}: {metadata}\r\n{ID_HEADER}: {}\r\n", node_id(workload)))
    }
}

/// The body of every answer.
pub fn body() -> String {
    "x".repeat(BODY)
}
