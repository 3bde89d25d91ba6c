//! Collections of the filters: bounded, or small where few entries are expected.
//!
//! * [`bounded`]: caches that clients cannot grow
//! * [`bytes`]: bytes read from Envoy, as keys of caches
//! * [`text_map`]: a small map of texts

pub mod bounded;
pub mod bytes;
pub mod text_map;
