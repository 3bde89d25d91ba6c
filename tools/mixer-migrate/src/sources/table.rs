//! The table of attributes.

use crate::{
    cexl::Value,
    scene::Side,
    source::{Path, Source},
};

/// The metadata of the cluster's service. Istio's control plane writes it.
const SERVICE: &str = "xds.cluster_metadata.filter_metadata['istio'].services[0]";
const HAS_SERVICE: &str = "has(xds.cluster_metadata) && 'istio' in xds.cluster_metadata.filter_metadata && \
     has(xds.cluster_metadata.filter_metadata['istio'].services) && \
     size(xds.cluster_metadata.filter_metadata['istio'].services) > 0";
/// Mixer's proxies reported this for destinations that are not services.
const IS_OUTSIDE: &str = "has(xds.cluster_name) && xds.cluster_name in ['PassthroughCluster', 'BlackHoleCluster']";
const PAYLOAD: &str = "metadata.filter_metadata['envoy.filters.http.jwt_authn'].payload";
const HAS_PAYLOAD: &str = "'envoy.filters.http.jwt_authn' in metadata.filter_metadata && \
     has(metadata.filter_metadata['envoy.filters.http.jwt_authn'].payload)";
const RBAC: &str = "metadata.filter_metadata['envoy.filters.http.rbac']";

fn always(value: &str) -> Option<Source> {
    path(value, None)
}

fn maybe(value: &str, present: &str) -> Option<Source> {
    path(value, Some(present))
}

/// An attribute whose absence an expression can check.
fn has(value: &str) -> Option<Source> {
    path(value, Some(&format!("has({value})")))
}

fn path(value: &str, present: Option<&str>) -> Option<Source> {
    let present = present.map(str::to_owned);
    Some(Source::Path(Path { value: value.to_owned(), present, default: None, module: false }))
}

/// A value that a module knows better, if the attribute is the whole expression.
fn better(source: Option<Source>) -> Option<Source> {
    match source {
        Some(Source::Path(path)) => Some(Source::Path(Path { module: true, ..path })),
        other => other,
    }
}

fn module(may_be_absent: bool) -> Option<Source> {
    Some(Source::Module { may_be_absent, present: None, default: None })
}

/// An identity in a certificate, without `spiffe://`. Expressions cannot remove this prefix.
fn identity(present: &'static str) -> Option<Source> {
    Some(Source::Module { may_be_absent: true, present: Some(present), default: None })
}

fn text(value: &str) -> Option<Source> {
    Some(Source::Constant(Value::String(value.to_owned())))
}

/// A workload's metadata. `name` is the attribute's name without `source.` or `destination.`.
fn workload(name: &str, field: impl Fn(&str) -> (String, String)) -> Option<Source> {
    let (pod, has_pod) = field("name");
    let (namespace, has_namespace) = field("namespace");
    let (workload, has_workload) = field("workload_name");
    match name {
        "uid" => {
            maybe(&format!("('kubernetes://' + {pod} + '.' + {namespace})"), &format!("{has_pod} && {has_namespace}"))
        }
        "name" => maybe(&pod, &has_pod),
        "namespace" | "workload.namespace" => better(maybe(&namespace, &has_namespace)),
        "workload.name" => better(maybe(&workload, &has_workload)),
        "workload.uid" => maybe(
            &format!("('istio://' + {namespace} + '/workloads/' + {workload})"),
            &format!("{has_namespace} && {has_workload}"),
        ),
        "owner" | "labels" => {
            let (value, present) = field(name);
            maybe(&value, &present)
        }
        "ip" => module(true),
        _ => None,
    }
}

/// An attribute of the local workload.
pub(super) fn local(name: &str) -> Option<Source> {
    let field = |name: &str| {
        let value = format!("xds.node.metadata.{}", name.to_ascii_uppercase());
        let present = format!("has({value})");
        (value, present)
    };
    match name {
        "serviceAccount" => has("xds.node.metadata.SERVICE_ACCOUNT"),
        _ => workload(name, field),
    }
}

/// An attribute of the peer.
pub(super) fn peer(name: &str, side: Side) -> Option<Source> {
    let state = match side {
        Side::Inbound => "downstream_peer",
        Side::Outbound => "upstream_peer",
    };
    let field = |name: &str| {
        let value = format!("{state}.{name}");
        let present = format!("'wasm.{state}' in filter_state && has({value})");
        (value, present)
    };
    workload(name, field)
}

/// Attributes for HTTP only.
pub(super) fn http(attribute: &str, side: Side) -> Option<Source> {
    match attribute {
        "request.headers"
        | "request.host"
        | "request.method"
        | "request.path"
        | "request.url_path"
        | "request.scheme"
        | "request.time"
        | "request.total_size"
        | "response.headers"
        | "response.size"
        | "response.total_size" => always(attribute),
        // Envoy's request.size is the content-length header's value. Older proxies do not report the headers' size.
        "request.size" => {
            always("(has(request.headers_bytes) ? request.total_size - request.headers_bytes : request.size)")
        }
        "request.referer" | "request.useragent" => has(attribute),
        "request.auth.principal" => claims(&format!("({PAYLOAD}.iss + '/' + {PAYLOAD}.sub)"), &["iss", "sub"]),
        "request.auth.presenter" => claims(&format!("{PAYLOAD}.azp"), &["azp"]),
        "request.auth.claims" => claims(PAYLOAD, &[]),
        // Mixer's proxies reported 500 if the client left before there was a response.
        "response.code" => match has(attribute) {
            Some(Source::Path(path)) => Some(Source::Path(Path { default: Some(Value::Int64(500)), ..path })),
            other => other,
        },
        // It always exists when a request ends.
        "response.duration" => always("request.duration"),
        "response.time" => better(always("(request.time + request.duration)")),
        "response.grpc_status" => maybe(&of_trailers("grpc-status", "''"), &in_trailers("grpc-status")),
        "response.grpc_message" => maybe(&of_trailers("grpc-message", "''"), &in_trailers("grpc-status")),
        "context.protocol" => better(always(
            "('content-type' in request.headers && request.headers['content-type'] in ['application/grpc', \
             'application/grpc+proto', 'application/grpc+json'] ? 'grpc' : 'http')",
        )),
        "context.proxy_error_code" => module(false),
        "rbac.permissive.response_code" => shadow("engine_result"),
        "rbac.permissive.effective_policy_id" => shadow("effective_policy_id"),
        "connection.mtls" | "connection.requested_server_name" => any(attribute, side),
        _ if attribute.starts_with("connection.") || attribute == "context.time" => Some(Source::Absent),
        _ => None,
    }
}

/// Claims of the token that Envoy verified.
fn claims(value: &str, names: &[&str]) -> Option<Source> {
    let claims: String = names.iter().map(|name| format!(" && has({PAYLOAD}.{name})")).collect();
    maybe(value, &format!("{HAS_PAYLOAD}{claims}"))
}

fn in_trailers(name: &str) -> String {
    format!("('{name}' in response.trailers || '{name}' in response.headers)")
}

fn of_trailers(name: &str, otherwise: &str) -> String {
    format!(
        "('{name}' in response.trailers ? response.trailers['{name}'] : '{name}' in response.headers ? \
         response.headers['{name}'] : {otherwise})"
    )
}

/// The result of a policy in a dry run. Istio's dry runs put the action before the name.
fn shadow(name: &str) -> Option<Source> {
    let keys = [
        format!("shadow_{name}"),
        format!("istio_dry_run_allow_shadow_{name}"),
        format!("istio_dry_run_deny_shadow_{name}"),
    ];
    let present: Vec<String> = keys.iter().map(|key| format!("has({RBAC}.{key})")).collect();
    let mut value = "''".to_owned();
    for (key, present) in keys.iter().zip(&present).rev() {
        value = format!("{present} ? {RBAC}.{key} : {value}");
    }
    let filter = "'envoy.filters.http.rbac' in metadata.filter_metadata";
    maybe(&format!("({value})"), &format!("{filter} && ({})", present.join(" || ")))
}

/// Attributes for TCP only, or different for TCP.
pub(super) fn tcp(attribute: &str, side: Side) -> Option<Source> {
    match attribute {
        "connection.event"
        | "connection.received.bytes"
        | "connection.sent.bytes"
        | "connection.received.bytes_total"
        | "connection.sent.bytes_total"
        | "context.time" => module(false),
        "connection.duration" => module(true),
        "connection.id" => always("string(connection.id)"),
        "context.protocol" => text("tcp"),
        "destination.port" | "destination.principal" => any(attribute, side),
        _ if attribute.starts_with("request.")
            || attribute.starts_with("response.")
            || attribute.starts_with("rbac.") =>
        {
            Some(Source::Absent)
        }
        "context.proxy_error_code" => Some(Source::Absent),
        _ => None,
    }
}

/// Attributes for HTTP and TCP.
pub(super) fn any(attribute: &str, side: Side) -> Option<Source> {
    let inbound = side == Side::Inbound;
    match attribute {
        "context.reporter.kind" => text(if inbound { "inbound" } else { "outbound" }),
        "context.reporter.uid" => local("uid"),
        "context.proxy_version" => has("xds.node.metadata.ISTIO_VERSION"),
        "connection.mtls" => always(attribute),
        "connection.requested_server_name" => {
            maybe(attribute, "has(connection.requested_server_name) && connection.requested_server_name != ''")
        }
        // Mixer's proxies knew only the certificates of the downstream connection.
        "source.principal" | "source.user" if inbound => {
            identity("has(connection.uri_san_peer_certificate) && connection.uri_san_peer_certificate != ''")
        }
        "destination.principal" if inbound => {
            identity("has(connection.uri_san_local_certificate) && connection.uri_san_local_certificate != ''")
        }
        "destination.port" if inbound => always("destination.port"),
        "destination.port" => has("upstream.port"),
        "destination.service" | "destination.service.host" => better(maybe(&format!("{SERVICE}.host"), HAS_SERVICE)),
        "destination.service.name" => better(maybe(
            &format!("({IS_OUTSIDE} ? xds.cluster_name : {SERVICE}.name)"),
            &format!("({IS_OUTSIDE} || {HAS_SERVICE})"),
        )),
        "destination.service.namespace" => better(maybe(&format!("{SERVICE}.namespace"), HAS_SERVICE)),
        "destination.service.uid" => {
            maybe(&format!("('istio://' + {SERVICE}.namespace + '/services/' + {SERVICE}.name)"), HAS_SERVICE)
        }
        "origin.ip" => module(true),
        _ => None,
    }
}
