//! Reads Istio `EnvoyFilter` resources strictly and applies them to plain sidecar configurations as Istio does.
//!
//! So the YAML in the tests is the YAML that a user would `kubectl apply`. [`load`] reads the resources, [`apply`] applies
//! them to one proxy's [`ProxyConfig`].
//!
//! Reading is strict on purpose. Istio ignores many mistakes: an unknown field, a patch that cannot match, an operation
//! without effect. Here each of these is a [`Problem`] with file, line and field. Valid patches that changed nothing are
//! reported by [`Applied::matched`] and [`unused`].
//!
//! Configurations are `serde_json::Value` in Envoy's JSON form, without a protobuf schema. So only Envoy can check a value
//! below its outermost fields.
//!
//! [`WasmPlugin`] does the same for that resource. [`check()`] tells what is wrong with a resource that only Istio shall apply. [`stats_bootstrap`] writes the only EnvoyFilter that is generated.
//! `mixer-migrate` also uses [`yaml`] and [`names`], for its own resources.
//!
//! # Merging
//!
//! `MERGE` is protobuf's merge: messages merge field by field, lists append, scalars overwrite, a map's entry is replaced
//! as a whole, and a `oneof` member removes its siblings. Two consequences surprise users of Istio, and are the same here.
//! A patch cannot set a scalar back to its default (`false`, `0`, `""`). A nested `Any` (an object with `@type`) is
//! replaced, not merged; only the `typed_config` of a filter or a transport socket is merged inside. A table of Envoy's
//! field names tells which fields are maps and which belong to a `oneof`. An enum's default value looks like any other
//! value, and overwrites.

// Indices and line numbers; this code does not run in a proxy.
#![allow(clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod apply;
mod bootstrap;
mod check;
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
pub use check::{check, KINDS};
pub use parse::{load, parse};
pub use problem::Problem;
pub use proxy::{Proxy, ProxyConfig, ProxyKind, ROOT_NAMESPACE};
pub use resource::{ApplyTo, Context, EnvoyFilter, Operation, Patch, PatchContext};
pub use wasm_plugin::{digest_problem, FailStrategy, Mode, Phase, PluginType, PullPolicy, WasmPlugin};

/// The path of modules in a proxy's container in our EnvoyFilters. In the local mesh, it is `dist/`.
pub const MODULES: &str = "/var/local/remixer/";
