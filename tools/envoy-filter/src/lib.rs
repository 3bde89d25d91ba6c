//! Reads Istio `EnvoyFilter` resources strictly and applies them to plain sidecar configurations as Istio does.
//!
//! The YAML a user would `kubectl apply` is thereby the YAML that is tested: [`load`] reads the resources, [`apply`]
//! merges them into one proxy's [`ProxyConfig`].
//!
//! Strictness is the point. Istio ignores much of what it cannot use (an unknown field, a patch that cannot match, an
//! operation that has no effect); here each of these is a [`Problem`] that names file, line and field.
//! Patches that are well formed but touched nothing are told by [`Applied::matched`] and [`unused`].
//!
//! Configurations are `serde_json::Value` in Envoy's JSON form; there is no protobuf schema behind them.
//! What a value may hold beyond its outermost fields only Envoy can check.
//!
//! [`WasmPlugin`] does the same for the resource of that name. [`stats_bootstrap`] writes the one EnvoyFilter that is not written by
//! hand. `mixer-migrate` reads its own resources with [`yaml`] and [`names`], too.
//!
//! # Merging
//!
//! `MERGE` is protobuf's merge: messages merge field by field, lists append, scalars overwrite, a map's entry is
//! replaced as a whole, a `oneof` member displaces its siblings. Two consequences surprise users of Istio and hold
//! here too: a patch cannot set a scalar back to its default (`false`, `0`, `""`), and a nested `Any` (an object with
//! `@type`) is replaced, not merged; only a filter's own `typed_config` and a transport socket's are merged inside.
//! Which fields are maps and which belong to a `oneof` is a table of the names Envoy uses; an enum's default value
//! cannot be told from any other and overwrites.

// Positions in lists and line numbers; nothing here runs in a proxy.
#![allow(clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod apply;
mod bootstrap;
mod fields;
mod matches;
mod merge;
pub mod names;
mod parse;
mod problem;
mod proxy;
mod resource;
mod wasm_plugin;
pub mod yaml;

pub use apply::{apply, unused, Applied};
pub use bootstrap::{bootstrap_override, bucket_setting, stats_bootstrap};
pub use parse::{load, parse};
pub use problem::Problem;
pub use proxy::{Proxy, ProxyConfig, ProxyKind, ROOT_NAMESPACE};
pub use resource::{ApplyTo, Context, EnvoyFilter, Operation, Patch, PatchContext};
pub use wasm_plugin::{FailStrategy, Mode, Phase, PluginType, PullPolicy, WasmPlugin};

/// Where our EnvoyFilters find modules in a proxy's container; in the local mesh that is `dist/`.
pub const MODULES: &str = "/var/local/remixer/";
