//! Whether a container takes requests.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{bail, Context, Result};
use local_mesh::{Client, Request};
use serde_json::Value;

use super::spec::{Container, Probe};

/// An answer that takes longer is none.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks once, from the node, as a kubelet does.
pub fn succeeds(client: &Client, pod: Ipv4Addr, container: &Container, probe: &Probe) -> Result<bool> {
    let address = |port: &Value| {
        let port = container.port(port).with_context(|| format!("there is no port {port}"))?;
        anyhow::Ok(SocketAddr::from((pod, port)))
    };
    match (&probe.http_get, &probe.tcp_socket) {
        (Some(get), _) => {
            let request = Request::get(address(&get.port)?, &get.path).timeout(TIMEOUT);
            Ok(client.send(&request).is_ok_and(|answer| (200..400).contains(&answer.status)))
        }
        (None, Some(socket)) => Ok(TcpStream::connect_timeout(&address(&socket.port)?, TIMEOUT).is_ok()),
        (None, None) => bail!("the probe of container {} is of a kind that is not known here", container.name),
    }
}
