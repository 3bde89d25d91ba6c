//! The tree of commands.

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{bootstrap, check, completions, graph, mesh, migrate, stats_logger, stats_tags};
use crate::exit::{self, Exit};

const EXAMPLES: &str = "\
Examples:
  remixer mesh --for 20s                            # run a local mesh for 20 s and check it
  remixer graph --prometheus 127.0.0.1:9090         # show a live picture of any mesh
  remixer check fault-outbound.yaml                 # find mistakes before you apply the file
  remixer migrate --check mixer.yaml                # report what can be migrated from Mixer
  remixer help mesh render                          # show the help of one command";

/// Run a local mesh, look at a mesh, and make configuration for Remixer's modules
#[derive(Debug, Parser)]
#[command(name = "remixer", version, after_help = format!("{EXAMPLES}\n\n{}", exit::HELP), args_override_self = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Mesh(Box<mesh::Arguments>),
    Graph(graph::Arguments),
    Check(check::Arguments),
    Bootstrap(bootstrap::Arguments),
    StatsTags(stats_tags::Arguments),
    StatsLogger(stats_logger::Arguments),
    Migrate(migrate::Arguments),
    Completions(completions::Arguments),
}

/// The tree as clap has it.
pub fn command() -> clap::Command {
    Cli::command()
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> Result<Exit> {
        match self.command {
            Command::Mesh(arguments) => mesh::run(*arguments),
            Command::Graph(arguments) => graph::run(&arguments),
            Command::Check(arguments) => check::run(&arguments),
            Command::Bootstrap(arguments) => bootstrap::run(&arguments),
            Command::StatsTags(arguments) => stats_tags::run(&arguments),
            Command::StatsLogger(arguments) => stats_logger::run(&arguments),
            Command::Migrate(arguments) => migrate::run(&arguments),
            Command::Completions(arguments) => completions::run(&arguments, &mut command()),
        }
    }
}
