//! Whether the streams of a plugin are HTTP or TCP.

use core::cell::Cell;

use host::property;
use host::Host;
use proxy_wasm::types::ContextType;

use crate::envoy::Envoy;

/// Which kind of streams a root context has.
///
/// Envoy does not tell, but a request has a protocol from its beginning and a TCP connection never has one. So the first
/// request settles it; by Istio's convention, so does a VM id or root id that begins with `tcp_`.
#[derive(Debug, Default)]
pub struct StreamKind {
    known: Cell<Option<ContextType>>,
}

impl StreamKind {
    /// What the root context of the current callback says of itself.
    pub fn of_root() -> Self {
        let named_tcp = [property::PLUGIN_VM_ID, property::PLUGIN_ROOT_ID]
            .into_iter()
            .any(|path| Envoy.property(path).is_some_and(|id| id.starts_with(b"tcp_")));
        Self { known: Cell::new(named_tcp.then_some(ContextType::StreamContext)) }
    }

    /// Whether the root context is named as one of TCP connections.
    pub fn is_known_as_tcp(&self) -> bool {
        self.known.get() == Some(ContextType::StreamContext)
    }

    /// The kind of the stream that is about to begin.
    pub fn get(&self) -> ContextType {
        self.known.get().unwrap_or_else(|| {
            if Envoy.property(property::REQUEST_PROTOCOL).is_none() {
                return ContextType::StreamContext;
            }
            self.known.set(Some(ContextType::HttpContext));
            ContextType::HttpContext
        })
    }
}
