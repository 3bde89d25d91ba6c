//! `remixer mesh`.

mod app;
mod render;
mod shared;
mod traffic;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand, ValueHint};
use local_mesh::config::Tracing;
use local_mesh::topology::parse_duration;
use local_mesh::up::{self, up, Ending};
use local_mesh::verdict::Missing;
use serde_json::json;

use self::shared::{collector, Chosen};
use crate::exit::Exit;
use crate::output::{self, Format};

const EXAMPLES: &str = "\
Examples:
  remixer mesh                                      # Bookinfo, until Ctrl-C
  remixer mesh --for 20s                            # ends with a verdict
  remixer mesh --for 20s --output json | jq '.edges[] | select(.p99 > 100)'
  remixer mesh --filters envoy/telemetry.yaml --filters envoy/stats-bootstrap.yaml
  remixer mesh --fault faults.json --zipkin 127.0.0.1:9411

It runs in the repository, and in an unpacked release. Envoy is what ENVOY names, else .tools/envoy/<version>/bin/envoy, else
envoy on the PATH. Prometheus is what PROMETHEUS names, else .tools/bin/prometheus, else prometheus on the PATH.

Exit status: with --for, 0 if every edge was seen by both its ends with nothing `unknown`, 2 if not; 130 interrupted before;
1 it could not run. Without --for, 0 after Ctrl-C.";

/// Run a mesh of real Envoys on this machine, send it traffic, and show who called whom
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Part {
    Render(render::Arguments),
    App(app::Arguments),
    Traffic(traffic::Arguments),
}

#[derive(Debug, Args)]
struct Run {
    /// End after that time of traffic, with a verdict; without it the mesh stays until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    #[command(flatten)]
    mesh: Chosen,
    /// EnvoyFilters, instead of those in envoy/: a file or a directory; may be given several times
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    filters: Vec<PathBuf>,
    /// No EnvoyFilters at all
    #[arg(long, conflicts_with = "filters")]
    plain: bool,
    /// Which Envoy of those that `make setup` got
    #[arg(long, value_name = "VERSION")]
    envoy: Option<String>,
    /// Rules of fault injection for all proxies that call; the file may change, come and go while the mesh runs
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    fault: Option<PathBuf>,
    /// Rules of traffic shadowing, likewise
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    shadow: Option<PathBuf>,
    /// Send the spans to Zipkin or Jaeger there; without it requests have trace headers alone
    #[arg(long, value_name = "HOST:PORT", value_parser = collector)]
    zipkin: Option<Tracing>,
    /// Tables, or with --for the verdict and the edges as JSON
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text, requires_if("json", "duration"))]
    output: Format,
}

pub(crate) fn run(arguments: Arguments) -> Result<Exit> {
    match arguments.part {
        Some(Part::Render(part)) => render::run(part),
        Some(Part::App(part)) => app::run(&part),
        Some(Part::Traffic(part)) => traffic::run(&part),
        None => run_mesh(arguments.run),
    }
}

fn run_mesh(run: Run) -> Result<Exit> {
    let arguments = up::Arguments {
        duration: run.duration,
        topology: run.mesh.topology,
        filters: (run.plain || !run.filters.is_empty()).then_some(run.filters),
        faults: run.fault,
        shadows: run.shadow,
        envoy_version: run.envoy,
        tracing: run.zipkin.unwrap_or(Tracing::HeadersOnly),
        progress: output::progress,
        note: output::note,
    };
    let ending = match run.output {
        Format::Text => up(&arguments, &mut std::io::stdout())?,
        Format::Json => up(&arguments, &mut std::io::sink())?,
    };
    let verdict = match ending {
        Ending::Stopped => return Ok(Exit::Done),
        Ending::Interrupted => {
            output::note("interrupted; everything has ended");
            return Ok(Exit::Interrupted);
        }
        Ending::Judged(verdict) => verdict,
    };
    let complete = verdict.missing.is_empty();
    match run.output {
        Format::Json => {
            output::write_json(json!(verdict), [("complete", json!(complete))])?;
        }
        Format::Text if !complete => output::complain(&told(&verdict.missing)),
        Format::Text if verdict.standard_metrics => {
            output::write("every edge was seen by both reporters, with nothing unknown\n")?;
        }
        Format::Text => {
            output::write("every edge had traffic; without the standard metrics there is no more to say\n")?;
        }
    }
    Ok(if complete { Exit::Done } else { Exit::Problems })
}

/// What is missing, by edge.
fn told(missing: &[Missing]) -> String {
    let mut text = String::from("the telemetry is not complete:\n");
    let mut last = "";
    for item in missing {
        if item.edge != last {
            text.push_str(&format!("  {}\n", item.edge));
        }
        last = &item.edge;
        text.push_str(&format!("      {}\n", item.what));
    }
    text
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "a duration of at most a day, such as 500ms or 20s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_by_edge() {
        let missing = [("a -> b", "this"), ("a -> b", "that"), ("b -> c", "this")];
        let missing = missing.map(|(edge, what)| Missing { edge: edge.to_owned(), what: what.to_owned() });
        let lines =
            ["the telemetry is not complete:", "  a -> b", "      this", "      that", "  b -> c", "      this"];
        assert_eq!(told(&missing).lines().collect::<Vec<_>>(), lines);
    }
}
