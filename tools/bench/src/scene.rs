//! The three situations in which a filter is measured, each a listener as Istio configures it.

use anyhow::{Context, Result};
use local_mesh::config::{outbound_cluster, port, SidecarConfig};
use serde_json::{json, Value};

use crate::load::Target;
use crate::native;
use crate::site::{body, Site, CALLEE, CALLER, MEASURED};
use crate::variants::{Variant, VARIANTS};
use crate::{tls, upstream};

/// Where a filter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scene {
    /// Plaintext in, answered by Envoy itself: the least that a request can cost.
    Direct,
    /// An inbound sidecar: mutual TLS in, plaintext to the application.
    Hop,
    /// An outbound sidecar: plaintext from the application, mutual TLS out.
    Outbound,
}

/// ALPN of a sidecar that speaks HTTP/1.1.
const MESH_HTTP1: &str = "istio-http/1.1";

impl Scene {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Hop, Self::Outbound];

    /// Its name in the names of variants.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Hop => "hop",
            Self::Outbound => "outbound",
        }
    }

    /// What is compared in it.
    pub fn variants(self) -> impl Iterator<Item = &'static Variant> {
        VARIANTS.iter().filter(move |variant| variant.scene == self)
    }

    /// What it is.
    pub fn about(self) -> &'static str {
        match self {
            Self::Direct => {
                "inbound listener, plaintext, answered by Envoy itself; the caller is known from its connection"
            }
            Self::Hop => {
                "inbound sidecar: mutual TLS in, plaintext to an application; the caller's metadata in headers"
            }
            Self::Outbound => {
                "outbound sidecar: plaintext in, mutual TLS to an upstream that answers with its metadata"
            }
        }
    }

    /// The third byte of its listeners' addresses.
    pub fn network(self) -> u8 {
        match self {
            Self::Direct => 1,
            Self::Hop => 2,
            Self::Outbound => 3,
        }
    }

    /// The listener without any filter to be measured, under the name that EnvoyFilters match.
    pub fn listener(self, site: &Site, plain: &SidecarConfig) -> Result<Value> {
        let mut listener = plain
            .listeners
            .iter()
            .find(|listener| (listener["name"] == "virtualInbound") == (self != Self::Outbound))
            .context("the plain configuration has no such listener")?
            .clone();
        match self {
            Self::Direct => {
                let manager = listener.pointer("/filter_chains/0/filters/0/typed_config").cloned().unwrap_or_default();
                set(&mut listener, "listener_filters", json!([]));
                set(&mut listener, "filter_chains", json!([{"filters": [direct_manager(manager)]}]));
            }
            Self::Hop => {
                if let Some(chains) = listener.get_mut("filter_chains").and_then(Value::as_array_mut) {
                    chains.truncate(1); // mutual TLS; the other is for plaintext
                }
            }
            Self::Outbound => {}
        }
        if self != Self::Outbound {
            let filters = listener.pointer_mut("/filter_chains/0/filters").and_then(Value::as_array_mut);
            filters.context("a listener without filters")?.insert(0, native::caller_on_connection(site)?);
        }
        Ok(listener)
    }

    /// Where its load goes.
    pub fn target(self, site: &Site, index: usize) -> Result<Target> {
        let address = site.listener(self.network(), index)?;
        Ok(match self {
            Self::Direct => Target { address, tls: None, request: site.request("productpage:9080", None)? },
            Self::Hop => Target {
                address,
                tls: Some(tls::client(site.workload(CALLER)?, &site.files.pki, MESH_HTTP1)?),
                request: site.request("productpage:9080", Some(site.workload(CALLER)?))?,
            },
            Self::Outbound => Target { address, tls: None, request: site.request("reviews:9080", None)? },
        })
    }

    /// Labels that even a perfect filter does not know here.
    pub fn unknown_labels(self) -> &'static [&'static str] {
        match self {
            // No certificate, and no cluster to tell the service.
            Self::Direct => &["source_principal", "destination_principal", "destination_service"],
            Self::Hop => &[],
            // Only the server knows what it demanded of the client.
            Self::Outbound => &["connection_security_policy"],
        }
    }
}

/// Adds what the scenes need to the clusters.
pub fn prepare_clusters(site: &Site, config: &mut SidecarConfig) -> Result<()> {
    let reviews = site.topology.service("reviews").context("the topology has no reviews")?;
    let names = [outbound_cluster(reviews, "v1"), outbound_cluster(reviews, "")];
    for cluster in &mut config.clusters {
        if names.iter().any(|name| cluster["name"] == name.as_str()) {
            let metadata = cluster.pointer_mut("/load_assignment/endpoints/0/lb_endpoints/0/metadata/filter_metadata");
            let metadata = metadata.context("a cluster without endpoint metadata")?;
            set(metadata, native::ENDPOINT_METADATA, native::callee_metadata(site)?);
        }
    }
    Ok(())
}

/// Starts what the scenes forward to.
pub fn serve_upstreams(site: &Site, runtime: &tokio::runtime::Runtime) -> Result<()> {
    upstream::serve(runtime, site.application(MEASURED)?, None, site.answer(None)?)?;
    let callee = site.workload(CALLEE)?;
    let tls = tls::server(callee, &site.files.pki)?;
    upstream::serve(runtime, (callee.address, port::INBOUND).into(), Some(tls), site.answer(Some(callee))?)
}

/// The connection manager with the router alone, and an answer of its own.
fn direct_manager(mut manager: Value) -> Value {
    if let Some(filters) = manager.get_mut("http_filters").and_then(Value::as_array_mut) {
        filters.retain(|filter| filter["name"] == "envoy.filters.http.router");
    }
    let routes = json!({"name": "direct", "virtual_hosts": [{
        "name": "direct",
        "domains": ["*"],
        "routes": [{
            "match": {"prefix": "/"},
            "direct_response": {"status": 200, "body": {"inline_string": body()}},
        }],
    }]});
    set(&mut manager, "route_config", routes);
    json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager})
}

/// Sets a member of an object; anything else is left as it is.
pub fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}
