//! What Envoy has of its own for the same ends, configured to do as little as it can for the same result.

use labels;
use serde_json::{json, Value};

use crate::scene::Scene;
use crate::site::{Site, CALLEE, CALLER, MEASURED};
use anyhow::Result;
use local_mesh::topology::Workload;

/// Prefix of the metrics of the native stats logger.
pub const STATS_PREFIX: &str = "native";

/// What a workload says of itself under a label.
type Says = fn(&Workload) -> String;

/// The header for [`stats_logger_by_header`].
pub const SOURCE_HEADER: &str = "x-bench-source";

/// Filter state with one text for each label that tells of the caller.
const CALLER_STATE: [(&str, Says); 7] = [
    ("source_workload", |w| w.name.clone()),
    ("source_workload_namespace", |w| w.namespace.clone()),
    ("source_app", |w| label(w, "app")),
    ("source_version", |w| label(w, "version")),
    ("source_canonical_service", |w| label(w, "service.istio.io/canonical-name")),
    ("source_canonical_revision", |w| label(w, "service.istio.io/canonical-revision")),
    ("source_cluster", |_| "Kubernetes".to_owned()),
];

/// The part of endpoint metadata that has one text for each label that tells of the callee.
pub const ENDPOINT_METADATA: &str = "bench";

fn label(workload: &Workload, name: &str) -> String {
    workload.all_labels().get(name).cloned().unwrap_or_default()
}

fn destination(of_source: &str) -> String {
    of_source.replacen("source", "destination", 1)
}

/// The network filter that puts the caller on each connection, a text per label. Native filters cannot read what metadata
/// exchange leaves, and no native filter reads the headers of the exchange: this is the cheapest that they could be given.
pub fn caller_on_connection(site: &Site) -> Result<Value> {
    let caller = site.workload(CALLER)?;
    let states: Vec<Value> = CALLER_STATE
        .iter()
        .map(|(name, value)| {
            json!({
                "object_key": format!("bench.{name}"),
                "factory_key": "envoy.string",
                "format_string": {"text_format_source": {"inline_string": value(caller)}},
            })
        })
        .collect();
    Ok(json!({
        "name": "envoy.filters.network.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config",
            "on_new_connection": states,
        },
    }))
}

/// What the endpoint of the callee says, for the same purpose on the way out.
pub fn callee_metadata(site: &Site) -> Result<Value> {
    let callee = site.workload(CALLEE)?;
    Ok(CALLER_STATE.iter().map(|(name, value)| (destination(name), json!(value(callee)))).collect())
}

/// The stats logger with the four metrics and all 25 labels. What the listener alone decides is a constant; nothing is
/// worked out per request that need not be.
pub fn stats_logger(site: &Site, scene: Scene) -> Result<Value> {
    stats_logger_with(|name| label_format(site, scene, name))
}

/// The same, with a source workload that a header of the request tells.
pub fn stats_logger_by_header(site: &Site, scene: Scene) -> Result<Value> {
    stats_logger_with(|name| match name {
        "source_workload" => Ok(format!("%REQ({SOURCE_HEADER})%")),
        _ => label_format(site, scene, name),
    })
}

fn stats_logger_with(format: impl Fn(&str) -> Result<String>) -> Result<Value> {
    let tags: Vec<Value> = labels::names()
        .into_iter()
        .map(|name| Ok(json!({"name": name, "value_format": format(name)?})))
        .collect::<Result<_>>()?;
    let stat = |name: &str| json!({"name": name, "tags": tags});
    Ok(json!({
        "name": "envoy.access_loggers.stats",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config",
            "stat_prefix": STATS_PREFIX,
            "counters": [{"stat": stat("istio_requests_total"), "value_fixed": 1}],
            "histograms": [
                {"stat": stat("istio_request_duration_milliseconds"), "unit": "Milliseconds", "value_format": "%DURATION%"},
                {"stat": stat("istio_request_bytes"), "unit": "Bytes", "value_format": "%BYTES_RECEIVED%"},
                {"stat": stat("istio_response_bytes"), "unit": "Bytes", "value_format": "%BYTES_SENT%"},
            ],
        },
    }))
}

fn label_format(site: &Site, scene: Scene, name: &str) -> Result<String> {
    let measured = site.workload(MEASURED)?;
    let inbound = scene != Scene::Outbound;
    if let Some((label, value)) = CALLER_STATE.iter().find(|(label, _)| *label == name) {
        return Ok(if inbound { format!("%FILTER_STATE(bench.{label}:PLAIN)%") } else { value(measured) });
    }
    if let Some((_, value)) = CALLER_STATE.iter().find(|(label, _)| destination(label) == name) {
        let text = format!("%METADATA(UPSTREAM_HOST:{ENDPOINT_METADATA}:{name})%");
        return Ok(if inbound { value(measured) } else { text });
    }
    let service = if inbound { "productpage" } else { "reviews" };
    let text = match name {
        "reporter" if inbound => "destination",
        "reporter" => "source",
        "source_principal" if inbound => "%DOWNSTREAM_PEER_URI_SAN%",
        "destination_principal" if inbound => "%DOWNSTREAM_LOCAL_URI_SAN%",
        "source_principal" => "%UPSTREAM_LOCAL_URI_SAN%",
        "destination_principal" => "%UPSTREAM_PEER_URI_SAN%",
        // An answer of Envoy's own goes to no cluster, so that stats knows no service either.
        "destination_service" if scene == Scene::Direct => "unknown",
        "destination_service" => return Ok(format!("{service}.default.svc.cluster.local")),
        "destination_service_name" => service,
        "destination_service_namespace" => "default",
        "request_protocol" => "%PROTOCOL%",
        "response_flags" => "%RESPONSE_FLAGS%",
        "connection_security_policy" if scene == Scene::Hop => "mutual_tls",
        "connection_security_policy" if inbound => "none",
        "connection_security_policy" => "unknown",
        "response_code" => "%RESPONSE_CODE%",
        "grpc_response_status" => "%GRPC_STATUS_NUMBER%",
        other => anyhow::bail!("no native equivalent of label {other} is known"),
    };
    Ok(text.to_owned())
}

/// Istio's default access log as JSON, to a file that takes everything.
pub fn json_log(_site: &Site, _scene: Scene) -> Result<Value> {
    let fields = [
        ("start_time", "%START_TIME%"),
        ("method", "%REQ(:METHOD)%"),
        ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
        ("protocol", "%PROTOCOL%"),
        ("response_code", "%RESPONSE_CODE%"),
        ("response_flags", "%RESPONSE_FLAGS%"),
        ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
        ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
        ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
        ("bytes_received", "%BYTES_RECEIVED%"),
        ("bytes_sent", "%BYTES_SENT%"),
        ("duration", "%DURATION%"),
        ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
        ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
        ("user_agent", "%REQ(USER-AGENT)%"),
        ("request_id", "%REQ(X-REQUEST-ID)%"),
        ("authority", "%REQ(:AUTHORITY)%"),
        ("upstream_host", "%UPSTREAM_HOST%"),
        ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
        ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
        ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
        ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
        ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
        ("route_name", "%ROUTE_NAME%"),
    ];
    let format: serde_json::Map<String, Value> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    Ok(json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "/dev/null",
            "log_format": {"json_format": format},
        },
    }))
}

/// A fault whose header no request has.
pub fn fault(_site: &Site, _scene: Scene) -> Result<Value> {
    Ok(json!({
        "name": "bench.fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 503, "percentage": {"numerator": 100}},
            "headers": [{"name": "x-bench-fault", "string_match": {"exact": "yes"}}],
        },
    }))
}

/// Adds a header to the request and one to the response.
pub fn lua(_site: &Site, _scene: Scene) -> Result<Value> {
    Ok(json!({
        "name": "bench.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string":
                "function envoy_on_response(handle)\n  handle:headers():add('x-bench-lua', 'yes')\nend\n"},
        },
    }))
}
