//! The program `remixer`: one command for each thing that people do by hand.
//!
//! [`cli`] is the tree of commands. Each command is one file in `commands/`: its options, and what it does with the libraries
//! that do the work. What commands have in common is how they end ([`exit`]), how they read ([`input`]) and write ([`output`]), and
//! how mistakes on the command line are told ([`usage`]).

pub mod cli;
pub mod commands;
pub mod exit;
pub mod input;
pub mod output;
pub mod run;
pub mod usage;
mod values;
