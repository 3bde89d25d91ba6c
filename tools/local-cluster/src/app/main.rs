//! The application of the tests' pods: servers that say what they got, and clients that say what they were answered.
//!
//! ```text
//! pod-app serve NAME [http=PORT]... [tcp=PORT]...   HTTP/1.1, HTTP/2, gRPC and WebSocket on the ports of http
//! pod-app files PORT DIRECTORY                      the files of a directory
//! pod-app http URL COUNT [HEADER=VALUE]...          statuses of requests, one after the other
//! pod-app grpc HOST:PORT METHOD COUNT MESSAGES      how many messages came back, for each call
//! pod-app tcp HOST:PORT COUNT                       asks so many times on one connection
//! pod-app websocket HOST:PORT COUNT                 the same after an upgrade
//! pod-app load URL SECONDS                          requests without a pause: how many had which status
//! ```

#![allow(clippy::arithmetic_side_effects)]

mod call;
mod serve;

use std::time::Duration;

use anyhow::{bail, Result};
use tokio::runtime::Runtime;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = Runtime::new()?;
    match arguments.as_slice() {
        ["serve", name, ports @ ..] => runtime.block_on(serve::serve(name, ports)),
        ["files", port, directory] => runtime.block_on(serve::files(port.parse()?, directory)),
        ["http", url, count, headers @ ..] => call::http(&runtime, url, count.parse()?, headers),
        ["grpc", address, method, count, messages] => {
            call::grpc(&runtime, address, method, count.parse()?, messages.parse()?)
        }
        ["tcp", address, count] => call::tcp(address, count.parse()?),
        ["websocket", address, count] => call::websocket(address, count.parse()?),
        ["load", url, seconds] => call::load(&runtime, url, Duration::from_secs(seconds.parse()?)),
        _ => bail!("{arguments:?} is not known"),
    }
}
