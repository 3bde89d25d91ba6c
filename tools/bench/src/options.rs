//! The command line.

use std::path::PathBuf;

use anyhow::{bail, Context, Result};

/// What the command line says of itself.
pub const USAGE: &str = "\
usage: bench [OPTION]...

Measures what the modules cost, beside what Envoy has of its own. Says what it did, prints a table and writes JSON.

  --short           a quick look: few variants, few rounds, under a minute
  --variant NAME    only this: a variant (hop/stats, or stats in all scenes), a scene (hop), or one of new-labels,
                    series, idle and latency; may be given several times
  --rounds N        rounds per scene
  --modules DIR     where the modules are; default dist/
  --json FILE       where the JSON goes; default target/bench.json
  --network N       addresses 127.N.x.x; default 20
  --list            show what can be measured and end";

/// Default of `--network`.
const NETWORK: u8 = 20;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// `--short`.
    pub short: bool,
    /// `--list`.
    pub list: bool,
    /// `--help`.
    pub help: bool,
    /// `--variant`.
    pub variants: Vec<String>,
    /// `--rounds`.
    pub rounds: Option<usize>,
    /// `--modules`.
    pub modules: Option<PathBuf>,
    /// `--json`.
    pub json: Option<PathBuf>,
    /// `--network`.
    pub network: u8,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            short: false,
            list: false,
            help: false,
            variants: Vec::new(),
            rounds: None,
            modules: None,
            json: None,
            network: NETWORK,
        }
    }
}

impl Arguments {
    /// Whether something beside variants is to be measured, by its name.
    pub fn wants(&self, extra: &str) -> bool {
        match self.variants.is_empty() {
            true => !self.short,
            false => self.variants.iter().any(|name| name == extra),
        }
    }

    /// Reads the words after the program's name.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut arguments = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--short" => arguments.short = true,
                "--list" => arguments.list = true,
                "--help" | "-h" => arguments.help = true,
                "--variant" => arguments.variants.push(value()?),
                "--modules" => arguments.modules = Some(PathBuf::from(value()?)),
                "--json" => arguments.json = Some(PathBuf::from(value()?)),
                "--rounds" => arguments.rounds = Some(number(&word, &value()?, 1..=1000)?),
                "--network" => arguments.network = u8::try_from(number(&word, &value()?, 2..=250)?)?,
                other => bail!("{other} is unknown\n{USAGE}"),
            }
        }
        Ok(arguments)
    }
}

fn number(option: &str, text: &str, allowed: std::ops::RangeInclusive<usize>) -> Result<usize> {
    let number = text.parse().ok().filter(|number| allowed.contains(number));
    number.with_context(|| format!("{option}: `{text}` is not a number from {} to {}", allowed.start(), allowed.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Arguments> {
        Arguments::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_may_come_in_any_order_and_variants_several_times() {
        let expected = Arguments {
            short: true,
            variants: vec!["stats".to_owned(), "hop".to_owned()],
            rounds: Some(7),
            json: Some("x.json".into()),
            modules: Some("other".into()),
            network: 33,
            ..Arguments::default()
        };
        let words = "--variant stats --short --rounds 7 --json x.json --variant hop --modules other --network 33";
        assert_eq!(parse(words).unwrap(), expected);
        assert_eq!(parse("").unwrap(), Arguments::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, expected) in [
            ("--rounds", "--rounds needs a value"),
            ("--rounds 0", "`0` is not a number from 1 to 1000"),
            ("--network 300", "`300` is not a number from 2 to 250"),
            ("--fast", "--fast is unknown"),
        ] {
            let error = parse(words).unwrap_err().to_string();
            assert!(error.contains(expected), "{words}: {error}");
        }
    }
}
