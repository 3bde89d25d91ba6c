//! How mistakes on the command line are told: the option, its value, and what is allowed.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// Whether it is not a mistake, but the wish for help or the version.
pub fn is_request(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// The command that words name, as far as there is one.
pub fn meant<'a>(command: &'a Command, words: &[OsString]) -> &'a Command {
    let names = words.iter().skip(1).filter(|word| *word != "help");
    names.map_while(|word| word.to_str()).fold(command, |found, name| found.find_subcommand(name).unwrap_or(found))
}

/// What is wrong with a command, what is allowed, and how it is called.
pub fn explain(error: &Error, command: &Command) -> String {
    let Some(headline) = headline(error) else {
        // Without a command there is its help; of other kinds clap says it well.
        let text = error.render().to_string();
        return text.strip_prefix("error: ").map_or_else(|| format!("a command is needed\n\n{text}"), str::to_owned);
    };
    let mut text = format!("{headline}\n");
    if let Some(allowed) = allowed(error, command) {
        text.push_str(&format!("  {allowed}\n"));
    }
    if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) {
        text.push_str(&format!("\n{usage}\n"));
    }
    text.push_str("\nMore: --help\n");
    text
}

/// What is wrong, in a line.
pub fn headline(error: &Error) -> Option<String> {
    let argument = of(error, ContextKind::InvalidArg);
    // `--tcp <WHAT>` is its name and its value's.
    let name = argument.split(' ').next().unwrap_or_default();
    let value = of(error, ContextKind::InvalidValue);
    Some(match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => format!("{argument} is unknown"),
        ErrorKind::UnknownArgument => format!("{argument:?} is not expected"),
        ErrorKind::InvalidSubcommand => format!("there is no command {:?}", of(error, ContextKind::InvalidSubcommand)),
        ErrorKind::InvalidValue if value.is_empty() => format!("{name} needs a value"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => format!("{name} cannot be {value:?}"),
        ErrorKind::TooManyValues => format!("{name}={value} is unknown"),
        ErrorKind::MissingRequiredArgument => missing(&argument),
        ErrorKind::ArgumentConflict => {
            let command = of(error, ContextKind::InvalidSubcommand);
            let name = if name.is_empty() { &command } else { name };
            format!("{name} cannot be used with {}", of(error, ContextKind::PriorArg))
        }
        _ => return None,
    })
}

/// What is allowed instead.
fn allowed(error: &Error, command: &Command) -> Option<String> {
    match error.kind() {
        ErrorKind::ValueValidation => return error.source().map(|source| format!("allowed: {source}")),
        ErrorKind::TooManyValues => return Some("it takes no value".to_owned()),
        _ => {}
    }
    let suggested = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    let suggested = suggested.iter().map(|kind| of(error, *kind)).find(|text| !text.is_empty());
    let known = [ContextKind::ValidValue, ContextKind::ValidSubcommand];
    let known = known.iter().map(|kind| of(error, *kind)).find(|text| !text.is_empty());
    let known = known.or_else(|| {
        let names: Vec<&str> =
            command.get_subcommands().map(Command::get_name).filter(|name| *name != "help").collect();
        (error.kind() == ErrorKind::InvalidSubcommand && suggested.is_none()).then(|| names.join(", "))
    });
    known.map(|known| format!("allowed: {known}")).or_else(|| suggested.map(|name| format!("did you mean {name}?")))
}

/// What is missing: `<FILE>...`, or `--prometheus <HOST:PORT>`, or several of these.
fn missing(argument: &str) -> String {
    match argument.strip_prefix('<').and_then(|rest| rest.strip_suffix(">...")) {
        Some(name) if !name.contains('<') => format!("no {}s are given", name.to_lowercase()),
        _ => format!("{argument} is missing"),
    }
}

/// A part of what clap knows of a mistake; empty if it does not have it.
fn of(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    }
}
