//! Plugins as access loggers: Envoy calls the plugin's own context when a stream ends, and takes no filter state from it.

use anyhow::Result;
use e2e::abi::{Plugin, Stream};

use crate::scene::{http, peer, request, tcp, vm};

#[test]
fn an_access_logger_of_stats_counts_requests() -> Result<()> {
    for module in ["stats", "remixer"] {
        let mut vm = vm(module)?;
        let root = vm.start(Plugin::new("stats_inbound"))?;
        let stream = request().with_state("downstream_peer", &peer().to_state());
        for _ in 0..3 {
            vm.access_log(root, stream.clone())?;
        }
        let parts = ["istio_requests_total", "source_workload=.=ratings-v1;.;", "reporter=.=destination;.;"];
        assert_eq!(vm.envoy().metrics.value(&parts), 3, "{:?}", vm.envoy().metrics.names());
    }
    Ok(())
}

#[test]
fn an_access_logger_and_a_filter_may_be_one_plugin() -> Result<()> {
    let mut vm = vm("stats")?;
    let root = vm.start(Plugin::new("stats_inbound"))?;
    let id = vm.request(root, request())?;
    vm.access_log(root, request())?;
    vm.response_headers(id, true)?;
    vm.end(id)?;
    assert_eq!(vm.envoy().metrics.value(&["istio_requests_total"]), 2);
    Ok(())
}

#[test]
fn as_an_access_logger_no_plugin_changes_the_stream() -> Result<()> {
    for case in http().into_iter().chain(tcp()) {
        let (mut vm, root) = case.start()?;
        let stream = vm.access_log(root, request())?;
        assert_eq!(stream.state("access_log"), None, "{case:?}");
        vm.access_log(root, Stream::default())?;
    }
    Ok(())
}

#[test]
fn the_access_log_puts_a_line_into_filter_state() -> Result<()> {
    for (module, root_id) in [("access_log", "access_log_inbound"), ("remixer", "access_log_inbound")] {
        let mut vm = vm(module)?;
        let root = vm.start(Plugin::new(root_id))?;
        let stream = vm.whole(root, request().with_state("downstream_peer", &peer().to_state()))?;
        let line = stream.state_text("access_log").unwrap_or_default();
        assert!(line.ends_with("}\n") && line.contains(r#""source_workload":"ratings-v1""#), "{line}");
    }
    Ok(())
}

#[test]
fn a_connection_has_lines_while_it_lives_if_they_are_wanted() -> Result<()> {
    let open_and_live = r#"{"tcp_open_line": true, "tcp_reporting_duration": "2s"}"#;
    for (configuration, opens, lives) in [("{}", false, false), (open_and_live, true, true)] {
        for module in ["access_log", "remixer"] {
            let mut vm = vm(module)?;
            let root = vm.start(Plugin::new("tcp_access_log_inbound").configured(configuration))?;
            let id = vm.connection(root, crate::scene::connection())?;
            let line = |vm: &e2e::abi::Vm| {
                vm.envoy().stream(id).and_then(|stream| stream.state_text("access_log")).map(str::to_owned)
            };
            let first = line(&vm);
            assert_eq!(first.is_some(), opens, "{module}: {first:?}");
            vm.downstream(id, &[0; 10], false)?;
            vm.pass(std::time::Duration::from_secs(2))?;
            assert_eq!(
                line(&vm).is_some_and(|line| line.contains(r#""connection_event":"continue""#)),
                lives,
                "{module}: {:?}",
                line(&vm)
            );
            let stream = vm.close(id)?;
            let last = stream.state_text("access_log").unwrap_or_default();
            assert!(last.contains(r#""connection_event":"close""#), "{module}: {last}");
        }
    }
    Ok(())
}
