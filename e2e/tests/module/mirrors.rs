//! Copies of requests, and the answers to them.

use std::time::Duration;

use anyhow::Result;
use e2e::abi::{Action, Call, CallResponse, Level, Plugin, Vm};

use crate::scene::{request, vm, MIRROR};

const MS: Duration = Duration::from_millis(1);

fn start(configuration: &str) -> Result<(Vm, u32)> {
    let mut vm = vm("shadow")?;
    let root = vm.start(Plugin::new("shadow").configured(configuration))?;
    Ok((vm, root))
}

/// The answer of the mirror's upstream.
fn answer(status: &str, body: &str) -> CallResponse {
    let headers = [(":status", status), ("x-envoy-upstream-service-time", "7")].into();
    CallResponse { headers, body: body.into(), ..CallResponse::default() }
}

/// A request that has passed whole, and what is sent of it.
fn mirrored(vm: &mut Vm, root: u32) -> Result<(u32, Call)> {
    let id = vm.http(root, request())?;
    assert_eq!(vm.request_headers(id, false)?, Action::Continue);
    vm.request_body(id, b"one ", false)?;
    vm.request_body(id, b"two", true)?;
    vm.pass(MS)?;
    let call = vm.envoy().calls.last().cloned();
    Ok((id, call.expect("a call")))
}

fn respond(vm: &mut Vm, id: u32, body: &str) -> Result<()> {
    vm.response_headers(id, false)?;
    vm.response_body(id, body.as_bytes(), true)?;
    Ok(())
}

fn compared(vm: &Vm, result: &str) -> u64 {
    vm.envoy().metrics.value(&["shadow_compare_total", &format!("result=.={result};.;")])
}

#[test]
fn a_request_is_copied_whole_and_its_answers_are_compared_in_any_order() -> Result<()> {
    let (mut vm, root) = start(MIRROR)?;
    for (order, body, result) in [(0, "same", "match"), (1, "same", "match"), (0, "other one", "size_mismatch")] {
        let before = compared(&vm, result);
        let (id, call) = mirrored(&mut vm, root)?;
        // The root is told of the answer, even if the request has ended by then.
        assert_eq!((call.root, call.from, call.cluster.as_str()), (root, root, "mirror"));
        assert_eq!(
            (call.headers.get(":path"), call.body.as_slice()),
            (Some(b"/ratings/0".as_slice()), b"one two".as_slice())
        );
        assert_eq!(call.headers.get("x-shadow-mirror"), Some(b"v2".as_slice()));
        if order == 0 {
            vm.answer(call.token, answer("200", body))?;
            respond(&mut vm, id, "same")?;
            vm.end(id)?;
        } else {
            respond(&mut vm, id, "same")?;
            vm.end(id)?;
            assert_eq!(compared(&vm, result), before);
            vm.answer(call.token, answer("200", body))?;
        }
        assert_eq!(compared(&vm, result), before + 1, "{:?}", vm.envoy().metrics.names());
    }
    assert_eq!(vm.envoy().metrics.value(&["shadow_in_flight"]), 0);
    assert_eq!(vm.envoy().metrics.value(&["shadow_buffered_bytes"]), 0);
    Ok(())
}

#[test]
fn the_timer_runs_only_while_something_waits_for_it() -> Result<()> {
    let mirror = r#"{"http": [{"mirrors": [{"name": "v2", "cluster": "mirror", "compare": {"enabled": false}}]}]}"#;
    let (mut vm, root) = start(mirror)?;
    assert_eq!(vm.envoy().tick_period(root), None);
    let (id, call) = mirrored(&mut vm, root)?;
    assert_eq!(vm.envoy().tick_period(root), None, "the copy is sent");
    vm.answer(call.token, answer("200", ""))?;
    vm.end(id)?;
    assert_eq!(vm.envoy().tick_period(root), None);
    Ok(())
}

#[test]
fn a_pair_that_lacks_an_answer_is_given_up() -> Result<()> {
    let (mut vm, root) = start(MIRROR)?;
    let (id, _) = mirrored(&mut vm, root)?;
    respond(&mut vm, id, "same")?;
    vm.end(id)?;
    assert!(vm.envoy().tick_period(root).is_some());
    vm.pass(Duration::from_secs(120))?;
    assert_eq!(vm.envoy().tick_period(root), None);
    Ok(())
}

#[test]
fn a_call_that_fails_is_counted() -> Result<()> {
    let (mut vm, root) = start(MIRROR)?;
    let (id, call) = mirrored(&mut vm, root)?;
    vm.answer(call.token, CallResponse::default())?;
    vm.end(id)?;
    assert_eq!(vm.envoy().metrics.value(&["shadow_responses_total", "result=.=reset;.;"]), 1);

    let failed = |vm: &Vm, reason: &str| {
        vm.envoy().metrics.value(&["shadow_dispatch_failed_total", &format!("result=.={reason};.;")])
    };
    vm.envoy_mut().clusters.insert("mirror".into(), false);
    vm.request(root, request())?;
    vm.pass(MS)?;
    assert_eq!(failed(&vm, "no_host_or_overflow"), 1);
    vm.envoy_mut().clusters.clear();
    vm.request(root, request())?;
    vm.pass(MS)?;
    assert_eq!(failed(&vm, "unknown_cluster"), 1);
    assert_eq!(vm.envoy().logged(Level::Warn, &["v2", "no cluster \"mirror\""]), 1);
    Ok(())
}

#[test]
fn copies_end_with_their_configuration() -> Result<()> {
    let (mut vm, root) = start(MIRROR)?;
    let (sent, call) = mirrored(&mut vm, root)?;
    let ready = vm.request(root, request())?;
    vm.end_root(root)?;
    let metrics = &vm.envoy().metrics;
    assert_eq!(metrics.value(&["shadow_responses_total", "result=.=cancelled;.;"]), 1);
    assert_eq!(metrics.value(&["shadow_skipped_total", "result=.=cancelled;.;"]), 1);
    assert_eq!(metrics.value(&["shadow_in_flight"]), 0);
    // Envoy cancels what is under way with the plugin.
    vm.answer(call.token, answer("200", ""))?;
    for id in [sent, ready] {
        vm.end(id)?;
    }
    assert_eq!(vm.envoy().metrics.value(&["shadow_buffered_bytes"]), 0);
    Ok(())
}
