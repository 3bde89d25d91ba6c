//! Programs that are run to their end.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{bail, Context, Result};

/// What a program that ended well wrote to stdout; an error with what it said, if it did not end well.
pub fn run(program: impl AsRef<Path>, arguments: &[&str]) -> Result<String> {
    run_with(&mut Command::new(program.as_ref()), arguments, "")
}

/// The same, of a program with an environment or a directory of its own, and with input.
pub fn run_with(command: &mut Command, arguments: &[&str], input: &str) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let said = || format!("{name} {}", arguments.join(" "));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(said)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It need not read it; if that matters, it will say so.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().with_context(said)?;
    if !output.status.success() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        bail!("{}: {}: {} {}", said(), output.status, text(&output.stderr), text(&output.stdout));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
