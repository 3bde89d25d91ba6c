//! `remixer migrate`.

use std::path::PathBuf;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, ValueEnum, ValueHint};
use mixer_migrate::defaults::Version;
use mixer_migrate::diagnostic::Severity;
use mixer_migrate::migration::Migration;
use mixer_migrate::{report, Options, Unit};
use serde_json::json;

use crate::exit::Exit;
use crate::input;
use crate::output::{self, Format};

const EXAMPLES: &str = "\
Examples:
  kubectl get metrics,logentries,instances,prometheuses,stdios,fluentds,handlers,rules,attributemanifests -A -o yaml |
    remixer migrate --check -
  remixer migrate mixer.yaml > filters.yaml
  remixer migrate --check --output json mixer/ | jq -r '.diagnostics[].code' | sort | uniq -c

The EnvoyFilters are written to standard output, the report to standard error.

Exit status:
  0    everything is migrated
  1    wrong usage, or a file cannot be read
  2    something is not migrated";

/// Convert Mixer's telemetry configuration to EnvoyFilters that report the same
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Mixer's configuration as YAML, or as lists from kubectl: files, directories, or - for standard input
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Print only the report
    #[arg(long)]
    check: bool,
    /// Write what can be migrated, even if there are errors
    #[arg(long)]
    keep_going: bool,
    /// Leave notes out of the report
    #[arg(long)]
    quiet: bool,
    /// Namespace of objects that name none
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = NonEmptyStringValueParser::new())]
    namespace: String,
    /// If two objects have the same name, take the later one, as kubectl apply does
    #[arg(long)]
    last_wins: bool,
    /// Take missing objects from the configuration that this release of Istio had
    #[arg(long, value_name = "RELEASE", value_enum)]
    with_defaults: Option<Release>,
    /// parity keeps TCP reports in metrics whose rule does not ask for the protocol
    #[arg(long, value_name = "WHAT", value_enum)]
    tcp: Option<Tcp>,
    /// Unit of durations: s as in Mixer, or ms with Envoy's own histograms and other names of metrics
    #[arg(long, value_name = "UNIT", value_enum, default_value_t = DurationUnit::S)]
    duration_unit: DurationUnit,
    /// Attributes of unknown workloads: mixer takes the values of kubernetesenv, absent leaves them out
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Attributes::Mixer)]
    k8s_attributes: Attributes,
    /// text writes EnvoyFilters and report, json writes both as one document to standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Release {
    #[value(name = "1.0")]
    V1_0,
    #[value(name = "1.4")]
    V1_4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tcp {
    Parity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DurationUnit {
    S,
    Ms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Attributes {
    Mixer,
    Absent,
}

/// The former name of `remixer migrate`, which goes away after this release
#[derive(Debug, Parser)]
#[command(name = "mixer-migrate", version, after_help = EXAMPLES, args_override_self = true)]
pub struct FormerName {
    #[command(flatten)]
    arguments: Arguments,
}

impl FormerName {
    /// The same, with a word about the name.
    pub fn run(self) -> Result<Exit> {
        let exit = run(&self.arguments)?;
        output::tell("mixer-migrate is `remixer migrate` now; this name goes away after this release\n")?;
        Ok(exit)
    }
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            namespace: self.namespace.clone(),
            last_wins: self.last_wins,
            defaults: self.with_defaults.map(|release| match release {
                Release::V1_0 => Version::V1_0,
                Release::V1_4 => Version::V1_4,
            }),
            tcp_parity: self.tcp == Some(Tcp::Parity),
            duration_unit: match self.duration_unit {
                DurationUnit::S => Unit::Seconds,
                DurationUnit::Ms => Unit::Milliseconds,
            },
            kubernetes: self.k8s_attributes == Attributes::Mixer,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let texts = input::texts(&arguments.files)?.into_iter().map(|text| (text.file, text.content));
    let migration = Migration::of(&texts.collect::<Vec<_>>(), &arguments.options());
    let resources = || migration.resources(arguments.keep_going);
    match arguments.output {
        Format::Json => {
            let resources = if arguments.check { None } else { resources() };
            output::write_json(report::json(&migration, arguments.quiet), [("resources", json!(resources))])?;
        }
        Format::Text => {
            output::tell(&report::report(&migration, arguments.quiet))?;
            match resources() {
                _ if arguments.check => {}
                Some(yaml) => output::write(&yaml)?,
                None => output::tell("nothing is written because of the errors; --keep-going writes the rest\n")?,
            }
        }
    }
    Ok(match migration.diagnostics.count(Severity::Error) {
        0 => Exit::Done,
        _ => Exit::Problems,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::headline;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = std::iter::once("mixer-migrate").chain(line.split_whitespace());
        let parsed = FormerName::try_parse_from(words).map(|former| former.arguments);
        parsed.map_err(|error| headline(&error).unwrap())
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let expected = Options {
            namespace: "ns".into(),
            tcp_parity: true,
            defaults: Some(Version::V1_0),
            duration_unit: Unit::Milliseconds,
            kubernetes: false,
            ..Options::default()
        };
        let line = "--check --namespace ns --tcp=parity --with-defaults 1.0 --duration-unit=ms --k8s-attributes absent a.yaml -";
        let arguments = parse(line).unwrap();
        assert_eq!(arguments.options(), expected);
        assert_eq!((arguments.files, arguments.check), (vec!["a.yaml".into(), "-".into()], true));
        assert_eq!(parse("a").unwrap().options(), Options::default());
        assert_eq!(parse("-- --check").map(|options| options.files), Ok(vec!["--check".into()]));
    }

    #[test]
    fn wrong_usage_is_told() {
        for (line, expected) in [
            ("", "no files are given"),
            ("--chekc a", "--chekc is unknown"),
            ("--check=1 a", "--check=1 is unknown"),
            ("--tcp=no a", "--tcp cannot be \"no\""),
            ("a --namespace", "--namespace needs a value"),
        ] {
            assert_eq!(parse(line).map(drop), Err(expected.to_owned()), "{line}");
        }
    }
}
