//! Reserves a network 127.n.x.x for a mesh. A bound port is the lock: the kernel releases it however the process ends.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{anyhow, Context, Result};

use crate::options::Network;
use crate::topology::Topology;

/// The port for the lock. Nothing is served there.
const CLAIM_PORT: u16 = 15999;

/// The networks to choose from. 127.0 is for the system, 127.1 for `remixer mesh`.
const FREE: std::ops::RangeInclusive<u8> = 2..=250;

/// A reserved network, until dropped.
#[derive(Debug)]
pub struct Claim {
    _listener: TcpListener,
}

/// Reserves a network and moves the topology to it.
pub fn claim(topology: Topology, network: Network) -> Result<(Topology, Claim)> {
    let wanted = match network {
        Network::AsWritten => topology.network(),
        Network::Number(number) => number,
        Network::Free => {
            let found = FREE.into_iter().find_map(|number| Some((number, bind(number).ok()?)));
            let (number, claim) =
                found.ok_or_else(|| anyhow!("every network from 127.2 to 127.250 is used by a mesh"))?;
            return Ok((topology.rebase(number), claim));
        }
    };
    let claim = bind(wanted).with_context(|| format!("another mesh is running on 127.{wanted}.x.x"))?;
    Ok((topology.rebase(wanted), claim))
}

fn bind(number: u8) -> std::io::Result<Claim> {
    let listener = TcpListener::bind((Ipv4Addr::new(127, number, 255, 254), CLAIM_PORT))?;
    Ok(Claim { _listener: listener })
}
