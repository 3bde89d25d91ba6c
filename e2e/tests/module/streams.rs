//! Which kind of context a stream gets, and in what order its callbacks may come.

use std::cell::Cell;
use std::rc::Rc;

use anyhow::Result;
use e2e::abi::{Action, Buffer, Level, Plugin, Stream, Vm};

use crate::scene::{connection, http, request, tcp, vm, Case};

/// How often Envoy is asked what a stream is that begins, from now on.
fn count_questions(vm: &mut Vm) -> Rc<Cell<usize>> {
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    vm.envoy_mut().script(move |asked| {
        if asked.callback == "proxy_on_context_create" && asked.subject == "request.protocol" {
            counted.set(counted.get() + 1);
        }
        None
    });
    count
}

#[test]
fn the_first_request_tells_that_all_streams_are_requests() -> Result<()> {
    for case in http() {
        let (mut vm, root) = case.start()?;
        let questions = count_questions(&mut vm);
        vm.whole(root, request())?;
        assert!(questions.get() <= 1, "{case:?}");
        questions.set(0);
        for _ in 0..3 {
            let id = vm.http(root, request())?;
            vm.delete(id)?;
        }
        assert_eq!(questions.get(), 0, "{case:?}");
    }
    Ok(())
}

#[test]
fn connections_and_requests_may_share_a_plugin_while_no_request_has_come() -> Result<()> {
    for case in tcp().into_iter().filter(|case| !case.root_id.starts_with("tcp_")) {
        let (mut vm, root) = case.start()?;
        for _ in 0..2 {
            let id = vm.connection(root, connection())?;
            vm.downstream(id, b"hello", false)?;
            vm.close(id)?;
        }
        vm.whole(root, request())?;
    }
    Ok(())
}

#[test]
fn a_vm_or_root_id_may_say_that_all_streams_are_connections() -> Result<()> {
    for (vm_id, root_id) in [("tcp_stats", "stats"), ("remixer", "tcp_stats")] {
        let mut vm = vm("stats")?;
        let root = vm.start(Plugin::new(root_id).in_vm(vm_id))?;
        // As an access logger, it counts no connections.
        vm.access_log(root, connection())?;
        assert_eq!(vm.envoy().metrics.value(&["istio_requests_total"]), 0);
        let id = vm.connection(root, connection())?;
        vm.close(id)?;
        assert_eq!(vm.envoy().metrics.value(&["istio_tcp_connections_closed_total"]), 1);
    }
    Ok(())
}

/// The filters that are for requests only.
fn of_requests() -> impl Iterator<Item = Case> {
    let is_named = |case: &Case| ["telemetry", "fault", "shadow"].iter().any(|name| case.root_id.starts_with(name));
    http().into_iter().filter(is_named)
}

#[test]
fn a_filter_of_requests_lets_connections_pass_and_says_so_once() -> Result<()> {
    for case in of_requests() {
        let (mut vm, root) = case.start()?;
        for _ in 0..2 {
            let id = vm.connection(root, connection())?;
            assert_eq!(vm.downstream(id, b"hello", false)?, Action::Continue, "{case:?}");
            assert_eq!(vm.upstream(id, b"world", false)?, Action::Continue, "{case:?}");
            let passed = [Buffer::Downstream, Buffer::Upstream].map(|buffer| vm.envoy().passed(id, buffer).to_vec());
            assert_eq!(passed, [b"hello", b"world"], "{case:?}");
            vm.close(id)?;
        }
        let (filter, _) = case.root_id.split_once('_').unwrap_or((case.root_id, ""));
        let line =
            format!("{filter}: this filter is for HTTP only, but attached as a network filter: connections pass");
        assert_eq!(vm.envoy().logged(Level::Warn, &[&line]), 1, "{case:?}: {:?}", vm.envoy().log);
    }
    Ok(())
}

#[test]
fn a_filter_of_requests_has_requests_whatever_its_vm_is_named() -> Result<()> {
    for case in of_requests() {
        let mut vm = case.vm()?;
        let root = vm.start(case.plugin().in_vm("tcp_remixer"))?;
        vm.request(root, request())?;
        assert_eq!(vm.envoy().logged(Level::Warn, &["network filter"]), 0, "{case:?}: {:?}", vm.envoy().log);
    }
    Ok(())
}

#[test]
fn a_request_that_envoy_refuses_is_logged_without_having_had_headers() -> Result<()> {
    for case in http() {
        let (mut vm, root) = case.start()?;
        let refused = Stream::default().text("request.protocol", "HTTP/1.1").int("response.code", 400);
        let id = vm.http(root, refused)?;
        vm.end(id)?;
        let requests = vm.envoy().metrics.value(&["response_code=.=400", "istio_requests_total"]);
        let counts = case.root_id.starts_with("stats") || case.root_id.starts_with("telemetry");
        assert_eq!(requests, u64::from(counts), "{case:?}");
    }
    Ok(())
}

#[test]
fn a_stream_may_end_at_any_point() -> Result<()> {
    for case in http() {
        let (mut vm, root) = case.start()?;
        for length in 0..8 {
            for is_logged in [false, true] {
                let id = vm.http(root, request())?;
                for step in 0..length {
                    let _: Option<Action> = match step {
                        0 => vm.request_headers(id, false).map(Some)?,
                        1 => vm.request_body(id, b"body", false).map(Some)?,
                        2 => vm.request_trailers(id).map(Some)?,
                        3 => vm.response_headers(id, false).map(Some)?,
                        4 => vm.response_body(id, b"body", false).map(Some)?,
                        5 => vm.response_trailers(id).map(Some)?,
                        _ => vm.tick(root).map(|()| None)?,
                    };
                }
                // A filter of an upstream is not told of the access log.
                if is_logged {
                    vm.end(id)?;
                } else {
                    vm.delete(id)?;
                }
                vm.tick(root)?;
            }
        }
    }
    for case in tcp() {
        let (mut vm, root) = case.start()?;
        for length in 0..6 {
            let id = vm.connection(root, connection())?;
            for step in 0..length {
                match step {
                    0 | 3 => drop(vm.downstream(id, b"\x3d\x23", step == 3)?),
                    1 | 4 => drop(vm.upstream(id, b"", step == 4)?),
                    _ => vm.tick(root)?,
                }
            }
            vm.close(id)?;
            vm.tick(root)?;
        }
    }
    Ok(())
}

#[test]
fn streams_that_live_at_once_are_told_apart() -> Result<()> {
    for (module, root_id) in [("stats", "stats_inbound"), ("remixer", "telemetry_inbound")] {
        let mut vm = vm(module)?;
        let root = vm.start(Plugin::new(root_id))?;
        let with_code = |code| request().int("response.code", code);
        let (first, second) = (vm.request(root, with_code(201))?, vm.request(root, with_code(404))?);
        vm.response_headers(second, false)?;
        vm.response_headers(first, true)?;
        vm.end(second)?;
        let third = vm.request(root, with_code(500))?;
        vm.end(first)?;
        vm.response_headers(third, true)?;
        vm.end(third)?;
        for code in ["201", "404", "500"] {
            let parts = ["istio_requests_total", &format!("response_code=.={code};.;")];
            assert_eq!(vm.envoy().metrics.value(&parts), 1, "{module}: {code}");
        }
    }
    Ok(())
}

#[test]
fn connections_that_live_at_once_are_told_apart() -> Result<()> {
    for (module, root_id) in [("stats", "tcp_stats_inbound"), ("remixer", "tcp_stats_inbound")] {
        let mut vm = vm(module)?;
        let root = vm.start(Plugin::new(root_id))?;
        let from = |id: &str| connection().with_state("downstream_peer_id", id.as_bytes()).text("xds.cluster_name", id);
        let (first, second) = (vm.connection(root, from("a"))?, vm.connection(root, from("b"))?);
        vm.downstream(first, &[0; 100], false)?;
        vm.downstream(second, &[0; 7], false)?;
        vm.downstream(first, &[0; 1], false)?;
        vm.upstream(second, &[0; 20], true)?;
        vm.close(first)?;
        let metrics = &vm.envoy().metrics;
        assert_eq!(metrics.value(&["istio_tcp_received_bytes_total"]), 101, "{:?}", metrics.names());
        vm.close(second)?;
        let metrics = &vm.envoy().metrics;
        assert_eq!(metrics.value(&["istio_tcp_received_bytes_total"]), 108);
        assert_eq!(metrics.value(&["istio_tcp_sent_bytes_total"]), 20);
        assert_eq!(metrics.value(&["istio_tcp_connections_opened_total"]), 2);
        assert_eq!(metrics.value(&["istio_tcp_connections_closed_total"]), 2);
    }
    Ok(())
}
