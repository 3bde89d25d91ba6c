//! Built modules, run without Envoy.
//!
//! [`Vm`] runs a module of `dist/` in an interpreter. Its host functions are those of the proxy-wasm ABI 0.2.1; [`Envoy`]
//! is what they ask and change. Like the real one, it has contexts, each about a stream or none, and answers each call by
//! what that context has at that moment: attributes that are known by then, header maps and buffers while they pass. So a
//! test sets what Envoy knows, lets events happen, and reads what has become of Envoy. The order of calls does not matter.
//!
//! [`Envoy::script`] makes any call answer anything, to show that a module bears it.

// Sums of a test tool: an overflow is a bug that debug builds report by themselves.
#![allow(clippy::arithmetic_side_effects)]

mod calls;
mod context;
mod envoy;
mod expressions;
mod headers;
mod http;
mod imports;
mod memory;
mod metrics;
mod module;
mod root;
mod stream;
mod tcp;
mod vm;

pub use calls::{Call, CallResponse};
pub use context::End;
pub use envoy::{Answer, Asked, Envoy, Level};
pub use metrics::{Metric, MetricKind, Metrics};
pub use root::Plugin;
pub use stream::{Buffer, Map, Stream};
pub use vm::{Action, Vm};

/// The statuses of the ABI.
pub mod status {
    /// All is well.
    pub const OK: u32 = 0;
    /// What was asked for is not there.
    pub const NOT_FOUND: u32 = 1;
    /// An argument is wrong, or the call is not for this moment.
    pub const BAD_ARGUMENT: u32 = 2;
    /// The value has no form as bytes.
    pub const SERIALIZATION_FAILURE: u32 = 3;
    /// It could not be done.
    pub const INTERNAL_FAILURE: u32 = 10;
    /// The largest status.
    pub const LAST: u32 = 12;
}

/// An attribute's path as Envoy wants it: parts joined by NUL. Tests write dots, unless a part has dots of its own.
fn path_of(path: &str) -> String {
    if path.contains('\0') {
        path.into()
    } else {
        path.replace('.', "\0")
    }
}
