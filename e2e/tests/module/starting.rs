//! Plugins begin, are configured, and end.

use anyhow::Result;
use e2e::abi::{Level, Plugin};

use crate::scene::{connection, http, request, tcp, vm};

#[test]
fn a_plugin_begins_takes_streams_and_ends() -> Result<()> {
    for case in http() {
        let (mut vm, root) = case.start()?;
        vm.whole(root, request())?;
        vm.end_root(root)?;
        assert_eq!(vm.envoy().logged(Level::Error, &[]), 0, "{case:?}: {:?}", vm.envoy().log);
    }
    for case in tcp() {
        let (mut vm, root) = case.start()?;
        let id = vm.connection(root, connection())?;
        vm.downstream(id, b"hello", false)?;
        vm.upstream(id, b"world", false)?;
        vm.close(id)?;
        vm.end_root(root)?;
        assert_eq!(vm.envoy().logged(Level::Error, &[]), 0, "{case:?}: {:?}", vm.envoy().log);
    }
    Ok(())
}

#[test]
fn a_configuration_that_is_wrong_is_refused_with_its_field_and_value() -> Result<()> {
    for case in http().into_iter().chain(tcp()) {
        let mut vm = vm(case.module)?;
        for (json, parts) in [(r#"{"nonsense": 1}"#, ["nonsense", "unknown"]), ("{", ["line 1", "column"])] {
            vm.start(Plugin::new(case.root_id).configured(json))?;
            assert_eq!(vm.envoy().logged(Level::Error, &parts), 1, "{case:?}: {:?}", vm.envoy().log);
            vm.envoy_mut().log.clear();
        }
    }
    Ok(())
}

#[test]
fn a_root_id_that_names_no_filter_is_refused() -> Result<()> {
    for root_id in ["", "tcp_fault", "statistics"] {
        let mut vm = vm("remixer")?;
        vm.start(Plugin::new(root_id))?;
        let line = ["root_id", &format!("{root_id:?}"), "metadata_exchange, stats, access_log, telemetry, fault"];
        assert_eq!(vm.envoy().logged(Level::Error, &line), 1, "{:?}", vm.envoy().log);
    }
    Ok(())
}
