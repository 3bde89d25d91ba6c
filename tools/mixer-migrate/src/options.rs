//! The command line.

use std::path::PathBuf;

use crate::defaults::Version;

/// How to call the command.
pub const USAGE: &str = "\
usage: mixer-migrate [OPTION]... FILE...

Reads Mixer's configuration (YAML, also lists as kubectl writes them) from files, directories, or - for standard input.
Writes EnvoyFilters to standard output, and a report to standard error.

  --check                     only report
  --keep-going                write what can be migrated in spite of errors
  --quiet                     no notes in the report
  --namespace NAME            of objects that name none (default: default)
  --last-wins                 of two objects of the same name, take the later one, as kubectl apply does
  --with-defaults=1.0|1.4     take objects that are missing from Istio's own configuration of that release
  --tcp=parity                keep TCP reports in metrics whose rule does not ask for the protocol
  --duration-unit=s|ms        of distributions of durations: seconds as they were, or Envoy's own histograms in
                              milliseconds under another name (default: s)
  --k8s-attributes=mixer|absent
                              what unknown workloads are: as kubernetesenv said (default), or absent

Exit status: 0 everything is migrated, 2 something is not, 1 wrong usage or a file that cannot be read.";

/// The unit of distributions of durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, with fractions.
    Seconds,
    /// Whole milliseconds.
    Milliseconds,
}

/// The options.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The input; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Only write the report.
    pub check: bool,
    /// Write what can be migrated despite errors.
    pub keep_going: bool,
    /// Omit notes.
    pub quiet: bool,
    /// Show the usage.
    pub help: bool,
    /// Default namespace of objects.
    pub namespace: String,
    /// If two objects have the same name, use the later one.
    pub last_wins: bool,
    /// The Istio release whose objects replace missing ones.
    pub defaults: Option<Version>,
    /// Keep accidental TCP reports.
    pub tcp_parity: bool,
    /// The unit of distributions of durations.
    pub duration_unit: Unit,
    /// Whether unknown workloads have the values of kubernetesenv.
    pub kubernetes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            check: false,
            keep_going: false,
            quiet: false,
            help: false,
            namespace: "default".into(),
            last_wins: false,
            defaults: None,
            tcp_parity: false,
            duration_unit: Unit::Seconds,
            kubernetes: true,
        }
    }
}

impl Options {
    /// Parses the command line. The error says what is wrong.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.into_iter();
        let mut only_files = false;
        while let Some(word) = words.next() {
            if only_files || word == "-" || !word.starts_with('-') {
                options.files.push(word.into());
                continue;
            }
            let (name, mut value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.clone(), None),
            };
            let takes_value = matches!(
                name.as_str(),
                "--namespace" | "--with-defaults" | "--tcp" | "--duration-unit" | "--k8s-attributes"
            );
            if takes_value && value.is_none() {
                value = words.next();
            }
            match (name.as_str(), value.as_deref()) {
                ("--", None) => only_files = true,
                ("--check", None) => options.check = true,
                ("--keep-going", None) => options.keep_going = true,
                ("--quiet", None) => options.quiet = true,
                ("--last-wins", None) => options.last_wins = true,
                ("--help" | "-h", None) => options.help = true,
                ("--namespace", Some(namespace)) if !namespace.is_empty() => options.namespace = namespace.to_owned(),
                ("--with-defaults", Some("1.0")) => options.defaults = Some(Version::V1_0),
                ("--with-defaults", Some("1.4")) => options.defaults = Some(Version::V1_4),
                ("--tcp", Some("parity")) => options.tcp_parity = true,
                ("--duration-unit", Some("s")) => options.duration_unit = Unit::Seconds,
                ("--duration-unit", Some("ms")) => options.duration_unit = Unit::Milliseconds,
                ("--k8s-attributes", Some("mixer")) => options.kubernetes = true,
                ("--k8s-attributes", Some("absent")) => options.kubernetes = false,
                (_, Some(value)) if takes_value => return Err(format!("{name} cannot be {value:?}")),
                _ if takes_value => return Err(format!("{name} needs a value")),
                _ => return Err(format!("{word} is unknown")),
            }
        }
        if options.files.is_empty() && !options.help {
            return Err("no files are given".into());
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let expected = Options {
            files: vec!["a.yaml".into(), "-".into()],
            check: true,
            namespace: "ns".into(),
            tcp_parity: true,
            defaults: Some(Version::V1_0),
            duration_unit: Unit::Milliseconds,
            kubernetes: false,
            ..Options::default()
        };
        let line = "--check --namespace ns --tcp=parity --with-defaults 1.0 --duration-unit=ms --k8s-attributes absent a.yaml -";
        assert_eq!(parse(line), Ok(expected));
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
            assert_eq!(parse(line), Err(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn the_usage_names_every_option() {
        for option in [
            "--check",
            "--keep-going",
            "--quiet",
            "--namespace",
            "--last-wins",
            "--with-defaults",
            "--tcp=parity",
            "--duration-unit",
            "--k8s-attributes",
        ] {
            assert!(USAGE.contains(option), "{option}");
        }
    }
}
