//! The labels of a stream, and the data behind them.
//!
//! * [`label`] is the list of labels
//! * [`facts`] reads the values that determine the labels; [`side`] says where to read about the peer
//! * [`resolver`] finds the [`peer`] and the [`service`] for the facts, and caches them
//! * [`metadata`] makes texts of what a node's metadata has
//! * [`stream`] decides the value of each label, with all fallbacks
//!
//! The caller decides the form of a value: a number in stats, a field of a line in the access log.

pub mod content_type;
pub mod direction;
pub mod facts;
pub mod label;
pub mod metadata;
pub mod peer;
pub mod protobuf;
pub mod resolver;
pub mod response_flags;
pub mod service;
pub mod side;
pub mod stream;
mod written;

pub use label::{names, End, Label, Labels, COUNT, PEER_COUNT, TCP_COUNT, UNKNOWN};
