//! Names and the version that a release bears.

/// The version of what is released.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where images are said to be when nobody says it: a name that belongs to no one.
pub const IMAGES: &str = "registry.example.com/remixer";

/// The module that the WasmPlugins name.
pub const ALL_FILTERS: &str = "remixer.wasm";

/// The directory of programs, with what they are made of.
pub const PROGRAMS: &str = "bin/";
