//! Configurations that are replaced while streams live. Envoy begins another plugin, and ends the old one when the last of
//! its streams has ended.

use std::time::Duration;

use anyhow::Result;
use e2e::abi::{Level, Plugin};

use crate::scene::{connection, http, request, tcp, vm};

#[test]
fn streams_go_on_with_the_configuration_that_they_began_with() -> Result<()> {
    let without = |label: &str| format!(r#"{{"metrics": [{{"tags_to_remove": ["{label}"]}}]}}"#);
    let mut vm = vm("stats")?;
    let old = vm.start(Plugin::new("stats_inbound").configured(without("request_protocol")))?;
    let id = vm.request(old, request())?;
    let new = vm.start(Plugin::new("stats_inbound").configured(without("response_code")))?;
    vm.whole(new, request())?;
    vm.response_headers(id, true)?;
    vm.end(id)?;
    vm.end_root(old)?;
    vm.whole(new, request())?;
    let requests = |part| vm.envoy().metrics.value(&["istio_requests_total", part]);
    assert_eq!((requests("response_code=.="), requests("request_protocol=.=")), (1, 2));
    Ok(())
}

#[test]
fn an_update_that_is_refused_changes_nothing() -> Result<()> {
    for case in http().into_iter().chain(tcp()) {
        let (mut vm, root) = case.start()?;
        let period = vm.envoy().tick_period(root);
        vm.start(Plugin::new(case.root_id).configured(r#"{"nonsense": 1}"#))?;
        assert!(vm.configure_again(root, r#"{"nonsense": 1}"#)?, "{case:?}");
        assert_eq!(vm.envoy().tick_period(root), period, "{case:?}");
        if http().contains(&case) {
            vm.whole(root, request())?;
        } else {
            let id = vm.connection(root, connection())?;
            vm.downstream(id, b"hello", false)?;
            vm.close(id)?;
        }
        assert_eq!(vm.envoy().logged(Level::Error, &[]), 2, "{case:?}: {:?}", vm.envoy().log);
    }
    Ok(())
}

#[test]
fn a_plugin_may_be_configured_again_while_its_streams_live() -> Result<()> {
    for case in http() {
        let (mut vm, root) = case.start()?;
        let id = vm.request(root, request())?;
        assert!(vm.configure_again(root, case.configuration)?, "{case:?}");
        vm.pass(Duration::from_secs(1))?;
        vm.tick(root)?;
        vm.response_headers(id, true)?;
        vm.end(id)?;
        vm.whole(root, request())?;
        vm.end_root(root)?;
    }
    for case in tcp() {
        let (mut vm, root) = case.start()?;
        let id = vm.connection(root, connection())?;
        vm.downstream(id, b"\x3d", false)?;
        assert!(vm.configure_again(root, case.configuration)?, "{case:?}");
        vm.tick(root)?;
        vm.downstream(id, b"hello", false)?;
        vm.close(id)?;
        vm.end_root(root)?;
    }
    Ok(())
}

#[test]
fn a_timer_that_fires_before_anything_else_does_nothing() -> Result<()> {
    for case in http().into_iter().chain(tcp()) {
        let (mut vm, root) = case.start()?;
        vm.tick(root)?;
        let refused = vm.start(Plugin::new(case.root_id).configured("["))?;
        vm.tick(root)?;
        vm.tick(refused)?;
        vm.end_root(refused)?;
        vm.end_root(root)?;
    }
    Ok(())
}
