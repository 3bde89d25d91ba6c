//! From the words of a command line to an exit status.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches};

use crate::exit::Exit;
use crate::{output, usage};

/// Parses the words, and does what they ask for.
pub fn run<C: CommandFactory + FromArgMatches>(
    words: impl IntoIterator<Item = OsString>,
    action: fn(C) -> Result<Exit>,
) -> ExitCode {
    let mut command = C::command();
    let words: Vec<OsString> = words.into_iter().collect();
    let parsed = command.try_get_matches_from_mut(&words).and_then(|matches| C::from_arg_matches(&matches));
    let exit = match parsed {
        Ok(arguments) => action(arguments).unwrap_or_else(|error| {
            output::complain(&format!("{error:#}\n"));
            Exit::Failed
        }),
        Err(error) if usage::is_request(&error) => match output::write_styled(&error.render()) {
            Ok(()) => Exit::Done,
            Err(_) => Exit::Failed,
        },
        Err(error) => {
            output::complain(&usage::explain(&error, usage::meant(&command, &words)));
            Exit::Failed
        }
    };
    exit.into()
}
