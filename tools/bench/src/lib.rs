//! `make bench`: what the modules cost, measured so that a stranger can believe it.
//!
//! One Envoy has a listener for each variant, and its only worker has a core to itself; load and upstreams share another.
//! Variants take turns within fractions of a second, each beside a listener without filters, and what is told is the CPU
//! time of the worker per request over that ([`rounds`]). Before it is measured, each variant shows that it does its work
//! ([`proof`]). What is compared is one table ([`variants`]).

// Counts, ports and durations of a measuring tool: an overflow is a bug that debug builds report by themselves.
#![allow(clippy::arithmetic_side_effects)]

pub mod assembly;
pub mod bench;
pub mod bootstrap;
pub mod choice;
pub mod goals;
pub mod idle;
pub mod json;
pub mod latency;
pub mod listener;
pub mod load;
pub mod machine;
pub mod many;
pub mod native;
pub mod options;
pub mod proof;
pub mod proxy;
pub mod report;
pub mod response;
pub mod rounds;
pub mod run;
pub mod scene;
pub mod series;
pub mod site;
pub mod statistics;
pub mod table;
pub mod tls;
pub mod upstream;
pub mod variants;
