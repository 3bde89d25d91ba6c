//! `remixer completions`.

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  remixer completions bash > ~/.local/share/bash-completion/completions/remixer
  remixer completions zsh > ~/.zfunc/_remixer       # in a directory of $fpath
  remixer completions fish > ~/.config/fish/completions/remixer.fish";

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Name of the shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, program: &mut clap::Command) -> Result<Exit> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, program, name, &mut script);
    output::write(&String::from_utf8(script)?)?;
    Ok(Exit::Done)
}
