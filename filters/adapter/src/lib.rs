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
mod stream_kind;

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
