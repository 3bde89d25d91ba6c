//! Timers, and the streams that they are about.

use std::time::Duration;

use anyhow::Result;
use e2e::abi::{status, Answer, Level, Plugin, Stream, Vm};

use crate::scene::{connection, http, request, tcp, Case};

const PERIOD: &str = r#"{"tcp_reporting_duration": "2s"}"#;

/// A live stream of each kind that a timer visits: the plugin, and how the stream begins.
type Begin = fn(&mut Vm, u32) -> Result<u32>;

fn grpc() -> Stream {
    request().text("filter_state\0envoy.filters.http.grpc_stats", "1,0")
}

fn begin_request(vm: &mut Vm, root: u32) -> Result<u32> {
    vm.request(root, grpc())
}

fn begin_connection(vm: &mut Vm, root: u32) -> Result<u32> {
    vm.connection(root, connection())
}

/// A connection that begins as if with metadata.
fn begin_waiting(vm: &mut Vm, root: u32) -> Result<u32> {
    let id = vm.connection(root, connection())?;
    vm.downstream(id, b"\x3d", false)?;
    Ok(id)
}

const VISITED: [(&str, &str, &str, Begin); 9] = [
    ("stats", "stats_inbound", PERIOD, begin_request),
    ("stats", "tcp_stats_inbound", PERIOD, begin_connection),
    ("access_log", "tcp_access_log", PERIOD, begin_connection),
    ("metadata_exchange", "tcp_metadata_exchange", "{}", begin_waiting),
    ("remixer", "telemetry_inbound", "{}", begin_request),
    ("remixer", "stats_inbound", PERIOD, begin_request),
    ("remixer", "tcp_stats_inbound", PERIOD, begin_connection),
    ("remixer", "tcp_access_log", PERIOD, begin_connection),
    ("remixer", "tcp_metadata_exchange", "{}", begin_waiting),
];

/// The streams that a tick is about.
fn visited(vm: &mut Vm, root: u32) -> Result<Vec<u32>> {
    vm.envoy_mut().entered.clear();
    vm.tick(root)?;
    let mut visited = std::mem::take(&mut vm.envoy_mut().entered);
    visited.sort_unstable();
    Ok(visited)
}

#[test]
fn a_tick_visits_the_streams_that_live_and_no_others() -> Result<()> {
    for (module, root_id, configuration, begin) in VISITED {
        let (mut vm, root) = Case { module, root_id, configuration }.start()?;
        assert_eq!(visited(&mut vm, root)?, Vec::<u32>::new(), "{module} {root_id}");
        let ids = [begin(&mut vm, root)?, begin(&mut vm, root)?, begin(&mut vm, root)?];
        assert_eq!(visited(&mut vm, root)?, ids, "{module} {root_id}");
        if std::ptr::fn_addr_eq(begin, begin_waiting as Begin) {
            continue;
        }
        vm.close(ids[1])?;
        assert_eq!(visited(&mut vm, root)?, [ids[0], ids[2]], "{module} {root_id}");
        for id in [ids[2], ids[0]] {
            vm.close(id)?;
        }
        assert_eq!(visited(&mut vm, root)?, Vec::<u32>::new(), "{module} {root_id}");
    }
    Ok(())
}

#[test]
fn a_stream_that_was_not_logged_is_forgotten_too() -> Result<()> {
    for (module, root_id, configuration, begin) in VISITED {
        let (mut vm, root) = Case { module, root_id, configuration }.start()?;
        let ids = [begin(&mut vm, root)?, begin(&mut vm, root)?];
        vm.delete(ids[0])?;
        visited(&mut vm, root)?;
        assert!(!visited(&mut vm, root)?.contains(&ids[0]), "{module} {root_id}");
    }
    Ok(())
}

#[test]
fn a_plugin_visits_its_own_streams_only() -> Result<()> {
    for (module, root_id, configuration, begin) in VISITED {
        let (mut vm, first) = Case { module, root_id, configuration }.start()?;
        let second = vm.start(Plugin::new(root_id).configured(configuration))?;
        let ids = [begin(&mut vm, first)?, begin(&mut vm, second)?];
        assert_eq!(visited(&mut vm, first)?, [ids[0]], "{module} {root_id}");
        assert_eq!(visited(&mut vm, second)?, [ids[1]], "{module} {root_id}");
    }
    Ok(())
}

#[test]
fn live_streams_are_reported_when_the_timer_fires() -> Result<()> {
    let (mut vm, root) = Case { module: "stats", root_id: "tcp_stats_inbound", configuration: PERIOD }.start()?;
    let id = vm.connection(root, connection().with_state("downstream_peer_id", b"x"))?;
    vm.downstream(id, &[0; 10], false)?;
    vm.pass(Duration::from_millis(1999))?;
    assert_eq!(vm.envoy().metrics.value(&["istio_tcp_received_bytes_total"]), 0);
    vm.pass(Duration::from_millis(1))?;
    assert_eq!(vm.envoy().metrics.value(&["istio_tcp_received_bytes_total"]), 10);
    vm.downstream(id, &[0; 5], false)?;
    vm.pass(Duration::from_secs(2))?;
    assert_eq!(vm.envoy().metrics.value(&["istio_tcp_received_bytes_total"]), 15);

    let (mut vm, root) = Case { module: "remixer", root_id: "telemetry_inbound", configuration: "{}" }.start()?;
    let id = vm.request(root, grpc())?;
    vm.pass(Duration::from_secs(15))?;
    assert_eq!(vm.envoy().metrics.value(&["istio_request_messages_total"]), 0, "it is not answered");
    vm.response_headers(id, false)?;
    vm.pass(Duration::from_secs(15))?;
    assert_eq!(vm.envoy().metrics.value(&["istio_request_messages_total"]), 1);
    Ok(())
}

#[test]
fn a_label_that_needs_the_stream_is_reported_by_its_next_callback() -> Result<()> {
    let configuration = r#"{"tcp_reporting_duration": "2s",
        "metrics": [{"dimensions": {"who": "connection.requested_server_name + '!'"}}]}"#;
    let (mut vm, root) = Case { module: "stats", root_id: "tcp_stats_inbound", configuration }.start()?;
    let stream = connection().with_state("downstream_peer_id", b"x");
    let id = vm.connection(root, stream.expression("string(connection.requested_server_name + '!')", b"reviews!"))?;
    vm.downstream(id, &[0; 10], false)?;
    vm.pass(Duration::from_secs(2))?;
    let received = |vm: &Vm| vm.envoy().metrics.value(&["istio_tcp_received_bytes_total", "who=.=reviews!;.;"]);
    let before = received(&vm);
    vm.downstream(id, &[0; 5], false)?;
    assert_eq!((before, received(&vm)), (0, 15), "{:?}", vm.envoy().metrics.names());
    Ok(())
}

/// The first period of the timer.
fn period(case: Case) -> Result<Option<Duration>> {
    let (vm, root) = case.start()?;
    Ok(vm.envoy().tick_period(root))
}

#[test]
fn a_plugin_sets_its_timer_when_configured_or_when_it_needs_one() -> Result<()> {
    let case = |module, root_id, configuration| Case { module, root_id, configuration };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (case, expected) in [
        (case("stats", "stats", "{}"), seconds(15)),
        (case("stats", "tcp_stats", PERIOD), seconds(2)),
        (case("access_log", "access_log", "{}"), seconds(15)),
        (case("access_log", "tcp_access_log", PERIOD), seconds(1)),
        (case("metadata_exchange", "metadata_exchange", "{}"), None),
        (case("fault", "fault", crate::scene::DELAY), None),
        (case("shadow", "shadow", crate::scene::MIRROR), None),
        (case("remixer", "telemetry_outbound", "{}"), seconds(15)),
        (case("remixer", "telemetry_outbound", r#"{"stats": {"tcp_reporting_duration": "3s"}}"#), seconds(3)),
    ] {
        assert_eq!(period(case)?, expected, "{case:?}");
    }
    Ok(())
}

#[test]
fn without_a_timer_everything_else_works() -> Result<()> {
    for case in http().into_iter().chain(tcp()) {
        let mut vm = case.vm()?;
        vm.envoy_mut().answer("proxy_set_tick_period_milliseconds", Answer::Status(status::INTERNAL_FAILURE));
        let root = vm.start(case.plugin())?;
        let asks = ["stats", "access_log", "telemetry"].iter().any(|filter| case.root_id.contains(filter));
        assert_eq!(
            vm.envoy().logged(Level::Warn, &["proxy_set_tick_period_milliseconds"]),
            usize::from(asks),
            "{case:?}"
        );
        if http().contains(&case) {
            vm.whole(root, request())?;
        } else {
            let id = vm.connection(root, connection())?;
            vm.downstream(id, b"hello", false)?;
            vm.close(id)?;
        }
    }
    Ok(())
}

/// More than the streams that a module has room for in the memory that it takes first.
const WARM: usize = 1000;
const MANY: usize = 10_000;

#[test]
fn memory_does_not_grow_with_the_number_of_streams() -> Result<()> {
    for case in http() {
        let (mut vm, root) = case.start()?;
        stays(case, &mut vm, |vm| {
            let id = vm.request(root, request())?;
            vm.response_headers(id, true)?;
            vm.end(id).map(drop)
        })?;
    }
    for case in tcp() {
        let (mut vm, root) = case.start()?;
        stays(case, &mut vm, |vm| {
            let id = vm.connection(root, connection())?;
            vm.downstream(id, b"hello", false)?;
            vm.close(id).map(drop)
        })?;
    }
    Ok(())
}

fn stays(case: Case, vm: &mut Vm, one: impl Fn(&mut Vm) -> Result<()>) -> Result<()> {
    let many = |vm: &mut Vm, count| -> Result<()> {
        for index in 0..count {
            one(vm)?;
            // Answers to copies, and the timers' work.
            let calls: Vec<u32> = vm.envoy().calls.iter().map(|call| call.token).collect();
            for token in calls {
                vm.answer(token, e2e::abi::CallResponse::default())?;
            }
            if index % 100 == 0 {
                vm.pass(Duration::from_secs(1))?;
            }
        }
        Ok(())
    };
    many(vm, WARM)?;
    let before = vm.memory();
    many(vm, MANY)?;
    assert_eq!(vm.memory(), before, "{case:?}");
    Ok(())
}
