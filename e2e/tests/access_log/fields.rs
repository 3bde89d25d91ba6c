//! The fields of a line.

use serde_json::{json, Value};

use crate::{configured, files, get, lines, start, status, told, PAIR, VERSIONS};

#[test]
fn a_line_names_both_workloads_on_both_reporters() {
    for version in VERSIONS {
        let mesh = start(PAIR, |options| options.envoy_version = Some(version.to_owned()));
        let request = get(&mesh, "/status/200?a=1")
            .header("user-agent", "tester")
            .header("x-request-id", "00000000-0000-4000-8000-000000000001")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(status(&mesh, request), 200);
        for (workload, reporter) in [("client-v1", "source"), ("server-v2", "destination")] {
            let lines = lines(&mesh, workload, 1);
            let inbound = reporter == "destination";
            for (field, expected) in [
                ("method", json!("GET")),
                ("path", json!("/status/200?a=1")),
                ("protocol", json!("HTTP/1.1")),
                ("response_code", json!(200)),
                ("response_flags", json!("-")),
                ("response_code_details", json!("via_upstream")),
                ("bytes_received", json!(0)),
                ("bytes_sent", json!(9)),
                ("user_agent", json!("tester")),
                ("request_id", json!("00000000-0000-4000-8000-000000000001")),
                ("authority", json!("server.back:9080")),
                ("reporter", json!(reporter)),
                ("source_workload", json!("client-v1")),
                ("source_workload_namespace", json!("front")),
                ("source_principal", json!("spiffe://cluster.local/ns/front/sa/shop-client")),
                ("source_app", json!("client")),
                ("source_version", json!("v1")),
                ("source_canonical_service", json!("client")),
                ("source_canonical_revision", json!("v1")),
                ("source_cluster", json!("Kubernetes")),
                ("destination_workload", json!("server-v2")),
                ("destination_workload_namespace", json!("back")),
                ("destination_principal", json!("spiffe://cluster.local/ns/back/sa/shop-server")),
                ("destination_app", json!("server")),
                ("destination_version", json!("v2")),
                ("destination_service", json!("server.back.svc.cluster.local")),
                ("destination_service_name", json!("server")),
                ("destination_service_namespace", json!("back")),
                ("destination_canonical_service", json!("server")),
                ("destination_canonical_revision", json!("v2")),
                ("destination_cluster", json!("Kubernetes")),
                ("connection_security_policy", json!(if inbound { "mutual_tls" } else { "unknown" })),
                ("grpc_status", Value::Null),
                ("trace_id", json!("0af7651916cd43dd8448eb211c80319c")),
                ("span_id", json!("b7ad6b7169203331")),
            ] {
                assert_eq!(lines[0][field], expected, "{version} {workload} {field}: {}", lines[0]);
            }
            for field in ["duration", "upstream_service_time"] {
                assert!(lines[0][field].is_u64(), "{version} {workload} {field}: {}", lines[0]);
            }
            for field in ["start_time", "upstream_host", "upstream_cluster", "downstream_remote_address"] {
                assert!(lines[0][field].is_string(), "{version} {workload} {field}: {}", lines[0]);
            }
        }
    }
}

#[test]
fn a_line_is_the_same_in_one_pass_and_by_the_module_alone() {
    let one_pass = "one-pass/telemetry-access-log";
    for names in [&["telemetry", "access-log"][..], &[one_pass], &["separate/metadata-exchange", "separate/access-log"]]
    {
        for version in VERSIONS {
            let mesh = start(PAIR, |options| {
                options.envoy_version = Some(version.to_owned());
                options.filters = files(names);
            });
            assert_eq!(status(&mesh, get(&mesh, "/status/404?a=1").header("user-agent", "tester")), 404);
            for (workload, reporter) in [("client-v1", "source"), ("server-v2", "destination")] {
                let lines = lines(&mesh, workload, 1);
                let fields = [
                    "reporter",
                    "path",
                    "user_agent",
                    "response_code",
                    "response_flags",
                    "source_workload",
                    "source_principal",
                    "destination_workload",
                    "destination_principal",
                    "destination_service",
                    "upstream_transport_failure_reason",
                ];
                let expected = format!(
                    "{reporter} /status/404?a=1 tester 404 - client-v1 spiffe://cluster.local/ns/front/sa/shop-client \
                     server-v2 spiffe://cluster.local/ns/back/sa/shop-server server.back.svc.cluster.local null"
                );
                assert_eq!(told(&lines, &fields), [expected], "{names:?} {version}");
                assert_eq!(lines[0].as_object().unwrap().len(), 48);
                for field in ["duration", "upstream_service_time"] {
                    assert!(lines[0][field].is_u64(), "{names:?} {version} {workload} {field}: {}", lines[0]);
                }
            }
        }
    }
}

#[test]
fn values_of_the_engine_are_typed() {
    let mesh = configured(
        r#"{"fields": [
            {"name": "class", "value": "response.code / 100", "type": "INTEGER"},
            {"name": "ratio", "value": "double(response.size) / 2.0", "type": "DOUBLE"},
            {"name": "fine", "value": "response.code < 400", "type": "BOOLEAN"},
            {"name": "half", "value": "request.duration", "as": "GO_DURATION"},
            {"name": "verb", "value": "request.method + '!'"},
            {"name": "tenant", "value": "request.headers['x-tenant']", "fallback": ["request.headers['x-user']", "'nobody'"]},
            {"name": "peer", "value": "downstream_peer.workload_name", "fallback": ["upstream_peer.labels['app']"]},
            {"name": "cluster", "value": "node.metadata['CLUSTER_ID']"},
            {"name": "operation", "value": "nosuch.name + 'x'", "fallback": ["'none'"]}
        ], "only_fields": ["class", "ratio", "fine", "verb", "tenant", "peer", "cluster", "operation", "half"]}"#,
    );
    assert_eq!(status(&mesh, get(&mesh, "/status/404").header("x-user", "jason")), 404);
    for (workload, peer) in [("client-v1", "server"), ("server-v2", "client-v1")] {
        let line = &lines(&mesh, workload, 1)[0];
        for (field, expected) in [
            ("class", json!(4)),
            ("ratio", json!(4.5)),
            ("fine", json!(false)),
            ("verb", json!("GET!")),
            ("tenant", json!("jason")),
            ("peer", json!(peer)),
            ("cluster", json!("Kubernetes")),
            ("operation", json!("none")),
        ] {
            assert_eq!(line[field], expected, "{workload} {field}: {line}");
        }
        assert!(line["half"].as_str().unwrap().ends_with("ms"), "{line}");
    }
}

#[test]
fn mixer_s_names_and_forms() {
    let mesh = configured(r#"{"preset": "MIXER"}"#);
    assert_eq!(status(&mesh, get(&mesh, "/status/200").header("referer", "http://x/")), 200);
    let fields = [
        "level",
        "instance",
        "sourceApp",
        "sourceWorkload",
        "sourceNamespace",
        "sourceOwner",
        "sourcePrincipal",
        "destinationApp",
        "destinationName",
        "destinationServiceHost",
        "protocol",
        "method",
        "url",
        "responseCode",
        "responseSize",
        "connection_security_policy",
        "referer",
        "httpAuthority",
        "reporter",
    ];
    let common = "info accesslog.instance.istio-system client client-v1 front";
    let identity = "cluster.local/ns/front/sa/shop-client";
    let owner = "kubernetes://apis/apps/v1/namespaces/front/deployments/client-v1";
    for (workload, scheme, end) in [
        ("client-v1", "http", "unknown http://x/ server.back:9080 source"),
        ("server-v2", "http", "mutual_tls http://x/ server.back:9080 destination"),
    ] {
        let lines = lines(&mesh, workload, 1);
        assert_eq!(lines[0].as_object().unwrap().len(), 44);
        let name = lines[0]["destinationName"].as_str().unwrap();
        assert!(name.starts_with("server-v2-7d8f6b9c4d-"), "{name}");
        let expected = format!(
            "{common} {owner} {identity} server {name} server.back.svc.cluster.local {scheme} GET /status/200 200 9 {end}"
        );
        assert_eq!(told(&lines, &fields), [expected]);
        assert!(lines[0]["latency"].as_str().unwrap().ends_with("ms"), "{}", lines[0]);
    }
}
