//! The three situations in which a filter is measured.

use anyhow::Result;

use crate::load::Target;
use crate::site::{Site, CALLER};
use crate::tls;

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
