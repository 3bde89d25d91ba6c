//! Delays and aborts: requests that are held, timers that let them go on.

use std::time::Duration;

use anyhow::Result;
use e2e::abi::{status, Action, Answer, End, Plugin, Vm};

use crate::scene::{request, vm, ABORT, DELAY};

const MODULES: [&str; 2] = ["fault", "remixer"];
const MS: Duration = Duration::from_millis(1);

fn start(module: &str, configuration: &str) -> Result<(Vm, u32)> {
    let mut vm = vm(module)?;
    let root = vm.start(Plugin::new("fault").configured(configuration))?;
    Ok((vm, root))
}

/// A request with which the filter has dealt: what it did with the headers.
fn begin(vm: &mut Vm, root: u32) -> Result<(u32, Action)> {
    let id = vm.http(root, request())?;
    let action = vm.request_headers(id, true)?;
    Ok((id, action))
}

fn active(vm: &Vm) -> u64 {
    vm.envoy().metrics.value(&["fault_active"])
}

#[test]
fn a_delayed_request_goes_on_when_its_time_is_over() -> Result<()> {
    for module in MODULES {
        let (mut vm, root) = start(module, DELAY)?;
        let (first, action) = begin(&mut vm, root)?;
        assert_eq!(action, Action::Pause);
        assert_eq!(vm.envoy().stream(first).and_then(|stream| stream.state_text("fault_flags")), Some("DI"));
        vm.pass(100 * MS)?;
        let (second, _) = begin(&mut vm, root)?;
        assert_eq!(active(&vm), 2);
        vm.pass(399 * MS)?;
        assert_eq!(vm.envoy().ends(first), [], "{module}");
        vm.pass(MS)?;
        assert_eq!((vm.envoy().ends(first), vm.envoy().ends(second)), ([End::Resumed].as_slice(), [].as_slice()));
        vm.pass(100 * MS)?;
        assert_eq!(vm.envoy().ends(second), [End::Resumed]);
        // Nobody waits for the timer any more.
        assert_eq!((active(&vm), vm.envoy().tick_period(root)), (0, None), "{module}");
        // Calls are not left to be about a request.
        assert_eq!(vm.envoy().left_in, root, "{module}");
        for id in [first, second] {
            vm.response_headers(id, true)?;
            vm.end(id)?;
        }
        assert_eq!(vm.envoy().metrics.value(&["fault_delays_injected_total"]), 2);
        assert_eq!(vm.envoy().metrics.value(&["fault_delay_cancelled_total"]), 0);
    }
    Ok(())
}

#[test]
fn a_request_that_ends_while_it_is_delayed_is_left_alone() -> Result<()> {
    for module in MODULES {
        let (mut vm, root) = start(module, DELAY)?;
        let (gone, _) = begin(&mut vm, root)?;
        let (stays, _) = begin(&mut vm, root)?;
        vm.end(gone)?;
        assert_eq!((active(&vm), vm.envoy().metrics.value(&["fault_delay_cancelled_total"])), (1, 1));
        vm.envoy_mut().entered.clear();
        vm.pass(500 * MS)?;
        assert_eq!(vm.envoy().entered, [stays, root], "{module}");
        assert_eq!(vm.envoy().ends(stays), [End::Resumed]);
    }
    Ok(())
}

#[test]
fn the_gauge_goes_back_when_a_configuration_ends_with_requests_delayed() -> Result<()> {
    for module in MODULES {
        let (mut vm, root) = start(module, DELAY)?;
        let (id, _) = begin(&mut vm, root)?;
        assert_eq!(active(&vm), 1);
        vm.end_root(root)?;
        assert_eq!(active(&vm), 0, "{module}");
        vm.end(id)?;
        assert_eq!((active(&vm), vm.envoy().metrics.value(&["fault_delay_cancelled_total"])), (0, 0), "{module}");
    }
    Ok(())
}

#[test]
fn an_aborted_request_is_answered_and_stops() -> Result<()> {
    for module in MODULES {
        let (mut vm, root) = start(module, ABORT)?;
        let (id, action) = begin(&mut vm, root)?;
        assert_eq!(action, Action::Pause);
        let [End::Replied { status: 503, grpc_status: -1, details, body, .. }] = vm.envoy().ends(id) else {
            panic!("{module}: {:?}", vm.envoy().ends(id));
        };
        assert_eq!((details.as_str(), body.as_str()), ("fault_filter_abort", "fault filter abort"));
        assert_eq!(vm.envoy().stream(id).and_then(|stream| stream.state_text("fault_flags")), Some("FI"));
        assert_eq!(vm.envoy().tick_period(root), None);
        // The answer passes the filter that gives it.
        vm.response_headers(id, false)?;
        vm.end(id)?;
    }
    Ok(())
}

#[test]
fn a_delay_may_be_followed_by_an_abort() -> Result<()> {
    let both = r#"{"fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 100}},
        "abort": {"httpStatus": 500, "percentage": {"value": 100}}}}"#;
    for module in MODULES {
        let (mut vm, root) = start(module, both)?;
        let (id, _) = begin(&mut vm, root)?;
        vm.pass(1000 * MS)?;
        assert!(matches!(vm.envoy().ends(id), [End::Replied { status: 500, .. }]), "{:?}", vm.envoy().ends(id));
        assert_eq!(vm.envoy().stream(id).and_then(|stream| stream.state_text("fault_flags")), Some("DI,FI"));
        assert_eq!(active(&vm), 0, "{module}");
    }
    Ok(())
}

#[test]
fn a_request_that_cannot_be_held_passes() -> Result<()> {
    for module in MODULES {
        for call in ["proxy_set_tick_period_milliseconds", "clock_time_get"] {
            let (mut vm, root) = start(module, DELAY)?;
            vm.envoy_mut().answer(call, Answer::Status(status::INTERNAL_FAILURE));
            let (_, action) = begin(&mut vm, root)?;
            assert_eq!((action, active(&vm)), (Action::Continue, 0), "{module}: {call}");
        }
        let (mut vm, root) = start(module, ABORT)?;
        vm.envoy_mut().answer("proxy_send_local_response", Answer::Status(status::INTERNAL_FAILURE));
        let (_, action) = begin(&mut vm, root)?;
        assert_eq!(action, Action::Continue, "{module}");
    }
    Ok(())
}

#[test]
fn stats_in_the_same_vm_see_what_was_injected() -> Result<()> {
    let mut vm = vm("remixer")?;
    let stats = vm.start(Plugin::new("stats_outbound"))?;
    let fault = vm.start(Plugin::new("fault").configured(ABORT))?;
    // A request is in both filters, each of which has a context for it.
    let (of_fault, _) = begin(&mut vm, fault)?;
    let flags = vm.envoy().stream(of_fault).and_then(|stream| stream.state("fault_flags")).map(<[u8]>::to_vec);
    let of_stats = vm.request(stats, request().with_state("fault_flags", &flags.unwrap_or_default()))?;
    vm.response_headers(of_stats, true)?;
    vm.log(of_stats)?;
    vm.end(of_fault)?;
    vm.delete(of_stats)?;
    assert_eq!(vm.envoy().metrics.value(&["istio_requests_total", "response_flags=.=FI;.;"]), 1);
    // Where no such request lives, nobody asks.
    vm.whole(stats, request().with_state("fault_flags", b"FI"))?;
    assert_eq!(vm.envoy().metrics.value(&["istio_requests_total", "response_flags=.=FI;.;"]), 1);
    assert_eq!(vm.envoy().metrics.value(&["istio_requests_total", "response_flags=.=-;.;"]), 1);
    Ok(())
}
