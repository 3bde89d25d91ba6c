//! Who called whom: the labels of a stream, and what they are made of.
//!
//! * [`label`] is the one list of labels
//! * [`facts`] reads of a stream what its labels follow from, by way of the [`side`] that the other proxy is on
//! * [`resolver`] finds the [`peer`] and the [`service`] that the facts tell of, and remembers them
//! * [`stream`] decides each label's text, with what stands for it where the best source says nothing
//!
//! What a value becomes is for whoever asks: a number in stats, a field of a line in the access log.

pub mod content_type;
pub mod direction;
pub mod facts;
pub mod label;
pub mod peer;
pub mod protobuf;
pub mod resolver;
pub mod response_flags;
pub mod service;
pub mod side;
pub mod stream;

pub use label::{names, Label, Labels, COUNT, PEER_COUNT, TCP_COUNT, UNKNOWN};
