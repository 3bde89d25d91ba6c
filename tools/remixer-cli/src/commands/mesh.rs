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
  remixer mesh                                      # run Bookinfo until Ctrl-C
  remixer mesh --for 20s                            # stop after 20 s, with a verdict
  remixer mesh --for 20s --output json | jq '.edges[] | select(.p99 > 100)'
  remixer mesh --filters envoy/telemetry.yaml --filters envoy/stats-bootstrap.yaml
  remixer mesh --fault faults.json --zipkin 127.0.0.1:9411

Run it in the repository or in an unpacked release. It takes Envoy from the environment variable ENVOY, else from
.tools/envoy/<version>/bin/envoy, else from the PATH; and Prometheus from PROMETHEUS, else from .tools/bin/prometheus, else from
the PATH.

Exit status:
  0    with --for: both ends reported every edge, with no `unknown` label. Without --for: Ctrl-C ended the running mesh
  1    wrong usage, or the mesh could not run
  2    with --for: an edge was not reported, or has an `unknown` label
  130  Ctrl-C before the mesh was up, or with --for before the verdict";

/// Run a mesh of real Envoys on this machine, send traffic through it, and show which workload called which
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
    /// Send traffic for this time, then print a verdict and stop. Without it, the mesh runs until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    #[command(flatten)]
    mesh: Chosen,
    /// File or directory with EnvoyFilters, instead of envoy/. Repeat it for several
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    filters: Vec<PathBuf>,
    /// Attach no EnvoyFilters
    #[arg(long, conflicts_with = "filters")]
    plain: bool,
    /// Version of Envoy. `make setup` must have downloaded it
    #[arg(long, value_name = "VERSION")]
    envoy: Option<String>,
    /// File with rules of fault injection for outbound requests. It may change, appear and disappear while the mesh runs
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    fault: Option<PathBuf>,
    /// File with rules of traffic shadowing. It may change in the same way
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    shadow: Option<PathBuf>,
    /// Send spans to this Zipkin or Jaeger. Without it, requests only get trace headers
    #[arg(long, value_name = "HOST:PORT", value_parser = collector)]
    zipkin: Option<Tracing>,
    /// text prints tables. json prints verdict and edges as one document, and needs --for
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
