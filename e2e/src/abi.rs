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
mod path;
mod root;
pub mod status;
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
