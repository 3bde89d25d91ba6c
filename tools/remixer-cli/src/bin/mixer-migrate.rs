//! `mixer-migrate`: the former name of `remixer migrate`, for one release.

use std::process::ExitCode;

use remixer_cli::commands::migrate::FormerName;
use remixer_cli::run::run;

fn main() -> ExitCode {
    run(std::env::args_os(), FormerName::run)
}
