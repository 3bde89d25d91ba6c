//! Filters of one VM that share what they know: peers are put into filter state where another filter reads them.

use anyhow::Result;
use e2e::abi::{Plugin, Vm};

use crate::scene::{peer, request, vm};

/// What telemetry shares of the caller of a request.
fn shared(vm: &mut Vm, root: u32) -> Result<bool> {
    let stream = vm.whole(root, request())?;
    assert_eq!(stream.state("downstream_peer_id"), None);
    Ok(stream.state("downstream_peer").is_some_and(|state| state == peer().to_state()))
}

#[test]
fn telemetry_alone_shares_no_peers() -> Result<()> {
    let mut vm = vm("remixer")?;
    let telemetry = vm.start(Plugin::new("telemetry_inbound"))?;
    for other in ["tcp_access_log", "tcp_stats", "tcp_metadata_exchange", "fault", "stats_inbound"] {
        vm.start(Plugin::new(other))?;
        assert!(!shared(&mut vm, telemetry)?, "{other}");
    }
    Ok(())
}

#[test]
fn peers_are_shared_with_an_access_log_in_the_same_vm_whichever_begins_first() -> Result<()> {
    for first in ["telemetry_inbound", "access_log_inbound"] {
        let mut vm = vm("remixer")?;
        let mut roots = Vec::new();
        let second = if first == "telemetry_inbound" { "access_log_inbound" } else { "telemetry_inbound" };
        for root_id in [first, second] {
            roots.push(vm.start(Plugin::new(root_id))?);
        }
        let telemetry = if first == "telemetry_inbound" { roots[0] } else { roots[1] };
        assert!(shared(&mut vm, telemetry)?, "{first}");
    }
    Ok(())
}

#[test]
fn an_access_log_that_comes_later_has_peers_from_the_next_request_on() -> Result<()> {
    let mut vm = vm("remixer")?;
    let telemetry = vm.start(Plugin::new("telemetry_inbound"))?;
    assert!(!shared(&mut vm, telemetry)?);
    vm.start(Plugin::new("access_log_inbound"))?;
    assert!(shared(&mut vm, telemetry)?);
    Ok(())
}

#[test]
fn peers_are_shared_if_the_configuration_says_so() -> Result<()> {
    let mut vm = vm("remixer")?;
    let telemetry = vm.start(Plugin::new("telemetry_inbound").configured(r#"{"share_peers": true}"#))?;
    assert!(shared(&mut vm, telemetry)?);
    Ok(())
}

#[test]
fn telemetry_lets_connections_pass() -> Result<()> {
    let mut vm = vm("remixer")?;
    let root = vm.start(Plugin::new("telemetry_inbound"))?;
    let id = vm.connection(root, crate::scene::connection())?;
    vm.downstream(id, b"hello", false)?;
    vm.upstream(id, b"world", true)?;
    vm.close(id)?;
    assert_eq!(vm.envoy().metrics.value(&["istio_tcp"]), 0);
    Ok(())
}
