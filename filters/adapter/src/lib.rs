//! The only adapter from the host traits to the proxy-wasm ABI.
//!
//! The calls of the SDK panic on statuses that they do not expect, and a panic ends the VM for every stream of the
//! worker. So the host functions are declared here once more, and each answers with a result. Nothing is decided here but
//! whether a stream is HTTP or TCP, which only the host can tell.

mod abi;
mod envoy;
mod live;
mod logging;
mod passing;
mod plugin;
mod root;

use core::cell::Cell;

use host::property;
use host::Host;
use proxy_wasm::types::ContextType;

pub use envoy::Envoy;
pub use live::Live;
pub use logging::start;
pub use passing::Passing;
pub use plugin::Plugin;
pub use root::Root;

/// The standard library's allocator is 6 KB larger in each module, and no faster.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// Which kind of streams a root context has.
///
/// Envoy does not tell, but a request has a protocol from its beginning and a TCP connection never has one. So the first
/// request settles it; by Istio's convention, so does a VM id or root id that begins with `tcp_`.
#[derive(Debug, Default)]
struct StreamKind {
    known: Cell<Option<ContextType>>,
}

impl StreamKind {
    /// What the root context of the current callback says of itself.
    fn of_root() -> Self {
        let named_tcp = [property::PLUGIN_VM_ID, property::PLUGIN_ROOT_ID]
            .into_iter()
            .any(|path| Envoy.property(path).is_some_and(|id| id.starts_with(b"tcp_")));
        Self { known: Cell::new(named_tcp.then_some(ContextType::StreamContext)) }
    }

    /// Whether the root context is named as one of TCP connections.
    fn is_known_as_tcp(&self) -> bool {
        self.known.get() == Some(ContextType::StreamContext)
    }

    /// The kind of the stream that is about to begin.
    fn get(&self) -> ContextType {
        self.known.get().unwrap_or_else(|| {
            if Envoy.property(property::REQUEST_PROTOCOL).is_none() {
                return ContextType::StreamContext;
            }
            self.known.set(Some(ContextType::HttpContext));
            ContextType::HttpContext
        })
    }
}
