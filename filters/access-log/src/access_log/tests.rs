use host::fake::FakeHost;
use host::property::Property;
use labels::peer::{Peer, APP, VERSION};
use serde_json::{json, Value};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::reads::header_of;

const START: i64 = 1_543_222_846_541_292_000;

/// A request from productpage to reviews, at the proxy of reviews (`inbound`) or of productpage.
fn host(inbound: bool) -> FakeHost {
    let peer = |name: &str| Peer {
        workload_name: format!("{name}-v1"),
        namespace: "default".into(),
        cluster_id: "Kubernetes".into(),
        name: format!("{name}-v1-1"),
        labels: [(APP.to_string(), name.to_string()), (VERSION.to_string(), "v1".to_string())].into(),
        ..Peer::default()
    };
    let mut host = FakeHost::new();
    let local = if inbound { "reviews" } else { "productpage" };
    for (name, value) in [
        ("xds\0node\0metadata\0WORKLOAD_NAME", format!("{local}-v1")),
        ("xds\0node\0metadata\0NAMESPACE", "default".into()),
        ("xds\0node\0metadata\0CLUSTER_ID", "Kubernetes".into()),
        ("xds\0node\0metadata\0LABELS\0app", local.into()),
        ("xds\0node\0metadata\0LABELS\0version", "v1".into()),
        ("request\0method", "GET".into()),
        ("request\0path", "/reviews/0?a=\"b\"".into()),
        ("request\0host", "reviews:9080".into()),
        ("request\0protocol", "HTTP/1.1".into()),
        ("request\0id", "1-2-3".into()),
        ("request\0headers\0x-request-id", "1-2-3".into()),
        ("request\0headers\0traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ("request\0headers\0authorization", "Bearer abc".into()),
        ("response\0headers\0x-envoy-upstream-service-time", "4".into()),
        ("source\0address", "10.0.0.1:40000".into()),
        ("destination\0address", "10.0.0.2:15006".into()),
        ("response\0code_details", "via_upstream".into()),
        ("upstream\0local_address", "10.0.0.2:50000".into()),
        ("connection\0requested_server_name", "outbound_.9080_._.reviews.default.svc.cluster.local".into()),
        ("xds\0route_name", "default".into()),
        ("upstream\0address", "10.0.0.2:9080".into()),
        ("xds\0cluster_name", "outbound|9080|v1|reviews.default.svc.cluster.local".into()),
    ] {
        set(&mut host, name, &value);
    }
    let (source, destination) =
        ("spiffe://cluster.local/ns/default/sa/productpage", "spiffe://cluster.local/ns/default/sa/reviews");
    let sans = match inbound {
        true => [(property::CONNECTION_PEER_SAN, source), (property::CONNECTION_LOCAL_SAN, destination)],
        false => [(property::UPSTREAM_LOCAL_SAN, source), (property::UPSTREAM_PEER_SAN, destination)],
    };
    for (path, san) in sans {
        host.with_text(path, san);
    }
    host.with_int(Property("xds\0listener_direction"), if inbound { 1 } else { 2 })
        .with_boolean(property::CONNECTION_MTLS, inbound)
        .with_int(property::RESPONSE_CODE, 200)
        .with_int(property::RESPONSE_FLAGS, 0)
        .with_int(Property("request\0time"), START)
        .with_int(property::REQUEST_DURATION, 5_999_999)
        .with_int(Property("request\0size"), 0)
        .with_int(Property("response\0size"), 375);
    match inbound {
        true => host.with_state("downstream_peer", &peer("productpage").to_state()),
        false => host.with_state("upstream_peer", &peer("reviews").to_state()),
    };
    host
}

/// Sets an attribute; it may be a header.
fn set(host: &mut FakeHost, path: &str, value: &str) {
    if let Some((map, name)) = header_of(path) {
        host.with_header(map, &name, value);
    }
    host.with_text(Property(path), value);
}

fn unset(host: &mut FakeHost, path: &str) {
    if let Some((map, name)) = header_of(path) {
        host.remove_header(map, &name).expect("removed");
    }
    host.without(Property(path));
}

fn at(host: &mut FakeHost, now: i64) {
    host.with_wall_time(Duration::from_nanos(now.cast_unsigned()));
}

fn access_log(host: &FakeHost, configuration: &str) -> AccessLog {
    AccessLog::new(configuration.as_bytes(), host).map_err(|error| error.to_string()).expect(configuration)
}

/// The filter state after a request.
fn text(host: &FakeHost, configuration: &str) -> Option<String> {
    access_log(host, configuration).on_request_end(host, None);
    host.state_of(LINE).map(|line| String::from_utf8(line).expect("UTF-8"))
}

fn line(host: &FakeHost, configuration: &str) -> Value {
    let line = text(host, configuration).expect("a line");
    assert_eq!(line.split('\n').map(str::is_empty).collect::<Vec<_>>(), [false, true], "{line}");
    serde_json::from_str(&line).expect(&line)
}

fn problem(configuration: &str) -> String {
    AccessLog::new(configuration.as_bytes(), &host(true)).err().expect("refused").to_string()
}

#[test]
fn a_line_names_both_workloads_on_both_sides() {
    for (inbound, reporter, security) in [(true, "destination", "mutual_tls"), (false, "source", "unknown")] {
        let expected = r#"{
            "start_time":"2018-11-26T09:00:46.541Z",
            "method":"GET",
            "path":"/reviews/0?a=\"b\"",
            "protocol":"HTTP/1.1",
            "response_code":200,
            "response_flags":"-",
            "response_code_details":"via_upstream",
            "connection_termination_details":null,
            "upstream_transport_failure_reason":null,
            "bytes_received":0,
            "bytes_sent":375,
            "duration":5,
            "upstream_service_time":4,
            "x_forwarded_for":null,
            "user_agent":null,
            "request_id":"1-2-3",
            "authority":"reviews:9080",
            "upstream_host":"10.0.0.2:9080",
            "upstream_cluster":"outbound|9080|v1|reviews.default.svc.cluster.local",
            "upstream_local_address":"10.0.0.2:50000",
            "downstream_local_address":"10.0.0.2:15006",
            "downstream_remote_address":"10.0.0.1:40000",
            "requested_server_name":"outbound_.9080_._.reviews.default.svc.cluster.local",
            "route_name":"default",
            "reporter":"REPORTER",
            "source_workload":"productpage-v1",
            "source_workload_namespace":"default",
            "source_principal":"spiffe://cluster.local/ns/default/sa/productpage",
            "source_app":"productpage",
            "source_version":"v1",
            "source_canonical_service":"productpage-v1",
            "source_canonical_revision":"latest",
            "source_cluster":"Kubernetes",
            "destination_workload":"reviews-v1",
            "destination_workload_namespace":"default",
            "destination_principal":"spiffe://cluster.local/ns/default/sa/reviews",
            "destination_app":"reviews",
            "destination_version":"v1",
            "destination_service":"reviews.default.svc.cluster.local",
            "destination_service_name":"reviews",
            "destination_service_namespace":"default",
            "destination_canonical_service":"reviews-v1",
            "destination_canonical_revision":"latest",
            "destination_cluster":"Kubernetes",
            "connection_security_policy":"SECURITY",
            "grpc_status":null,
            "trace_id":"0af7651916cd43dd8448eb211c80319c",
            "span_id":"b7ad6b7169203331"
        }"#;
        let expected: String = expected.lines().map(str::trim).collect();
        let expected = expected.replace("REPORTER", reporter).replace("SECURITY", security) + "\n";
        assert_eq!(text(&host(inbound), ""), Some(expected));
    }
}

#[test]
fn a_warm_request_makes_few_host_calls() {
    for (configuration, calls) in [("", WARM_CALLS), (r#"{"policy": {"log": "ERRORS"}}"#, WARM_CALLS_WITHOUT_LINE)] {
        for (inbound, calls) in [(true, calls.inbound), (false, calls.outbound)] {
            let mut host = host(inbound);
            host.with_text(
                property::PLUGIN_ROOT_ID,
                if inbound { "access_log_inbound" } else { "access_log_outbound" },
            );
            let mut access_log = access_log(&host, configuration);
            access_log.on_request_end(&host, None);
            host.take_calls();
            access_log.on_request_end(&host, None);
            assert_eq!(host.take_calls(), calls, "{configuration} {inbound}");
        }
    }
}

#[test]
fn what_is_not_chosen_is_not_read() {
    let host = host(true);
    let mut access_log = access_log(&host, r#"{"only_fields": ["method", "path", "response_code"]}"#);
    access_log.on_request_end(&host, None);
    host.take_calls();
    access_log.on_request_end(&host, None);
    assert_eq!(host.take_calls(), 3, "the headers, the code and the line, but no peer");
}

#[test]
fn a_request_of_which_nothing_is_known_has_a_line() {
    let line = line(&FakeHost::new(), "");
    assert_eq!(line["response_code"], 0);
    assert_eq!(line["method"], Value::Null);
    assert_eq!(line["source_workload"], "unknown");
    assert_eq!(line["duration"], Value::Null);
}

#[test]
fn fields_are_chosen_renamed_added_and_left_out() {
    let mut host = host(true);
    host.with_expression("response.code / 100", Some(&2i64.to_le_bytes()));
    host.with_expression("int(response.code / 100)", Some(&2i64.to_le_bytes()));
    host.with_expression("double(request.size)", Some(&1.5f64.to_le_bytes()));
    set(&mut host, "request\0headers\0x-retries", "3");
    let fields = r#""fields": [
        {"name": "tenant", "value": "request.headers['x-tenant']", "fallback": ["request.headers['x-user']", "'nobody'"]},
        {"name": "class", "value": "response.code / 100", "type": "INTEGER"},
        {"name": "ratio", "value": "double(request.size)", "type": "DOUBLE"},
        {"name": "mtls", "value": "connection.mtls"},
        {"name": "cluster", "value": "node.metadata['CLUSTER_ID']"},
        {"name": "seconds", "field": "duration", "as": "SECONDS"},
        {"name": "latency", "value": "request.duration", "as": "GO_DURATION"},
        {"name": "start", "value": "request.time", "as": "MILLISECONDS"},
        {"name": "code", "field": "response_code", "as": "TEXT"},
        {"name": "retries", "value": "request.headers['x-retries']", "as": "NUMBER"}
    ]"#;
    // This host does not compile the text that the engine gets when the expression is created again.
    host.with_expression("double(double(request.size))", Some(&1.5f64.to_le_bytes()));
    let names = r#""only_fields": ["tenant", "class", "ratio", "mtls", "cluster", "seconds", "latency", "start", "code", "retries", "method", "source_name"]"#;
    assert_eq!(
        text(&host, &format!("{{{fields}, {names}, \"rename_fields\": {{\"method\": \"verb\"}}}}")).as_deref(),
        Some(
            "{\"tenant\":\"nobody\",\"class\":2,\"ratio\":1.5,\"mtls\":true,\"cluster\":\"Kubernetes\",\
             \"seconds\":0.005999999,\"latency\":\"5.999999ms\",\"start\":1543222846541,\"code\":\"200\",\"retries\":3,\
             \"verb\":\"GET\",\"source_name\":\"productpage-v1-1\"}\n"
        )
    );
    let line = line(&host, r#"{"remove_fields": ["path", "connection_event"], "omit_absent": true}"#);
    let line = line.as_object().expect("an object");
    assert!(line.contains_key("method") && !line.contains_key("path") && !line.contains_key("user_agent"));
}

#[test]
fn what_is_wrong_with_fields_is_named() {
    let error = problem(
        r#"{
            "fields": [
                {"name": "a", "field": "nosuch"},
                {"name": "b", "value": "request.headers"},
                {"name": "c", "value": "nosuch(1)"},
                {"name": "d", "value": "request.path", "as": "SECONDS"}
            ],
            "only_fields": ["path", "nosuch"],
            "rename_fields": {"method": "path", "nosuch": "x"},
            "policy": {"match": "nosuch(2)"}
        }"#,
    );
    for problem in [
        "fields[0].field: \"nosuch\" is not a known field; ",
        "fields[1].value: \"request.headers\" is all of a map, with secrets in it, must name what is in it; ",
        "fields[2].value: \"nosuch(1)\" is not an expression that Envoy can evaluate ",
        "fields[3].as: is for times and durations, which this is not; ",
        "only_fields[1]: \"nosuch\" is not a field; ",
        "rename_fields.nosuch: \"nosuch\" is not a field of the line; ",
        "policy.match: \"nosuch(2)\" is not an expression that Envoy can evaluate ",
    ] {
        assert!(error.contains(problem), "{problem} in {error}");
    }
}

#[test]
fn secrets_are_logged_only_when_named_and_then_hashed_or_cut() {
    for configuration in ["", r#"{"preset": "MIXER"}"#, r#"{"format": "TEXT"}"#] {
        assert!(!text(&host(true), configuration).expect("a line").contains("Bearer"));
    }
    let mut host = host(true);
    set(&mut host, "request\0headers\0x-pin", "1234");
    let line = line(
        &host,
        r#"{"fields": [
            {"name": "pin", "value": "request.headers['x-pin']", "as": "NUMBER", "hash": true},
            {"name": "code", "field": "response_code", "hash": true},
            {"name": "hashed", "value": "request.headers['authorization']", "hash": true},
            {"name": "cut", "value": "request.headers['authorization']", "max_length": 6}
        ]}"#,
    );
    assert_eq!(line["hashed"], crate::digest::sha256(b"Bearer abc"));
    assert_eq!(line["pin"], crate::digest::sha256(b"1234"));
    assert_eq!(line["code"], crate::digest::sha256(b"200"));
    assert_eq!(line["cut"], "Bearer…");
    assert_eq!(line["truncated"], true);
}

#[test]
fn a_line_that_is_too_long_is_cut_and_still_json() {
    let mut host = host(true);
    set(&mut host, "request\0path", &"\"ü\u{1}".repeat(30_000));
    set(&mut host, "request\0useragent", &"x".repeat(60_000));
    for (max, fields) in [(16_000, 49), (4_000, 49), (1_000, 30), (200, 5)] {
        let configuration = format!(r#"{{"max_line_length": {max}}}"#);
        let line = text(&host, &configuration).expect("a line");
        assert!(line.len() <= max + 1, "{max}: {}", line.len());
        let line: Value = serde_json::from_str(&line).expect("JSON");
        let line = line.as_object().expect("an object");
        assert_eq!(line["truncated"], true);
        assert!(line.len() >= fields, "{max}: {}", line.len());
    }
}

#[test]
fn injected_faults_are_among_the_flags() {
    let mut host = host(true);
    for (state, flags, expected) in
        [(&b"DI"[..], 0, "DI"), (b"DI,FI", 0, "DI,FI"), (b"FI", 1 << 2, "UT,FI"), (b"?", 0, "-"), (b"", 1 << 5, "UF")]
    {
        host.with_state("fault_flags", state).with_int(property::RESPONSE_FLAGS, flags);
        assert_eq!(line(&host, r#"{"fault_flags": true}"#)["response_flags"], expected);
    }
    assert_eq!(line(&host, "")["response_flags"], "UF", "nobody asks where there are no faults");
}

#[test]
fn grpc_has_its_status_and_plain_http_has_none() {
    let mut host = host(true);
    host.with_int(property::RESPONSE_GRPC_STATUS, 7);
    assert_eq!(line(&host, "")["grpc_status"], Value::Null);
    set(&mut host, "request\0headers\0content-type", "application/grpc+proto");
    assert_eq!(line(&host, "")["grpc_status"], 7);
    host.without(property::RESPONSE_GRPC_STATUS);
    assert_eq!(line(&host, "")["grpc_status"], 2);
}

#[test]
fn traces_are_found_in_each_form() {
    for (headers, trace, span) in [
        (vec![("x-b3-traceid", "1a"), ("x-b3-spanid", "2b")], json!("1a"), json!("2b")),
        (vec![("b3", "1a-2b-1")], json!("1a"), json!("2b")),
        (vec![("b3", "0")], Value::Null, Value::Null),
        (vec![("traceparent", "nonsense")], Value::Null, Value::Null),
    ] {
        let mut host = host(true);
        unset(&mut host, "request\0headers\0traceparent");
        for (name, value) in headers {
            set(&mut host, &["request\0headers\0", name].concat(), value);
        }
        let line = line(&host, "");
        assert_eq!((&line["trace_id"], &line["span_id"]), (&trace, &span));
    }
}

#[test]
fn mixer_s_lines_have_its_names_order_and_forms() {
    let mut host = host(true);
    at(&mut host, START + 7_000_000);
    let configuration = r#"{
        "preset": "MIXER", "level": "warn", "instance": "newlog.logentry.istio-system",
        "fields": [
            {"name": "user", "value": "request.headers['x-user']", "fallback": ["'unknown'"]},
            {"name": "source", "field": "sourceApp"},
            {"name": "destination", "field": "destinationApp"}
        ],
        "only_fields": ["user", "source", "destination", "responseCode", "responseSize", "latency"]
    }"#;
    assert_eq!(
        text(&host, configuration).as_deref(),
        Some(
            "{\"level\":\"warn\",\"time\":\"2018-11-26T09:00:46.541292Z\",\"instance\":\"newlog.logentry.istio-system\",\
             \"destination\":\"reviews\",\"latency\":\"5.999999ms\",\"responseCode\":200,\"responseSize\":375,\
             \"source\":\"productpage\",\"user\":\"unknown\"}\n"
        )
    );
    let line = text(&host, r#"{"preset": "MIXER"}"#).expect("a line");
    let keys: Vec<&str> = line.split("\",\"").filter_map(|part| part.split_once("\":").map(|(key, _)| key)).collect();
    assert!(line.starts_with("{\"level\":\"info\",\"time\":"), "{line}");
    let line: Value = serde_json::from_str(&line).expect(&line);
    assert_eq!(line.as_object().map(serde_json::Map::len), Some(44), "{keys:?}");
    for (name, expected) in [
        ("instance", json!("accesslog.instance.istio-system")),
        ("sourceIp", json!("10.0.0.1")),
        ("destinationIp", json!("10.0.0.2")),
        ("sourcePrincipal", json!("cluster.local/ns/default/sa/productpage")),
        ("sourceOwner", json!("unknown")),
        ("apiKey", json!("")),
        ("responseFlags", json!("-")),
        ("permissiveResponseCode", json!("none")),
        ("xForwardedFor", json!("0.0.0.0")),
        ("responseTimestamp", json!("2018-11-26T09:00:46.548292Z")),
        ("requestSize", json!(0)),
        ("grpcStatus", json!("")),
        ("reporter", json!("destination")),
    ] {
        assert_eq!(line[name], expected, "{name}");
    }
    let nothing = super::tests::line(&FakeHost::new(), r#"{"preset": "MIXER"}"#);
    assert_eq!((&nothing["responseCode"], &nothing["latency"]), (&json!(500), &json!("0s")));
}

#[test]
fn text_is_istio_s_default_or_the_operator_s_own() {
    let host = host(true);
    assert_eq!(
        text(&host, r#"{"format": "TEXT"}"#).as_deref(),
        Some(
            "[2018-11-26T09:00:46.541Z] \"GET /reviews/0?a=\\\"b\\\" HTTP/1.1\" 200 - via_upstream - \"-\" 0 375 5 4 \"-\" \"-\" \"1-2-3\" \
             \"reviews:9080\" \"10.0.0.2:9080\" outbound|9080|v1|reviews.default.svc.cluster.local 10.0.0.2:50000 10.0.0.2:15006 \
             10.0.0.1:40000 outbound_.9080_._.reviews.default.svc.cluster.local default\n"
        )
    );
    let format = "100%% %FIELD(source_workload)% -> %FIELD(destination_workload)% %REQ(X-NONE?:PATH):8%|%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%|%CEL('a' + '%')%\\n";
    let mut with_cel = super::tests::host(true);
    with_cel.with_expression("'a' + '%'", None).with_expression("string('a' + '%')", Some(b"a%"));
    assert_eq!(
        text(&with_cel, &format!("{{\"text_format\": \"{format}\"}}")).as_deref(),
        Some("100% productpage-v1 -> reviews-v1 /reviews…|10.0.0.1|a%\n")
    );
}

#[test]
fn what_is_wrong_with_a_text_format_is_named() {
    let error = problem(r#"{"text_format": "%HOSTNAME% %REQ(X% %FIELD(nosuch)% %lower% %REQ(X):many%"}"#);
    for problem in ["%HOSTNAME% is not known here", "\"REQ(X% %FIELD(nosuch)% %lower% %REQ(X):many%\" is no operator"] {
        assert!(error.contains(problem), "{problem} in {error}");
    }
    let error = problem(r#"{"text_format": "%FIELD(nosuch)% %lower% %REQ(X):many%"}"#);
    for problem in ["\"nosuch\" is not a known field", "\"lower\" is no operator", "\"REQ(X):many\" is no operator"] {
        assert!(error.contains(problem), "{problem} in {error}");
    }
}

/// Whether the next request gets a line. Checks the decision in filter state.
fn decisions(host: &FakeHost, access_log: &mut AccessLog) -> bool {
    host.set_filter_state(LINE, b"").expect("set");
    access_log.on_request_end(host, None);
    let decision = host.state_of(LINE).is_some_and(|line| !line.is_empty());
    assert_eq!(host.state_of(DECISION), Some(if decision { b"yes".to_vec() } else { b"no".to_vec() }));
    decision
}

#[test]
fn errors_are_what_failed_in_any_way() {
    let mut host = host(true);
    let mut access_log = access_log(&host, r#"{"policy": {"log": "ERRORS"}}"#);
    for (code, flags, expected) in [
        (Some(200), 0, false),
        (Some(399), 0, false),
        (Some(404), 0, true),
        (Some(503), 0x20, true),
        (Some(200), 0x80_0000, true),
        (Some(200), 1 << 9, false),
        (None, 0x4000, true),
    ] {
        match code {
            Some(code) => host.with_int(property::RESPONSE_CODE, code),
            None => host.without(property::RESPONSE_CODE),
        };
        host.with_int(property::RESPONSE_FLAGS, flags);
        assert_eq!(decisions(&host, &mut access_log), expected, "{code:?} {flags:#x}");
    }
    host.with_int(property::RESPONSE_CODE, 200).with_int(property::RESPONSE_FLAGS, 0);
    host.with_int(property::RESPONSE_GRPC_STATUS, 2);
    assert!(!decisions(&host, &mut access_log));
    set(&mut host, "request\0headers\0content-type", "application/grpc");
    assert!(decisions(&host, &mut access_log));
    host.with_int(property::RESPONSE_GRPC_STATUS, 0);
    assert!(!decisions(&host, &mut access_log));
}

#[test]
fn a_percentage_is_the_same_requests_in_each_proxy() {
    let mut logged = [0; 2];
    let (mut inbound, mut outbound) = (host(true), host(false));
    let configuration = r#"{"policy": {"log": "PERCENTAGE", "percentage": 10, "always_errors": true}}"#;
    let mut logs = [access_log(&inbound, configuration), access_log(&outbound, configuration)];
    for index in 0..5_000 {
        let [first, second] = &mut logs;
        // The proxies may differ in the digit for tracing in the id.
        set(&mut inbound, "request\0id", &format!("{index:08x}-0000-4000-8000-000000000000"));
        set(&mut outbound, "request\0id", &format!("{index:08x}-0000-9000-8000-000000000000"));
        let decision = decisions(&inbound, first);
        assert_eq!(decision, decisions(&outbound, second));
        logged[usize::from(decision)] += 1;
    }
    assert!((400..600).contains(&logged[1]), "{logged:?}");
    inbound.with_int(property::RESPONSE_CODE, 500);
    for _ in 0..10 {
        assert!(decisions(&inbound, &mut logs[0]), "an error, always");
    }
}

#[test]
fn requests_without_an_id_are_drawn_by_their_connection() {
    let mut host = host(true);
    unset(&mut host, "request\0id");
    let mut access_log = access_log(&host, r#"{"policy": {"log": "PERCENTAGE", "percentage": 50}}"#);
    let mut logged = 0;
    for connection in 0..1_000 {
        host.with_int(Property("connection\0id"), connection);
        logged += usize::from(decisions(&host, &mut access_log));
    }
    assert!((400..600).contains(&logged), "{logged}");
}

#[test]
fn the_first_of_each_peer_within_a_window_is_logged() {
    let mut host = host(true);
    let mut access_log = access_log(&host, r#"{"policy": {"log": "FIRST_IN_WINDOW", "window": "1s"}}"#);
    at(&mut host, START);
    assert!(decisions(&host, &mut access_log));
    at(&mut host, START + 1_000_000_000);
    host.with_text(Property("source\0address"), "10.0.0.1:40001");
    assert!(!decisions(&host, &mut access_log), "the same peer on another connection");
    host.with_text(Property("source\0address"), "10.0.0.9:1");
    assert!(decisions(&host, &mut access_log), "another peer");
    host.with_int(property::RESPONSE_CODE, 500);
    assert!(decisions(&host, &mut access_log), "an error");
    host.with_int(property::RESPONSE_CODE, 200);
    at(&mut host, START + 1_000_000_001);
    host.with_text(Property("source\0address"), "10.0.0.1:40001");
    assert!(decisions(&host, &mut access_log), "after the window");
}

#[test]
fn a_condition_comes_before_all_but_errors() {
    for (value, code, expected) in
        [(Some(&[1u8][..]), 200, true), (Some(&[0][..]), 200, false), (None, 200, false), (Some(&[0][..]), 500, true)]
    {
        let mut host = host(true);
        host.with_expression("request.path != '/healthz'", value).with_int(property::RESPONSE_CODE, code);
        let configuration = r#"{"policy": {"match": "request.path != '/healthz'", "always_errors": true}}"#;
        let mut access_log = access_log(&host, configuration);
        assert_eq!(decisions(&host, &mut access_log), expected, "{value:?} {code}");
    }
}

#[test]
fn without_lines_there_is_still_the_decision() {
    let host = host(true);
    let configuration = r#"{"format": "NONE", "policy": {"log": "PERCENTAGE", "percentage": 100}}"#;
    assert_eq!(text(&host, configuration), None);
    assert_eq!(host.state_of(DECISION), Some(b"yes".to_vec()));
}

/// A host with a TCP connection.
fn tcp_host() -> FakeHost {
    let mut host = host(false);
    host.with_text(property::PLUGIN_VM_ID, "tcp_access_log");
    for path in ["request\0method", "request\0path", "request\0host", "request\0protocol", "request\0id"] {
        unset(&mut host, path);
    }
    host.without(property::RESPONSE_CODE).without(property::REQUEST_DURATION);
    host
}

#[test]
fn a_connection_has_lines_as_asked() {
    let mut host = tcp_host();
    let mut access_log = access_log(&host, r#"{"tcp_open_line": true, "tcp_reporting_duration": "1s"}"#);
    let mut connection = LoggedConnection::default();
    let line =
        |host: &FakeHost| -> Value { serde_json::from_slice(&host.state_of(LINE).expect("a line")).expect("JSON") };
    at(&mut host, START + 1_000_000);
    access_log.on_connection_open(&host, &mut connection);
    assert_eq!((&line(&host)["connection_event"], &line(&host)["duration"]), (&json!("open"), &json!(1)));
    host.with_int(Property("request\0size"), 11);
    access_log.on_connection_tick(&host, &mut connection);
    assert_eq!((&line(&host)["connection_event"], &line(&host)["bytes_received"]), (&json!("continue"), &json!(11)));
    access_log.on_connection_end(&host, &mut connection);
    let line = line(&host);
    assert_eq!((&line["connection_event"], &line["destination_workload"]), (&json!("close"), &json!("reviews-v1")));
    assert_eq!((&line["method"], &line["source_workload"]), (&Value::Null, &json!("productpage-v1")));
}

#[test]
fn mixer_s_lines_of_a_connection_have_what_came_since_the_last_one() {
    let mut host = tcp_host();
    let mut access_log = access_log(&host, r#"{"preset": "MIXER", "tcp_open_line": true}"#);
    let mut connection = LoggedConnection::default();
    host.with_int(Property("request\0size"), 10).with_int(Property("response\0size"), 20);
    at(&mut host, START + 1_000_000);
    access_log.on_connection_open(&host, &mut connection);
    host.with_int(Property("request\0size"), 15);
    access_log.on_connection_end(&host, &mut connection);
    let line: Value = serde_json::from_slice(&host.state_of(LINE).expect("a line")).expect("JSON");
    assert_eq!(line.as_object().map(serde_json::Map::len), Some(29));
    for (name, expected) in [
        ("time", json!("2018-11-26T09:00:46.542292Z")),
        ("instance", json!("tcpaccesslog.instance.istio-system")),
        ("connectionEvent", json!("close")),
        ("connectionDuration", json!("1ms")),
        ("receivedBytes", json!(5)),
        ("totalReceivedBytes", json!(15)),
        ("sentBytes", json!(0)),
        ("protocol", json!("tcp")),
    ] {
        assert_eq!(line[name], expected, "{name}");
    }
}

#[test]
fn a_connection_that_shall_have_no_line_after_all_leaves_none() {
    let mut host = tcp_host();
    let configuration = r#"{"tcp_open_line": true, "policy": {"log": "ERRORS"}}"#;
    let mut access_log = access_log(&host, configuration);
    for (flags, expected) in [(0, false), (0x20, true)] {
        let mut connection = LoggedConnection::default();
        host.without_state(LINE).with_int(property::RESPONSE_FLAGS, flags);
        access_log.on_connection_open(&host, &mut connection);
        assert_eq!(host.state_of(LINE), None, "whether it is an error shows in the end");
        access_log.on_connection_end(&host, &mut connection);
        assert_eq!(host.state_of(LINE).is_some(), expected);
    }
}
