//! `remixer`.

use std::process::ExitCode;

use remixer_cli::cli::Cli;
use remixer_cli::run::run;

fn main() -> ExitCode {
    run(std::env::args_os(), Cli::run)
}
