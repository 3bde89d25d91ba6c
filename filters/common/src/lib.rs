//! What the filters share, free of any host.
//!
//! Nothing here links proxy-wasm, so everything here is tested natively and under Node. A filter crate adds its own
//! decisions to these parts; `mesh-host` connects them to Envoy.
//!
//! * [`host`]: what a filter may ask of Envoy, and [`property`]: the names it asks by; [`pairs`]: how header maps come
//! * [`peer`]: who a proxy is, and the filter state in which the filters of a stream share it
//! * [`labels`], [`response_flags`], [`metric_name`]: the vocabulary of the metrics, and how Envoy is told of it
//! * [`expression`] and [`evaluation`]: the expressions that an operator writes
//! * [`config`]: plugin configuration, with every mistake named
//! * [`text_map`]: a few texts by name
//! * [`bounded`]: caches that an outsider cannot grow

pub mod bounded;
pub mod bytes;
pub mod config;
pub mod content_type;
pub mod direction;
pub mod evaluation;
pub mod expression;
#[cfg(feature = "test-util")]
pub mod fake;
pub mod host;
pub mod labels;
pub mod metric;
pub mod metric_name;
pub mod pairs;
pub mod peer;
pub mod property;
pub mod protobuf;
pub mod response_flags;
pub mod text_map;
