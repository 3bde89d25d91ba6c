//! Labels and metrics that an operator adds: constants, attributes, and expressions for Envoy's engine.

use local_mesh::Request;

use crate::scene::{get, status, Setting, PAIR};

pub fn attributes_and_expressions_are_labels(envoy: &str) {
    let setting = Setting {
        outbound: r#"{"metrics": [{"name": "requests_total", "dimensions": {
            "constant": "'fixed'",
            "request_method": "request.method",
            "asked_user": "request.headers['x-user']",
            "upstream_port": "upstream.port",
            "response_class": "string(response.code / 100) + 'xx'",
            "code_doubled": "response.code * 2",
            "is_status": "request.url_path.startsWith('/status')",
            "has_agent": "has(request.headers.agent) ? 'with' : 'without'",
            "who": "'x-user' in request.headers ? request.headers['x-user'] : 'nobody'",
            "user_group": "request.headers['x-user'] + '@mesh'",
            "no_such_thing": "cannot_evaluate"
        }}]}"#,
        inbound: r#"{"metrics": [{"name": "requests_total", "dimensions": {
            "is_mtls": "connection.mtls",
            "http_version": "request.protocol",
            "server_name": "connection.requested_server_name"
        }}]}"#,
        ..Setting::default()
    };
    let mut scene = setting.start(envoy);
    scene.row(
        "a literal, an attribute that is text and one that is a number, need no engine; other metrics have no new labels",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/204")), 204),
        r#"client-v1 istio_requests_total{constant="fixed",request_method="GET",upstream_port="15006",response_code="204",labels="36"} 1
           client-v1 istio_request_bytes_count{constant="(absent)",request_method="(absent)",source_workload="client-v1",labels="25"} 1"#,
    );
    scene.row(
        "an attribute that is a boolean, on the way in",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/200")), 200),
        r#"server-v2 istio_requests_total{is_mtls="true",http_version="HTTP/1.1",server_name="outbound_.9080_._.server.back.svc.cluster.local",labels="28"} 1"#,
    );
    scene.row(
        "the engine's text, number and boolean are written as they are",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/404")), 404),
        r#"client-v1 istio_requests_total{response_class="4xx",code_doubled="808",is_status="true"} 1"#,
    );
    scene.row(
        "has() and a ternary see a header that is there",
        |mesh| assert_eq!(status(mesh, get(mesh, "/headers").header("x-user", "ann").header("agent", "a")), 200),
        r#"client-v1 istio_requests_total{asked_user="ann",has_agent="with",who="ann",user_group="ann@mesh"} 1"#,
    );
    scene.row(
        "a header that is not there makes the label unknown, by attribute and by engine, of that request alone",
        |mesh| {
            for user in ["ann", "", "bob"] {
                let request = get(mesh, "/status/200");
                let request = if user.is_empty() { request } else { request.header("x-user", user) };
                assert_eq!(status(mesh, request), 200);
            }
        },
        r#"client-v1 istio_requests_total{asked_user="ann",user_group="ann@mesh",who="ann",has_agent="without",response_class="2xx"} 1
           client-v1 istio_requests_total{asked_user="unknown",user_group="unknown",who="nobody",has_agent="without",response_class="2xx"} 1
           client-v1 istio_requests_total{asked_user="bob",user_group="bob@mesh",who="bob",has_agent="without",response_class="2xx"} 1"#,
    );
    scene.row(
        "what can never be evaluated is unknown and disturbs nothing",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/200")), 200),
        r#"client-v1 istio_requests_total{no_such_thing="unknown",source_workload="client-v1",destination_workload="server-v2"} 1"#,
    );
}

pub fn old_names_go_on_working(envoy: &str) {
    let setting = Setting {
        outbound: r#"{"metrics": [{"dimensions": {
            "mesh_id": "node.metadata['MESH_ID']",
            "node_app": "node.metadata.LABELS['app']",
            "used_cluster": "cluster_name",
            "used_route": "route_name",
            "direction": "listener_direction",
            "called_service": "cluster_metadata.filter_metadata['istio'].services[0].name",
            "endpoint": "upstream_host_metadata.filter_metadata['istio']['workload']",
            "peer_app": "upstream_peer.labels['app'].value",
            "peer_owner": "upstream_peer.owner",
            "native_workload": "filter_state.upstream_peer.workload",
            "peer_kind": "string(upstream_peer_id).startsWith('sidecar~') ? 'sidecar' : 'router'"
        }}]}"#,
        inbound: r#"{"metrics": [{"dimensions": {
            "peer_cluster": "downstream_peer.cluster_id",
            "peer_version": "filter_state['wasm.downstream_peer'].labels['version'].value",
            "peer_kind": "downstream_peer.workload.startsWith('client') ? 'client' : 'other'",
            "direction": "listener_direction",
            "root_id": "plugin_root_id"
        }}]}"#,
        ..Setting::default()
    };
    let mut scene = setting.start(envoy);
    scene.row(
        "names of Istio 1.5 to 1.29 that stock Envoy does not have, in requests and in histograms",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/200")), 200),
        r#"client-v1 istio_requests_total{mesh_id="cluster.local",node_app="client",used_cluster="outbound|9080||server.back.svc.cluster.local",used_route="default",direction="2"} 1
           client-v1 istio_response_bytes_count{called_service="server",endpoint="server-v2;back;server;v2;Kubernetes",peer_app="server",peer_owner="kubernetes://apis/apps/v1/namespaces/back/deployments/server-v2",native_workload="server-v2",peer_kind="sidecar"} 1
           server-v2 istio_requests_total{peer_cluster="Kubernetes",peer_version="v1",peer_kind="client",direction="1",root_id="stats_inbound"} 1"#,
    );
    scene.row(
        "where there is no peer, what names it is unknown",
        |mesh| assert_eq!(status(mesh, Request::get(mesh.sidecar("server-v2").unwrap().inbound(), "/status/200")), 200),
        r#"server-v2 istio_requests_total{peer_cluster="unknown",peer_version="unknown",peer_kind="unknown",direction="1"} 1"#,
    );
}

/// Istio's default inbound configuration in 1.10 to 1.16.
pub fn cluster_ids_as_istio_1_10_configures_them(envoy: &str) {
    let cluster = |app: &str, id: &str| {
        format!(
            "workloadSelector: {{ labels: {{ app: {app} }} }}, configPatches: [ {{ applyTo: BOOTSTRAP,
               patch: {{ operation: MERGE, value: {{ node: {{ metadata: {{ CLUSTER_ID: {id} }} }} }} }} }} ]"
        )
    };
    let (west, east) = (cluster("client", "west"), cluster("server", "east"));
    let setting = Setting {
        inbound: r#"{
          "debug": "false",
          "stat_prefix": "istio",
          "disable_host_header_fallback": true,
          "metrics": [
            {
              "dimensions": {
                "destination_cluster": "node.metadata['CLUSTER_ID']",
                "source_cluster": "downstream_peer.cluster_id"
              }
            }
          ]
        }"#,
        outbound: r#"{"debug": "false", "stat_prefix": "istio",}"#,
        patches: &[&west, &east],
        ..Setting::default()
    };
    let mut scene = setting.start(envoy);
    scene.row(
        "each side's cluster, in the places of the standard labels",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/200")), 200),
        r#"client-v1 istio_requests_total{source_cluster="west",destination_cluster="east",labels="25"} 1
           server-v2 istio_requests_total{source_cluster="west",destination_cluster="east",labels="25"} 1"#,
    );
    scene.row(
        "a client outside the mesh is of an unknown cluster",
        |mesh| assert_eq!(status(mesh, Request::get(mesh.sidecar("server-v2").unwrap().inbound(), "/status/200")), 200),
        r#"server-v2 istio_requests_total{source_cluster="unknown",destination_cluster="east",labels="25"} 1"#,
    );
}

pub fn metrics_of_one_s_own(envoy: &str) {
    let setting = Setting {
        topology: PAIR,
        inbound: r#"{
            "definitions": [
                {"name": "thrice_total", "value": "3"},
                {"name": "answered_bytes_total", "value": "response.size", "type": "COUNTER"},
                {"name": "cost_total", "value": "int(request.headers['x-cost'])"},
                {"name": "last_code", "value": "response.code + 1", "type": "GAUGE"},
                {"name": "body_bytes", "value": "request.size", "type": "HISTOGRAM"}
            ],
            "metrics": [
                {"name": "body_bytes", "dimensions": {"request_method": "request.method"}},
                {"name": "cost_total", "dimensions": {"source_workload": "downstream_peer.workload_name"}}
            ]
        }"#,
        ..Setting::default()
    };
    let mut scene = setting.start(envoy);
    let post = |mesh: &local_mesh::Mesh, size: usize| {
        let request = Request::post(mesh.sidecar("client-v1").unwrap().outbound(), "/echo", vec![b'x'; size]);
        status(mesh, request.host("server.back:9080"))
    };
    scene.row(
        "counters add a literal and an attribute, a gauge holds what the engine computes, and none has labels",
        |mesh| assert_eq!(status(mesh, get(mesh, "/bytes/500")), 200),
        r#"server-v2 istio_thrice_total{labels="0"} 3
           server-v2 istio_answered_bytes_total{labels="0"} 500
           server-v2 istio_last_code{labels="0"} 201"#,
    );
    scene.row(
        "a gauge is set anew by each request",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/404")), 404),
        r#"server-v2 istio_last_code 204"#,
    );
    scene.row(
        "a histogram has samples, under the labels that it was given",
        |mesh| assert_eq!((post(mesh, 20), post(mesh, 2000)), (200, 200)),
        r#"server-v2 istio_body_bytes_count{request_method="POST",labels="1"} 2
           server-v2 istio_body_bytes_bucket{request_method="POST",le="10"} 0
           server-v2 istio_body_bytes_bucket{request_method="POST",le="25"} 1
           server-v2 istio_body_bytes_bucket{request_method="POST",le="2500"} 2"#,
    );
    scene.row(
        "a value that cannot be evaluated, or is nothing, adds nothing to a counter and does not disturb others",
        |mesh| {
            for cost in ["7", "0", "much", "5"] {
                assert_eq!(status(mesh, get(mesh, "/status/200").header("x-cost", cost)), 200);
            }
            assert_eq!(status(mesh, get(mesh, "/status/200")), 200);
        },
        r#"server-v2 istio_cost_total{source_workload="client-v1",labels="1"} 12
           server-v2 istio_requests_total{source_workload="client-v1"} 5"#,
    );
}
