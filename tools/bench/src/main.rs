//! The program `bench`.

use std::process::ExitCode;

use anyhow::Result;
use bench::options::{Arguments, USAGE};
use bench::{run, table};

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<ExitCode> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    if arguments.help {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        print!("{}", table::list());
        return Ok(ExitCode::SUCCESS);
    }
    run::bench(&arguments)
}
