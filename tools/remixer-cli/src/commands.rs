//! One file for each command.

pub mod bootstrap;
pub mod check;
pub mod completions;
pub mod graph;
pub mod mesh;
pub mod migrate;
pub mod stats_logger;
pub mod stats_tags;
