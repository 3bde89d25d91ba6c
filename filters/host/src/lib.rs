//! The only adapter from the host traits to the proxy-wasm ABI.
