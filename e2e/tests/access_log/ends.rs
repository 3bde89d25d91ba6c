//! However a request ends, each side that saw it writes one line.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use local_mesh::envoy_filter;

use crate::{get, lines, start, status, told, wait_until, PAIR, SERVER, VERSIONS, WAIT};

/// The fields that describe how a request ended.
const END: [&str; 6] =
    ["reporter", "source_workload", "destination_workload", "response_code", "response_flags", "response_code_details"];

/// A filter that answers if a header asks for it.
const TEAPOT: &str = "{ applyTo: HTTP_FILTER,
    match: { context: SIDECAR_OUTBOUND,
      listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } } },
    patch: { operation: INSERT_FIRST, value: { name: teapot, typed_config: {
      '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua,
      default_source_code: { inline_string: 'function envoy_on_request(h)
        if h:headers():get(\"teapot\") then h:respond({[\":status\"] = \"418\"}, \"\") end end' } } } } }";

#[test]
fn however_a_request_ends_there_is_one_line() {
    for version in VERSIONS {
        let mesh = start(PAIR, |options| {
            options.envoy_version = Some(version.to_owned());
            options.patches = vec![envoy_filter(TEAPOT)];
        });
        let outbound = mesh.sidecar("client-v1").unwrap().outbound();
        let begin = |path: &str| {
            let mut stream = TcpStream::connect(outbound).unwrap();
            stream.set_read_timeout(Some(WAIT)).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nhost: {SERVER}\r\n\r\n").unwrap();
            stream
        };
        let served = || mesh.application("server-v2").unwrap().served();
        let mut count = 0;
        let mut expect = |what: &str, client: &str, server: Option<&str>| {
            count += 1;
            let all = lines(&mesh, "client-v1", count);
            assert_eq!(told(&all[count - 1..], &END), [format!("source client-v1 {client}")], "{version} {what}");
            if let Some(server) = server {
                let output = || mesh.sidecar("server-v2").unwrap().output();
                wait_until(|| {
                    output().lines().last().is_some_and(|line| line.contains("\"reporter\":\"destination\""))
                });
                let last = serde_json::from_str(output().lines().last().unwrap()).unwrap();
                assert_eq!(told(&[last], &END), [format!("destination {server}")], "{version} {what}");
            }
        };

        assert_eq!(status(&mesh, get(&mesh, "/status/200").header("teapot", "1")), 418);
        expect("another filter answers", "unknown 418 - lua_response", None);

        assert_eq!(status(&mesh, get(&mesh, "/").host("nowhere.example")), 503);
        expect("there is no such host", "unknown 503 UH no_healthy_upstream", None);

        assert_eq!(status(&mesh, get(&mesh, "/status/404")), 404);
        let reached = |code: &str| format!("server-v2 {code} - via_upstream");
        expect("not found", &reached("404"), Some("client-v1 server-v2 404 - via_upstream"));

        assert_eq!(status(&mesh, get(&mesh, "/reset")), 503);
        let reset = "client-v1 server-v2 503 UC upstream_reset_before_response_started{connection_termination}";
        expect("the application resets before headers", &reached("503"), Some(reset));

        mesh.client().send(&get(&mesh, "/truncate")).unwrap_err();
        expect(
            "the application resets after headers",
            "server-v2 200 UPE upstream_reset_after_response_started{protocol_error}",
            Some("client-v1 server-v2 200 UPE upstream_reset_after_response_started{protocol_error}"),
        );

        let before = served();
        let early = begin("/delay/5000");
        wait_until(|| served() > before);
        drop(early);
        let left = "server-v2 0 DC downstream_remote_disconnect";
        expect("the client leaves before headers", left, Some(&format!("client-v1 {left}")));

        let mut late = begin("/bytes/30000000");
        late.read_exact(&mut [0; 1000]).unwrap();
        drop(late);
        expect("the client leaves in the body", "server-v2 200 DC downstream_remote_disconnect", None);

        let answer = mesh.client().raw(outbound, b"what is this?\r\n\r\n", WAIT).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
        expect("it is not HTTP", "unknown 400 DPE http1.codec_error", None);

        mesh.sidecar("server-v2").unwrap().kill();
        assert_eq!(status(&mesh, get(&mesh, "/status/200")), 503);
        count += 1;
        let all = lines(&mesh, "client-v1", count);
        let last = told(&all[count - 1..], &END).remove(0);
        assert!(last.starts_with("source client-v1 server-v2 503 U"), "{version}: {last}");
    }
}

#[test]
fn grpc_calls_have_their_status_and_reset_streams_a_line() {
    let mesh = start(&PAIR.replace("protocol: http", "protocol: grpc"), |_| {});
    let call = get(&mesh, "/status/200").http2().header("content-type", "application/grpc");
    assert_eq!(status(&mesh, call), 200);
    let hasty = get(&mesh, "/delay/5000").http2().timeout(Duration::from_secs(1));
    mesh.client().send(&hasty).unwrap_err();
    let fields = ["protocol", "response_code", "response_flags", "grpc_status"];
    for workload in ["client-v1", "server-v2"] {
        let lines = lines(&mesh, workload, 2);
        // There was no status, which counts as "unknown".
        assert_eq!(told(&lines, &fields), ["HTTP/2 200 - 2", "HTTP/2 0 DR null"], "{workload}");
    }
}
