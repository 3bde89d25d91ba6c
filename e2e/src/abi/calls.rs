//! Requests that a module makes.

use std::time::Duration;

use crate::abi::headers::Headers;

/// A request that a module has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// By what it is answered.
    pub token: u32,
    /// The plugin that is told of the answer.
    pub root: u32,
    /// The context that the call was made from.
    pub from: u32,
    /// The cluster that it goes to.
    pub cluster: String,
    /// Its headers.
    pub headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// The answer to a call. One without headers is none: the call has failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallResponse {
    /// Headers.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Headers,
}
