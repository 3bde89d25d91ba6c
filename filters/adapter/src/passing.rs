//! A stream with which a plugin has nothing to do.

use proxy_wasm::traits::{Context, HttpContext, StreamContext};

/// A request or connection that passes.
#[derive(Clone, Copy, Debug)]
pub struct Passing;

impl Context for Passing {}

impl HttpContext for Passing {}

impl StreamContext for Passing {}
