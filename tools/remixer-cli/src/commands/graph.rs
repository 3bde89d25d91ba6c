//! `remixer graph`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use local_mesh::graph::{Graph, Selection};
use local_mesh::interrupt::Interrupt;
use local_mesh::prometheus::Queries;
use local_mesh::{page, Client};
use serde_json::json;

use crate::exit::Exit;
use crate::output::{self, Format};
use crate::values::host_and_port;

const EXAMPLES: &str = "\
Examples:
  kubectl port-forward -n istio-system svc/prometheus 9090 &
  remixer graph --prometheus 127.0.0.1:9090         # then open http://127.0.0.1:8088
  remixer graph --prometheus 127.0.0.1:9090 --output json | jq '.edges[] | select(.errors > 0.01)'";

/// Serve a live picture of any mesh, from the metrics in its Prometheus
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Address of Prometheus
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    prometheus: String,
    /// Address to serve the page at
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port, default_value_t = format!("127.0.0.1:{}", page::PORT))]
    listen: String,
    /// text serves the page until Ctrl-C. json prints the graph of the last 5 minutes and exits
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let prometheus = resolve("--prometheus", &arguments.prometheus)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let queries = Queries::new(prometheus, Client::new(runtime.handle().clone()));
    if arguments.output == Format::Json {
        let graph = runtime.block_on(Graph::of(&queries, &Selection::parse(&[])?));
        let graph = graph.with_context(|| format!("--prometheus {}: cannot be asked", arguments.prometheus))?;
        output::write_json(json!(graph), [])?;
        return Ok(Exit::Done);
    }
    let listen = resolve("--listen", &arguments.listen)?;
    let interrupt = Interrupt::on_signals(runtime.handle())?;
    let page = page::start(listen, runtime.handle(), queries)?;
    output::write(&format!("the live picture is at http://{}; Ctrl-C ends it\n", page.address()))?;
    while !interrupt.is_set() {
        interrupt.sleep(Duration::from_secs(1));
    }
    Ok(Exit::Done)
}

fn resolve(option: &str, text: &str) -> Result<SocketAddr> {
    let found = text.to_socket_addrs().with_context(|| format!("{option} {text}: the host cannot be found"))?;
    found.into_iter().next().with_context(|| format!("{option} {text}: the host has no address"))
}
