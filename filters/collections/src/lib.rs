//! Collections of the filters: bounded, or small where few entries are expected.
//!
//! * [`bounded`]: caches that an outsider cannot grow
//! * [`bytes`]: bytes that were read of Envoy, as keys of caches
//! * [`names`]: texts, each once, by number
//! * [`text_map`]: a few texts by name

pub mod bounded;
pub mod bytes;
pub mod names;
pub mod text_map;
