//! `mesh up`: the local bookinfo mesh with our filters, traffic, and a table of the results from Prometheus.
//! `mesh stats-tags`: the bootstrap settings for your own labels.
//! `mesh render`, `app`, `traffic`: the parts of the same mesh, for containers.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};

use local_mesh::config::Tracing;
use local_mesh::interrupt::Interrupt;
use local_mesh::prometheus::Queries;
use local_mesh::up::{up, Arguments};

const USAGE: &str = "\
usage: mesh up [--for 20s] [--topology FILE] [--filters FILE-OR-DIRECTORY]... [--plain] [--envoy VERSION] [--fault FILE]
               [--shadow FILE] [--zipkin HOST:PORT]

Starts the mesh of the topology (default tools/local-mesh/topology.yaml), sends it traffic, and shows who called whom.
  --for 20s     ends after that time of traffic; exit status 0 only if every edge was seen by both its ends
                with nothing `unknown`. Without it the mesh stays until Ctrl-C.
  --filters     EnvoyFilters to apply instead of those in envoy/; may be given several times
  --plain       no EnvoyFilters at all
  --envoy       which Envoy (default: $ENVOY, or 1.40.0 out of .tools/)
  --fault       rules of fault injection (such as those in tools/local-mesh/faults/) for all proxies that call; the file may change,
                come and go while the mesh runs
  --shadow      rules of traffic shadowing (such as those in tools/local-mesh/shadows/), likewise
  --zipkin      sends the spans to Zipkin or Jaeger there; without it requests have trace headers, and no more

usage: mesh graph --prometheus HOST:PORT [--listen HOST:PORT]

Serves the live picture of any mesh, out of its Prometheus (default of --listen: 127.0.0.1:8088).

usage: mesh stats-tags [FILE]...

Prints what the bootstrap needs for the labels of the stats configurations that a proxy runs (JSON; default: the
standard labels).

usage: mesh bootstrap FILE-OR-DIRECTORY...

Prints a ConfigMap with what the EnvoyFilters have for the bootstrap, for pods to name in the annotation
sidecar.istio.io/bootstrapOverride: Istio since 1.21 applies no EnvoyFilter to the bootstrap.

usage: mesh render --compose DIRECTORY [--filters FILE-OR-DIRECTORY]... [--modules DIRECTORY] [--zipkin HOST:PORT]
       mesh app WORKLOAD [--check]
       mesh traffic HOST:PORT
       each with [--topology FILE]

The parts of that mesh for containers, as docker-compose.yml uses them: what Envoys and Prometheus are told, with
containers' names for addresses; the application of one workload, or whether it answers; requests to the gateway.";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mesh: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("up") => up(&parse(words)?),
        Some("graph") => graph(words),
        Some("stats-tags") => stats_tags(words).map(|()| ExitCode::SUCCESS),
        Some("bootstrap") => bootstrap(words).map(|()| ExitCode::SUCCESS),
        Some(part @ ("render" | "app" | "traffic")) => {
            local_mesh::containers::run(part, words, USAGE).map(|()| ExitCode::SUCCESS)
        }
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("a command is needed\n{USAGE}"),
    }
}

fn graph(mut words: impl Iterator<Item = String>) -> Result<ExitCode> {
    let (mut prometheus, mut listen) = (None, SocketAddr::from(([127, 0, 0, 1], local_mesh::page::PORT)));
    while let Some(word) = words.next() {
        let text = words.next().with_context(|| format!("{word} needs a value\n{USAGE}"))?;
        let address = text.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = address.with_context(|| format!("{word}: `{text}` is no host and port that can be found"))?;
        match word.as_str() {
            "--prometheus" => prometheus = Some(address),
            "--listen" => listen = address,
            other => bail!("{other} is unknown\n{USAGE}"),
        }
    }
    let prometheus = prometheus.with_context(|| format!("--prometheus is needed\n{USAGE}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = local_mesh::Client::new(runtime.handle().clone());
    let interrupt = Interrupt::on_signals(runtime.handle())?;
    let page = local_mesh::page::start(listen, runtime.handle(), Queries::new(prometheus, client))?;
    println!("the live picture is at http://{}; Ctrl-C ends it", page.address());
    while !interrupt.is_set() {
        interrupt.sleep(Duration::from_secs(1));
    }
    Ok(ExitCode::SUCCESS)
}

fn stats_tags(files: impl Iterator<Item = String>) -> Result<()> {
    let read = |file: String| std::fs::read(&file).with_context(|| format!("{file} cannot be read"));
    let mut contents = files.map(read).collect::<Result<Vec<_>>>()?;
    if contents.is_empty() {
        contents.push(Vec::new());
    }
    let configurations: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
    print!("{}", local_mesh::stats_tags::bootstrap(&configurations)?);
    println!("# For Istio's own bootstrap instead, in proxyConfig or the annotation sidecar.istio.io/extraStatTags:");
    println!("# extraStatTags: {}", local_mesh::stats_tags::extra_stat_tags(&configurations)?);
    Ok(())
}

fn bootstrap(files: impl Iterator<Item = String>) -> Result<()> {
    let files: Vec<PathBuf> = files.map(PathBuf::from).collect();
    ensure!(!files.is_empty(), "mesh bootstrap: which files?\n{USAGE}");
    print!("{}", local_mesh::attach::bootstrap_config_map(&files)?);
    Ok(())
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments> {
    let mut arguments = Arguments { tracing: Tracing::HeadersOnly, ..Arguments::default() };
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value\n{USAGE}"));
        match word.as_str() {
            "--for" => {
                let text = value()?;
                let duration = local_mesh::topology::parse_duration(&text);
                arguments.duration =
                    Some(duration.with_context(|| format!("--for: `{text}` is no duration; write it as `20s`"))?);
            }
            "--topology" => arguments.topology = Some(PathBuf::from(value()?)),
            "--filters" => arguments.filters.get_or_insert_default().push(PathBuf::from(value()?)),
            "--plain" => arguments.filters = Some(Vec::new()),
            "--shadow" => arguments.shadows = Some(PathBuf::from(value()?)),
            "--fault" => arguments.faults = Some(PathBuf::from(value()?)),
            "--zipkin" => {
                let text = value()?;
                let tracing = Tracing::to(&text);
                arguments.tracing = tracing.with_context(|| format!("--zipkin: `{text}` is no host and port"))?;
            }
            "--envoy" => arguments.envoy_version = Some(value()?),
            other => bail!("{other} is unknown\n{USAGE}"),
        }
    }
    Ok(arguments)
}
