//! Post-link step of the modules.
//!
//! The proxy-wasm SDK exports every callback of the ABI, and Envoy calls whatever is exported: each call enters the
//! sandbox, for nothing when the filter does not use it. So a filter names the callbacks it implements in its manifest,
//!
//! ```toml
//! [package.metadata.module]
//! callbacks = ["proxy_on_log"]
//! ```
//!
//! and this step removes all other exports, takes the bodies out of the SDK's methods that no filter calls
//! ([`HELPERS`]), then removes every function, global and import that only these reached. Of functions that are equal,
//! one stays. It adds nothing to a module; the code that stays is the same, written in fewer bytes than the linker pads it to.

mod abi;
mod duplicates;
mod helpers;
mod manifest;
mod module;
mod report;

pub use abi::{ALWAYS, CALLBACKS};
pub use helpers::HELPERS;
pub use manifest::{check_table, filters_in, ModuleCrate};
pub use module::{pack, Names};
pub use report::{Packed, Report};
