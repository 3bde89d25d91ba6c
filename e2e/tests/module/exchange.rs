//! Metadata exchange: headers of requests, frames of connections.

use std::time::Duration;

use anyhow::Result;
use e2e::abi::{status, Action, Answer, Buffer, Map, Plugin, Vm};
use metadata_exchange::frame;
use metadata_exchange::wire::{ID_HEADER, METADATA_HEADER};

use crate::scene::{connection, peer, request, vm};

const MODULES: [&str; 2] = ["metadata_exchange", "remixer"];

fn start(module: &str, root_id: &str) -> Result<(Vm, u32)> {
    let mut vm = vm(module)?;
    let root = vm.start(Plugin::new(root_id).configured(r#"{"protocol": "istio-peer-exchange"}"#))?;
    Ok((vm, root))
}

fn is_there(vm: &Vm, id: u32, map: Map) -> [Option<bool>; 2] {
    let own = [("reviews-v1", METADATA_HEADER), ("reviews-v1-1", ID_HEADER)];
    own.map(|(_, name)| {
        let value = vm.envoy().stream(id)?.header_of(map, name)?;
        Some(value != request().header_of(map, name).unwrap_or_default())
    })
}

#[test]
fn headers_of_the_peer_are_taken_off_and_our_own_put_on() -> Result<()> {
    for module in MODULES {
        let (mut vm, root) = start(module, "metadata_exchange_inbound")?;
        let id = vm.request(root, request())?;
        assert_eq!(is_there(&vm, id, Map::RequestHeaders), [None, None], "{module}");
        let stream = vm.envoy().stream(id).cloned().unwrap_or_default();
        assert_eq!(stream.state("downstream_peer"), Some(peer().to_state().as_slice()));
        assert_eq!(stream.state_text("downstream_peer_id"), Some("ratings"));
        vm.response_headers(id, true)?;
        assert_eq!(is_there(&vm, id, Map::ResponseHeaders), [Some(true), Some(true)], "{module}");
        vm.end(id)?;

        let (mut vm, root) = start(module, "metadata_exchange_outbound")?;
        let id = vm.request(root, request())?;
        assert_eq!(is_there(&vm, id, Map::RequestHeaders), [Some(true), Some(true)], "{module}");
        vm.response_headers(id, true)?;
        assert_eq!(is_there(&vm, id, Map::ResponseHeaders), [None, None], "{module}");
        let stream = vm.end(id)?;
        assert_eq!(stream.state("upstream_peer"), Some(peer().to_state().as_slice()));
    }
    Ok(())
}

#[test]
fn a_response_without_a_request_is_left_alone() -> Result<()> {
    for module in MODULES {
        let (mut vm, root) = start(module, "metadata_exchange_inbound")?;
        let id = vm.http(root, request())?;
        vm.response_headers(id, true)?;
        assert_eq!(is_there(&vm, id, Map::ResponseHeaders), [Some(false), Some(false)], "{module}");
        vm.end(id)?;
    }
    Ok(())
}

#[test]
fn frames_of_connections_are_taken_off_and_our_own_put_before() -> Result<()> {
    let frame = frame::encode(Some("ratings"), &peer()).unwrap();
    for module in MODULES {
        let (mut vm, root) = start(module, "tcp_metadata_exchange")?;
        let id = vm.connection(root, connection())?;
        let (half, rest) = frame.split_at(20);
        assert_eq!(vm.downstream(id, half, false)?, Action::Pause);
        assert_eq!(vm.downstream(id, &[rest, b"hello"].concat(), false)?, Action::Continue);
        assert_eq!(vm.envoy().passed(id, Buffer::Downstream), b"hello");
        vm.upstream(id, b"world", false)?;
        let sent = vm.envoy().passed(id, Buffer::Upstream);
        assert!(sent.starts_with(&frame::MAGIC) && sent.ends_with(b"world"), "{module}: {sent:?}");
        let stream = vm.close(id)?;
        assert_eq!(stream.state("downstream_peer"), Some(peer().to_state().as_slice()));
    }
    Ok(())
}

#[test]
fn bytes_that_might_become_a_frame_are_let_go_by_the_timer() -> Result<()> {
    for module in MODULES {
        let (mut vm, root) = start(module, "tcp_metadata_exchange")?;
        assert_eq!(vm.envoy().tick_period(root), None);
        let (first, second) = (vm.connection(root, connection())?, vm.connection(root, connection())?);
        assert_eq!(vm.downstream(first, b"\x3d\x23", false)?, Action::Pause);
        assert_eq!(vm.envoy().tick_period(root), Some(Duration::from_millis(500)));
        vm.pass(Duration::from_millis(600))?;
        assert_eq!(vm.downstream(second, b"\x3d", false)?, Action::Pause);
        vm.pass(Duration::from_millis(400))?;
        assert_eq!(vm.envoy().passed(first, Buffer::Downstream), b"\x3d\x23", "{module}");
        assert_eq!(vm.envoy().passed(second, Buffer::Downstream), b"");
        vm.pass(Duration::from_millis(500))?;
        assert_eq!(vm.envoy().passed(second, Buffer::Downstream), b"\x3d", "{module}");
        assert_eq!(vm.envoy().tick_period(root), None, "{module}: nobody waits");
        for id in [first, second] {
            assert_eq!(vm.downstream(id, b"hello", false)?, Action::Continue);
            vm.close(id)?;
        }
        // And once more.
        let third = vm.connection(root, connection())?;
        vm.downstream(third, b"\x3d", false)?;
        vm.pass(Duration::from_secs(1))?;
        assert_eq!(vm.envoy().passed(third, Buffer::Downstream), b"\x3d", "{module}");
    }
    Ok(())
}

#[test]
fn a_connection_that_ends_while_its_bytes_wait_is_forgotten() -> Result<()> {
    for module in MODULES {
        let (mut vm, root) = start(module, "tcp_metadata_exchange")?;
        let id = vm.connection(root, connection())?;
        vm.downstream(id, b"\x3d", false)?;
        vm.close(id)?;
        vm.pass(Duration::from_secs(2))?;
        assert_eq!(vm.envoy().tick_period(root), None, "{module}");
    }
    Ok(())
}

#[test]
fn without_a_timer_no_bytes_are_held() -> Result<()> {
    for module in MODULES {
        let (mut vm, root) = start(module, "tcp_metadata_exchange")?;
        vm.envoy_mut().answer("proxy_set_tick_period_milliseconds", Answer::Status(status::INTERNAL_FAILURE));
        let id = vm.connection(root, connection())?;
        assert_eq!(vm.downstream(id, b"\x3d", false)?, Action::Continue, "{module}");
    }
    Ok(())
}
