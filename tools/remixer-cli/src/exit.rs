//! Exit statuses, the same for all commands.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it was asked for, and found nothing wrong.
    Done = 0,
    /// It could not do it: wrong usage, a file that cannot be read, a program that is missing.
    Failed = 1,
    /// It did it, and found something wrong with what it looked at.
    Problems = 2,
    /// Ctrl-C came before there was a result.
    Interrupted = 130,
}

/// The same, for helps.
pub const HELP: &str = "\
Exit status:
  0    success
  1    wrong usage, or the command failed
  2    the command succeeded and found a problem in its input or in the mesh
  130  Ctrl-C before there was a result";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
