//! The host calls of a warm request, of the module as it is built.

use anyhow::Result;
use e2e::abi::{Plugin, Vm};
use host::WarmCalls;

use crate::scene::{peer, request, vm};

fn calls(vm: &mut Vm, root: u32) -> Result<usize> {
    let stream =
        request().with_state("downstream_peer", &peer().to_state()).with_state("upstream_peer", &peer().to_state());
    for _ in 0..3 {
        vm.whole(root, stream.clone())?;
    }
    vm.envoy_mut().take_counts();
    vm.whole(root, stream)?;
    Ok(vm.envoy_mut().take_counts().values().sum())
}

#[test]
fn a_warm_request_takes_the_calls_that_are_documented() -> Result<()> {
    for (module, filter, configuration, WarmCalls { inbound, outbound }) in [
        ("stats", "stats", "{}", stats::stats::WARM_CALLS),
        ("access_log", "access_log", "{}", access_log::access_log::WARM_CALLS),
        ("metadata_exchange", "metadata_exchange", "{}", metadata_exchange::exchange::WARM_CALLS),
        ("remixer", "telemetry", "{}", remixer::telemetry::WARM_CALLS),
        ("remixer", "telemetry", r#"{"access_log": {}}"#, remixer::telemetry::WARM_CALLS_WITH_LINE),
    ] {
        for (direction, most) in [("inbound", inbound), ("outbound", outbound)] {
            let mut vm = vm(module)?;
            let root = vm.start(Plugin::new(&format!("{filter}_{direction}")).configured(configuration))?;
            assert_eq!(calls(&mut vm, root)?, most, "{module} {direction} {configuration}");
        }
    }
    Ok(())
}

#[test]
fn a_request_that_no_rule_is_for_takes_no_call() -> Result<()> {
    for (module, root_id) in [("fault", "fault"), ("shadow", "shadow"), ("remixer", "fault")] {
        let mut vm = vm(module)?;
        let root = vm.start(Plugin::new(root_id))?;
        assert_eq!(calls(&mut vm, root)?, 0, "{module}");
    }
    Ok(())
}
