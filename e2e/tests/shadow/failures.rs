//! S10 to S17: failing mirrors, failing requests, and clients that leave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use local_mesh::{RawServer, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::backend::Reply;
use crate::scene::{
    all, if_asked, loud, median, mirror, ms, wait_until, with, Scene, Setting, EMPTY, MIRROR, NOBODY, WITH_NOBODY,
};

/// Several mirrors of all requests.
fn mirrors(list: &[String]) -> String {
    format!(r#"{{"http": [{{"mirrors": [{}]}}]}}"#, list.join(","))
}

/// S10, S11
#[test]
fn a_mirror_that_is_not_there_disturbs_nobody() {
    let rules = mirrors(&[
        mirror("up", MIRROR, ""),
        mirror("down", NOBODY, ""),
        mirror("unknown", "no-such-cluster", ""),
        mirror("empty", EMPTY, ""),
    ]);
    let scene = Setting { topology: WITH_NOBODY, rules: &rules, ..Setting::default() }.start();
    for _ in 0..5 {
        let (status, took) = scene.timed(&scene.get("/"));
        assert!(status == 200 && took < ms(300), "{status} {took:?}");
    }
    wait_until(|| scene.mirror().count() == 5);
    assert!(scene.mirror().take().iter().all(|seen| seen.header("x-shadow-mirror") == "up"));
    scene.expect("shadow_requests_total", &[("down", 5), ("up", 5)]);
    scene.expect("shadow_responses_total", &[("down unreachable", 5), ("up 2xx", 5)]);
    scene.expect("shadow_dispatch_failed_total", &[("empty no_host_or_overflow", 5), ("unknown unknown_cluster", 5)]);
    scene.expect("shadow_compare_total", &[("down candidate shadow_unavailable", 5), ("up candidate match", 5)]);
    scene.expect("shadow_status_pairs_total", &[("down 2xx/unreachable", 5), ("up 2xx/2xx", 5)]);
    let log = scene.client().log();
    let warnings = log.lines().filter(|line| line.contains("this proxy has no cluster")).count();
    assert_eq!(warnings, 1, "one a minute");
}

/// S11
#[test]
fn mirrors_that_are_not_there_take_no_time() {
    let list = [("down", NOBODY), ("unknown", "no-such-cluster"), ("empty", EMPTY)];
    let rules = if_asked(&mirrors(&list.map(|(name, cluster)| mirror(name, cluster, ""))));
    let scene = Setting { topology: WITH_NOBODY, rules: &rules, ..Setting::default() }.start();
    let _loud = loud();
    let times = scene.side_by_side(150, ms(5), || scene.get("/"));
    let more = median(times.iter().map(|[plain, mirrored]| mirrored.as_secs_f64() - plain.as_secs_f64()).collect());
    println!("{:.3} ms more", more * 1e3);
    assert!(more <= 0.001, "{more} s more");
    let all = || scene.total("shadow_requests_total") + scene.total("shadow_dispatch_failed_total");
    wait_until(|| all() == 3 * 150);
}

/// S11
#[test]
fn a_breaker_that_is_full_fails_what_is_too_much() {
    let pool = "connectionPool: { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1 }";
    let topology = crate::scene::ONE_PROXY.replace(
        "name: mirror, port: 9080, protocol: http",
        &format!("name: mirror, port: 9080, protocol: http, {pool}"),
    );
    let scene = Setting { topology: &topology, rules: &all(""), ..Setting::default() }.start();
    scene.mirror().reply(Reply::after(500));
    let answers = scene.mesh.client().send_together(&vec![scene.get("/"); 10]);
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)));
    wait_until(|| scene.total("shadow_requests_total") + scene.total("shadow_dispatch_failed_total") == 10);
    let failed = scene.counts("shadow_dispatch_failed_total");
    // One in flight, and one that waits for its connection.
    assert!(failed.get("m no_host_or_overflow").is_some_and(|failed| (8..=9).contains(failed)), "{failed:?}");
    wait_until(|| scene.total("shadow_in_flight") == 0);
    assert_eq!(scene.mirror().count(), scene.total("shadow_requests_total"));
}

/// S12
#[test]
fn a_slow_mirror_is_given_up_in_time() {
    let scene = with(&all(r#""timeout": "300ms""#));
    scene.mirror().reply(Reply::after(10_000));
    let _loud = loud();
    for _ in 0..9 {
        let (status, took) = scene.timed(&scene.get("/"));
        assert!(status == 200 && took < ms(200), "{took:?}");
    }
    wait_until(|| scene.mirror().waits(false).len() == 9);
    let waited = median(scene.mirror().waits(false).iter().map(Duration::as_secs_f64).collect());
    println!("{waited} s");
    assert!((0.28..=0.32).contains(&waited), "{:?}", scene.mirror().waits(false));
    scene.expect("shadow_responses_total", &[("m timeout", 9)]);
    scene.expect("shadow_compare_total", &[("m candidate shadow_unavailable", 9)]);
}

/// S13: no request waits for its copy, neither one that is too large to copy nor one that a mirror does not read.
#[test]
fn a_mirror_that_never_reads_holds_up_nobody() {
    let topology = crate::scene::ONE_PROXY.replace("name: mirror, app: mirror", "name: deaf, app: mirror");
    let rules = if_asked(&all(r#""timeout": "1s""#));
    let scene = Setting { topology: &topology, rules: &rules, ..Setting::default() }.start();
    let deaf = SocketAddr::new(scene.mesh.topology().workload("deaf").unwrap().address.into(), 9080);
    let connections = Mutex::new(Vec::new());
    let _deaf = RawServer::start(deaf, move |stream| connections.lock().unwrap().push(stream)).unwrap();
    let _loud = loud();
    // Waiting for the mirror would take a second each time. For a small body, copying itself takes some time. The fastest of each
    // are compared: other work on the machine makes requests slower, never faster.
    for (size, count, sent, some) in [(40_000_000, 9, 0, 0.0), (1_000_000, 15, 15, 0.01)] {
        let times = scene.side_by_side(count, Duration::ZERO, || scene.post("/", vec![7; size]));
        let [plain, mirrored] = [0, 1].map(|at| {
            let seconds = times.iter().map(|pair| pair[at].as_secs_f64());
            seconds.fold(f64::INFINITY, f64::min)
        });
        println!("{size} bytes: {plain:.4} s, mirrored {mirrored:.4} s");
        assert!(mirrored <= plain * 1.2 + some, "{size}: {times:?}");
        wait_until(|| scene.total("shadow_requests_total") == sent);
    }
    scene.expect("shadow_skipped_total", &[("m body_too_large", 9)]);
    scene.expect("shadow_responses_total", &[("m timeout", 15)]);
}

/// A connection with a request whose answer is not read.
fn leave_after(scene: &Scene, bytes: &[u8], wait: Duration) {
    let mut stream = TcpStream::connect(scene.proxy()).unwrap();
    stream.write_all(bytes).unwrap();
    std::thread::sleep(wait);
}

/// S14
#[test]
fn what_is_sent_survives_the_client_and_what_is_not_complete_is_not_sent() {
    let scene = with(&all(""));
    scene.server.reply(Reply::after(300));
    scene.mirror().reply(Reply::after(600));
    leave_after(&scene, b"GET /left HTTP/1.1\r\nhost: server:9080\r\n\r\n", ms(50));
    assert_eq!(scene.mirror().only().what, "GET /left");
    scene.expect("shadow_responses_total", &[("m 2xx", 1)]);
    assert_eq!(scene.client().counter(&format!("cluster.{MIRROR}.upstream_rq_cancelled")).unwrap(), 0);
    scene.expect("shadow_compare_total", &[("m candidate primary_unavailable", 1)]);
    leave_after(&scene, b"POST /half HTTP/1.1\r\nhost: server:9080\r\ncontent-length: 1000\r\n\r\nabc", ms(50));
    scene.expect("shadow_skipped_total", &[("m incomplete", 1)]);
    assert_eq!(scene.total("shadow_buffered_bytes"), 0);
    assert!(scene.mirror().take().is_empty());
    // A client that leaves right after sending: its context no longer exists when the copy is sent.
    for _ in 0..50 {
        leave_after(&scene, b"GET /gone HTTP/1.1\r\nhost: server:9080\r\n\r\n", Duration::ZERO);
    }
    wait_until(|| {
        let skipped = scene.counts("shadow_skipped_total").get("m incomplete").copied().unwrap_or_default();
        let responses = scene.total("shadow_responses_total");
        responses == scene.total("shadow_requests_total") && responses + skipped >= 2
    });
}

/// S16
#[test]
fn what_becomes_of_the_original_matters_only_if_asked_for() {
    let no_host = format!(
        "{{ applyTo: VIRTUAL_HOST, match: {{ context: SIDECAR_OUTBOUND }}, patch: {{ operation: ADD, value: {{
            name: empty, domains: [empty], routes: [ {{ match: {{ prefix: / }}, route: {{ cluster: {EMPTY} }} }} ] }} }} }}"
    );
    let on_response = r#""sendOn": "primaryResponse""#;
    for (more, sent) in [("", [1, 1, 1]), (on_response, [1, 0, 0])] {
        let setting = Setting { topology: WITH_NOBODY, patches: &[&no_host], ..Setting::default() };
        let scene = Setting { rules: &all(more), ..setting }.start();
        scene.server.reply(Reply::status(500));
        for (host, sent) in ["server:9080", "nobody:9080", "empty"].into_iter().zip(sent) {
            let answer = scene.send(&Request::get(scene.proxy(), "/").host(host));
            assert_eq!(answer.status, if host == "server:9080" { 500 } else { 503 });
            std::thread::sleep(ms(100));
            assert_eq!(scene.mirror().take().len(), sent, "{host} {more}");
        }
        assert_eq!(scene.server.count(), 3, "with its retries");
        let skipped: &[(&str, u64)] = if more.is_empty() { &[] } else { &[("m primary_unavailable", 2)] };
        scene.expect("shadow_skipped_total", skipped);
        // The body is held until then.
        scene.server.reply(Reply::after(100));
        assert_eq!(scene.status(&scene.post("/", vec![5; 100_000])), 200);
        assert_eq!(scene.mirror().only().body.len(), 100_000);
    }
}

/// S17
#[test]
fn tunnels_are_not_mirrored_and_work() {
    let upgrades = "{ applyTo: NETWORK_FILTER, match: { context: SIDECAR_OUTBOUND, listener: { filterChain: {
          filter: { name: envoy.filters.network.http_connection_manager } } } },
        patch: { operation: MERGE, value: { typed_config: {
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
          http2_protocol_options: { allow_connect: true }, upgrade_configs: [ { upgrade_type: CONNECT } ] } } } }";
    let connect = "{ applyTo: VIRTUAL_HOST, match: { context: SIDECAR_OUTBOUND }, patch: { operation: ADD, value: {
        name: tunnel, domains: ['tunnel:443'], routes: [ { match: { connect_matcher: {} }, route: {
          cluster: 'outbound|9080||socket.default.svc.cluster.local',
          upgrade_configs: [ { upgrade_type: CONNECT, connect_config: {} } ] } } ] } } }";
    let topology = format!(
        "{}  - {{ name: socket, port: 9080, protocol: http }}\n",
        crate::scene::ONE_PROXY.replace(
            "services:",
            "  - { name: socket, app: socket, address: 127.24.0.5, sidecar: false, serve: false }\nservices:"
        )
    );
    let patches = [upgrades, connect];
    let scene = Setting { topology: &topology, rules: &all(""), patches: &patches, ..Setting::default() }.start();
    let address = SocketAddr::new(scene.mesh.topology().workload("socket").unwrap().address.into(), 9080);
    // The answer of a websocket server, then an echo. Through a tunnel, only the echo.
    let _socket = RawServer::start(address, |mut stream| {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            let answer = match bytes.starts_with(b"GET ") {
                true => {
                    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".to_vec()
                }
                false => bytes[..count].to_vec(),
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    })
    .unwrap();
    for (head, status) in [
        ("GET /ws HTTP/1.1\r\nhost: socket:9080\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", "HTTP/1.1 101"),
        ("CONNECT tunnel:443 HTTP/1.1\r\nhost: tunnel:443\r\n\r\n", "HTTP/1.1 200"),
    ] {
        let mut stream = TcpStream::connect(scene.proxy()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let read = |stream: &mut TcpStream| {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..count]).into_owned()
        };
        stream.write_all(head.as_bytes()).unwrap();
        let answer = read(&mut stream);
        assert!(answer.starts_with(status), "{answer}");
        stream.write_all(b"ping").unwrap();
        assert_eq!(read(&mut stream), "ping");
    }
    assert_eq!(over_http2(&scene), "ping");
    scene.expect("shadow_skipped_total", &[("m upgrade", 3)]);
    assert!(scene.mirror().take().is_empty());
}

/// Opens a websocket over HTTP/2 (RFC 8441). Returns the echo.
fn over_http2(scene: &Scene) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dialogue = async {
        let stream = TokioIo::new(tokio::net::TcpStream::connect(scene.proxy()).await.unwrap());
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        // Until Envoy has announced that it supports this.
        tokio::time::sleep(ms(200)).await;
        let mut request = hyper::Request::connect("http://socket:9080/ws").body(Empty::<Bytes>::new()).unwrap();
        request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        stream.write_all(b"ping").await.unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), dialogue).await.unwrap() })
}
