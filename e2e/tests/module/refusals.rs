//! Plugins that refuse their configuration: to Envoy they take it, and traffic passes.

use std::time::Duration;

use anyhow::Result;
use e2e::abi::{Action, Buffer, Level, Map, Plugin, Vm};

use metadata_exchange::frame;
use metadata_exchange::wire::{ID_HEADER, METADATA_HEADER};

use crate::scene::{connection, http, peer, request, tcp, vm, Case, ABORT};

const BAD: &str = r#"{"nonsense": 1}"#;
const WITHOUT: &str =
    "no valid configuration came before, traffic passes without this filter until this one is corrected";
const DEFAULTS: &str = "no valid configuration came before, the defaults hold until this one is corrected";
const LAST: &str = "the last valid configuration stays until this one is corrected";

fn gauge(vm: &Vm, component: &str) -> u64 {
    vm.envoy().metrics.value(&[&format!("component.{component}.remixer_configuration_refused")])
}

fn warned(vm: &Vm, line: &str) -> usize {
    vm.envoy().logged(Level::Warn, &[line])
}

/// Metadata exchange goes on: what peers say of themselves must not reach the application. So do the standard metrics.
fn has_defaults(case: Case) -> bool {
    ["metadata_exchange", "telemetry", "stats"].iter().any(|name| case.root_id.contains(name))
}

#[test]
fn what_begins_with_a_wrong_configuration_lets_requests_pass_untouched() -> Result<()> {
    for case in http() {
        let mut vm = case.vm()?;
        let root = vm.start(Plugin::new(case.root_id).configured(BAD))?;
        vm.pass(Duration::from_millis(1))?;
        vm.envoy_mut().take_counts();
        let stream = vm.whole(root, request())?;
        if has_defaults(case) {
            assert_eq!(warned(&vm, DEFAULTS), 1, "{case:?}: {:?}", vm.envoy().log);
        } else {
            assert_eq!(format!("{stream:?}"), format!("{:?}", request()), "{case:?}");
            let counts = vm.envoy_mut().take_counts();
            // Whether it is a request.
            assert!(counts.keys().all(|call| *call == "proxy_get_property"), "{case:?}: {counts:?}");
            vm.access_log(root, request())?;
            assert_eq!(
                (warned(&vm, WITHOUT), vm.envoy().tick_period(root)),
                (1, None),
                "{case:?}: {:?}",
                vm.envoy().log
            );
        }
        vm.pass(Duration::from_secs(60))?;
        assert_eq!(gauge(&vm, case.root_id), 1, "{case:?}");
        vm.end_root(root)?;
        assert_eq!((gauge(&vm, case.root_id), vm.envoy().logged(Level::Warn, &[])), (0, 1), "{case:?}");
    }
    Ok(())
}

#[test]
fn what_begins_with_a_wrong_configuration_lets_connections_pass_untouched() -> Result<()> {
    for case in tcp() {
        let mut vm = case.vm()?;
        let root = vm.start(Plugin::new(case.root_id).configured(BAD))?;
        vm.pass(Duration::from_millis(1))?;
        let id = vm.connection(root, connection())?;
        assert_eq!(vm.downstream(id, b"hello", false)?, Action::Continue, "{case:?}");
        assert_eq!(vm.upstream(id, b"world", false)?, Action::Continue, "{case:?}");
        let passed = [Buffer::Downstream, Buffer::Upstream].map(|buffer| vm.envoy().passed(id, buffer).to_vec());
        assert_eq!(passed, [b"hello", b"world"], "{case:?}");
        vm.pass(Duration::from_secs(60))?;
        vm.close(id)?;
        let told = if has_defaults(case) { DEFAULTS } else { WITHOUT };
        assert_eq!((warned(&vm, told), gauge(&vm, case.root_id)), (1, 1), "{case:?}: {:?}", vm.envoy().log);
        vm.end_root(root)?;
        assert_eq!(gauge(&vm, case.root_id), 0, "{case:?}");
    }
    Ok(())
}

#[test]
fn frames_do_not_reach_the_application_whatever_the_configuration() -> Result<()> {
    let frame = frame::encode(Some("ratings"), &peer()).unwrap();
    for module in ["metadata_exchange", "remixer"] {
        let mut vm = vm(module)?;
        let root = vm.start(Plugin::new("tcp_metadata_exchange_inbound").configured(BAD))?;
        let id = vm.connection(root, connection())?;
        let (first, rest) = frame.split_at(1);
        assert_eq!(vm.downstream(id, first, false)?, Action::Pause);
        vm.pass(Duration::from_millis(500))?;
        assert_eq!(vm.downstream(id, &[rest, b"hello"].concat(), false)?, Action::Continue);
        assert_eq!(vm.envoy().passed(id, Buffer::Downstream), b"hello", "{module}");
        assert_eq!((warned(&vm, DEFAULTS), vm.envoy().tick_period(root)), (1, Some(Duration::from_millis(500))));
        vm.close(id)?;
        vm.pass(Duration::from_secs(1))?;
        assert_eq!(vm.envoy().tick_period(root), None, "{module}: nobody waits");
    }
    Ok(())
}

#[test]
fn headers_of_peers_do_not_reach_the_application_whatever_the_configuration() -> Result<()> {
    for root_id in ["telemetry_inbound", "metadata_exchange_inbound"] {
        let mut vm = vm("remixer")?;
        let root = vm.start(Plugin::new(root_id).configured(BAD))?;
        let stream = vm.whole(root, request())?;
        let seen = [METADATA_HEADER, ID_HEADER].map(|name| stream.header_of(Map::RequestHeaders, name));
        assert_eq!(seen, [None, None], "{root_id}");
    }
    Ok(())
}

#[test]
fn standard_metrics_go_on_whatever_the_configuration_but_nobody_s_host_makes_series() -> Result<()> {
    for (module, root_id) in
        [("stats", "stats_outbound"), ("remixer", "stats_outbound"), ("remixer", "telemetry_outbound")]
    {
        // With a valid configuration, the Host header names the service where the cluster does not.
        for (configuration, by_host) in [("{}", 1), (BAD, 0)] {
            let mut vm = vm(module)?;
            let root = vm.start(Plugin::new(root_id).configured(configuration))?;
            let of_stranger = request().text("xds.cluster_name", "mine").text("request.host", "stranger.example");
            vm.whole(root, of_stranger)?;
            let count = |part: &str| vm.envoy().metrics.value(&["istio_requests_total", "response_code=.=200", part]);
            let told = format!("{module} {root_id} {configuration}: {:?}", vm.envoy().metrics.names());
            assert_eq!((count(""), count("stranger.example")), (1, by_host), "{told}");
        }
    }
    Ok(())
}

#[test]
fn the_timer_of_defaults_is_the_filter_s_own_once_it_is_said_that_they_hold() -> Result<()> {
    for (module, root_id) in [("stats", "stats_inbound"), ("remixer", "telemetry_inbound")] {
        let mut vm = vm(module)?;
        let root = vm.start(Plugin::new(root_id).configured(BAD))?;
        vm.pass(Duration::from_millis(1))?;
        assert_eq!((warned(&vm, DEFAULTS), gauge(&vm, root_id)), (1, 1), "{root_id}");
        assert_eq!(vm.envoy().tick_period(root), Some(Duration::from_secs(15)), "{root_id}");
    }
    Ok(())
}

#[test]
fn a_root_id_that_names_no_filter_lets_everything_pass() -> Result<()> {
    let mut vm = vm("remixer")?;
    let root = vm.start(Plugin::new("statistics"))?;
    assert_eq!(format!("{:?}", vm.whole(root, request())?), format!("{:?}", request()));
    let root = vm.start(Plugin::new("tcp_statistics"))?;
    let id = vm.connection(root, connection())?;
    vm.downstream(id, b"hello", false)?;
    vm.close(id)?;
    vm.pass(Duration::from_millis(1))?;
    assert_eq!((warned(&vm, WITHOUT), gauge(&vm, "statistics"), gauge(&vm, "tcp_statistics")), (2, 1, 1));
    Ok(())
}

/// What a plugin does to requests or connections, as far as Envoy sees it.
fn traffic(vm: &mut Vm, case: Case, root: u32) -> Result<String> {
    let metrics = |vm: &Vm| {
        let names: Vec<String> = vm.envoy().metrics.names().into_iter().map(String::from).collect();
        let values = names.iter().filter(|name| !name.contains("refused"));
        values.map(|name| (name.clone(), vm.envoy().metrics.value(&[name]))).collect::<Vec<_>>()
    };
    let before = metrics(vm);
    let seen = if http().contains(&case) {
        let id = vm.request(root, request())?;
        vm.pass(Duration::from_millis(1))?;
        vm.response_headers(id, true)?;
        let ends = format!("{:?}", vm.envoy().ends(id));
        format!("{ends} {:?}", vm.end(id)?)
    } else {
        let id = vm.connection(root, connection())?;
        vm.downstream(id, b"hello", false)?;
        let passed = format!("{:?}", vm.envoy().passed(id, Buffer::Downstream));
        vm.close(id)?;
        passed
    };
    let grown = metrics(vm).into_iter().map(|(name, value)| {
        let old = before.iter().find(|(other, _)| *other == name).map_or(0, |(_, value)| *value);
        (name, value.wrapping_sub(old))
    });
    Ok(format!("{seen} {:?}", grown.filter(|(_, by)| *by != 0).collect::<Vec<_>>()))
}

#[test]
fn an_update_that_is_wrong_leaves_the_last_valid_configuration_and_the_next_one_corrects_it() -> Result<()> {
    for case in http().into_iter().chain(tcp()) {
        let (mut vm, good) = case.start()?;
        traffic(&mut vm, case, good)?;
        let expected = traffic(&mut vm, case, good)?;
        let bad = vm.start(Plugin::new(case.root_id).configured(BAD))?;
        assert_eq!((gauge(&vm, case.root_id), warned(&vm, LAST)), (1, 1), "{case:?}");
        vm.end_root(good)?;
        let worse = vm.start(Plugin::new(case.root_id).configured("["))?;
        vm.end_root(bad)?;
        vm.pass(Duration::from_secs(1))?;
        assert_eq!((gauge(&vm, case.root_id), warned(&vm, LAST)), (1, 2), "{case:?}");
        traffic(&mut vm, case, worse)?;
        assert_eq!(traffic(&mut vm, case, worse)?, expected, "{case:?}");
        let corrected = vm.start(case.plugin())?;
        assert_eq!(gauge(&vm, case.root_id), 0, "{case:?}");
        vm.end_root(worse)?;
        traffic(&mut vm, case, corrected)?;
        let told = [WITHOUT, DEFAULTS, LAST].map(|line| warned(&vm, line));
        assert_eq!((gauge(&vm, case.root_id), told), (0, [0, 0, 2]), "{case:?}: {:?}", vm.envoy().log);
    }
    Ok(())
}

#[test]
fn faults_that_were_removed_do_not_come_back_with_a_wrong_configuration() -> Result<()> {
    let case = Case { module: "fault", root_id: "fault", configuration: ABORT };
    let (mut vm, root) = case.start()?;
    vm.end_root(root)?;
    let root = vm.start(Plugin::new("fault").configured(BAD))?;
    let id = vm.request(root, request())?;
    assert_eq!(vm.envoy().ends(id), []);
    Ok(())
}

#[test]
fn plugins_of_one_vm_keep_each_its_own() -> Result<()> {
    let mut vm = vm("remixer")?;
    vm.start(Plugin::new("fault_outbound").configured(ABORT))?;
    vm.start(Plugin::new("telemetry_inbound"))?;
    let root = vm.start(Plugin::new("fault_inbound").configured(BAD))?;
    let id = vm.request(root, request())?;
    assert_eq!(vm.envoy().ends(id), [], "the faults of the other direction");
    vm.pass(Duration::from_millis(1))?;
    let gauges = ["fault_inbound", "fault_outbound", "telemetry_inbound"].map(|component| gauge(&vm, component));
    assert_eq!(gauges, [1, 0, 0]);
    Ok(())
}

#[test]
fn without_a_timer_it_is_said_at_once_that_nothing_was_valid() -> Result<()> {
    let mut vm = vm("fault")?;
    let status = e2e::abi::status::INTERNAL_FAILURE;
    vm.envoy_mut().answer("proxy_set_tick_period_milliseconds", e2e::abi::Answer::Status(status));
    vm.start(Plugin::new("fault").configured(BAD))?;
    assert_eq!(warned(&vm, WITHOUT), 1);
    Ok(())
}

/// Where Envoy shall count, the bootstrap has no expressions: labels in the names of stats would stay there.
#[test]
fn defaults_of_one_that_wants_envoy_to_count_do_so() -> Result<()> {
    for (root_id, wrong) in [
        ("telemetry_inbound", r#"{"stats": {"envoy_counts": true, "max_series": 1}}"#),
        ("stats_inbound", r#"{"envoyCounts": true, "max_series": 1}"#),
    ] {
        let mut vm = Case { module: "remixer", root_id, configuration: wrong }.vm()?;
        let root = vm.start(Plugin::new(root_id).configured(wrong))?;
        vm.pass(Duration::from_millis(1))?;
        vm.whole(root, request())?;
        assert_eq!(warned(&vm, "\"envoy_counts\":true"), 1, "{root_id}: {:?}", vm.envoy().log);
        assert_eq!(vm.envoy().metrics.value(&["istio_requests_total"]), 0, "{root_id}");
    }
    Ok(())
}
