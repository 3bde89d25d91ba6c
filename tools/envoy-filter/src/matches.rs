//! Evaluates `match`: whether a patch applies to an object.

use serde_json::Value;

use crate::{
    fields::{dig, get, list, port, text},
    proxy::Proxy,
    resource::{ApplyTo, Context, Patch, ProxyMatch, RouteAction},
};

#[cfg(test)]
mod tests;

/// The network filter that contains HTTP filters.
pub(crate) const HTTP_CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";

/// The listeners with a filter chain for each port.
const VIRTUAL_LISTENERS: [&str; 2] = ["virtualInbound", "virtualOutbound"];

/// Names of filters before Envoy 1.14. Istio's match accepts them for the new names.
const DEPRECATED_NAMES: [(&str, &str); 24] = [
    ("envoy.buffer", "envoy.filters.http.buffer"),
    ("envoy.cors", "envoy.filters.http.cors"),
    ("envoy.csrf", "envoy.filters.http.csrf"),
    ("envoy.dynamo", "envoy.filters.http.dynamo"),
    ("envoy.ext_authz", "envoy.filters.http.ext_authz"),
    ("envoy.fault", "envoy.filters.http.fault"),
    ("envoy.grpc_http1_bridge", "envoy.filters.http.grpc_http1_bridge"),
    ("envoy.grpc_json_transcoder", "envoy.filters.http.grpc_json_transcoder"),
    ("envoy.grpc_web", "envoy.filters.http.grpc_web"),
    ("envoy.gzip", "envoy.filters.http.gzip"),
    ("envoy.health_check", "envoy.filters.http.health_check"),
    ("envoy.ip_tagging", "envoy.filters.http.ip_tagging"),
    ("envoy.lua", "envoy.filters.http.lua"),
    ("envoy.rate_limit", "envoy.filters.http.ratelimit"),
    ("envoy.router", "envoy.filters.http.router"),
    ("envoy.squash", "envoy.filters.http.squash"),
    ("envoy.listener.http_inspector", "envoy.filters.listener.http_inspector"),
    ("envoy.listener.original_dst", "envoy.filters.listener.original_dst"),
    ("envoy.listener.original_src", "envoy.filters.listener.original_src"),
    ("envoy.listener.proxy_protocol", "envoy.filters.listener.proxy_protocol"),
    ("envoy.listener.tls_inspector", "envoy.filters.listener.tls_inspector"),
    ("envoy.http_connection_manager", HTTP_CONNECTION_MANAGER),
    ("envoy.redis_proxy", "envoy.filters.network.redis_proxy"),
    ("envoy.tcp_proxy", "envoy.filters.network.tcp_proxy"),
];

/// Whether a name in a match, possibly an old one, is the filter's name.
pub(crate) fn same_filter(wanted: &str, name: &str) -> bool {
    wanted == name || DEPRECATED_NAMES.contains(&(wanted, name))
}

/// `match.proxy`.
pub(crate) fn proxy(wanted: &ProxyMatch, proxy: &Proxy<'_>) -> bool {
    let version =
        wanted.version.as_ref().is_none_or(|regex| !proxy.version.is_empty() && regex.is_match(proxy.version));
    let metadata =
        wanted.metadata.iter().all(|(key, value)| proxy.metadata.get(key).and_then(Value::as_str) == Some(value));
    version && metadata
}

/// `match.listener`, without its filter chain.
pub(crate) fn listener(patch: &Patch, listener: &Value) -> bool {
    let Some(wanted) = patch.listener() else { return true };
    let name = text(listener, "name");
    if wanted.name.as_ref().is_some_and(|wanted| wanted != name) {
        return false;
    }
    // For a virtual listener, a patch's port is the port of a filter chain.
    if patch.apply_to != ApplyTo::Listener && VIRTUAL_LISTENERS.contains(&name) {
        return true;
    }
    wanted.port.is_none() || wanted.port == port(listener, &["address", "socket_address", "port_value"])
}

/// `match.listener.filterChain`, for a listener that matches; without its filter.
pub(crate) fn filter_chain(patch: &Patch, listener_name: &str, chain: &Value) -> bool {
    let Some(listener) = patch.listener() else { return true };
    let destination_port = port(chain, &["filter_chain_match", "destination_port"]);
    if VIRTUAL_LISTENERS.contains(&listener_name) && listener.port.is_some() && listener.port != destination_port {
        return false;
    }
    let Some(wanted) = &listener.filter_chain else { return true };
    let conditions = get(chain, "filter_chain_match").unwrap_or(&Value::Null);
    let has = |field: &str, item: &str| list(conditions, field).iter().any(|known| known == item);

    is_or_any(wanted.name.as_deref(), text(chain, "name"))
        && wanted.sni.as_ref().is_none_or(|sni| has("server_names", sni))
        && is_or_any(wanted.transport_protocol.as_deref(), text(conditions, "transport_protocol"))
        && wanted.application_protocols.iter().all(|protocol| has("application_protocols", protocol))
        && (wanted.destination_port.is_none() || wanted.destination_port == destination_port)
}

/// `match.listener.filterChain.filter`.
pub(crate) fn network_filter(patch: &Patch, filter: &Value) -> bool {
    let wanted = patch.filter_chain().and_then(|chain| chain.filter.as_deref());
    wanted.is_none_or(|wanted| same_filter(wanted, text(filter, "name")))
}

/// `match.routeConfiguration`, without its virtual host.
pub(crate) fn route_configuration(patch: &Patch, context: Context, routes: &Value) -> bool {
    let Some(wanted) = patch.route_configuration() else { return true };
    let name = text(routes, "name");
    if !is_or_any(wanted.name.as_deref(), name) {
        return false;
    }
    if context != Context::Gateway {
        let port = match name.strip_prefix("inbound|") {
            Some(_) => subset_key(name).port,
            None => name.parse().ok(),
        };
        return wanted.port.is_none() || wanted.port == port;
    }
    // Gateways have the names http.<port> or https.<port>.<port name>.<gateway>.<namespace>.
    let mut parts = name.split('.').skip(1);
    let port = parts.next().and_then(|port| port.parse().ok());
    let port_name = parts.next().unwrap_or_default();
    let gateway = parts.next().unwrap_or_default();
    let namespace = parts.next().unwrap_or_default();
    (wanted.port.is_none() || wanted.port == port)
        && is_or_any(wanted.port_name.as_deref(), port_name)
        && is_or_any(wanted.gateway.as_deref(), &format!("{namespace}/{gateway}"))
}

/// `match.routeConfiguration.vhost`, without its route.
pub(crate) fn virtual_host(patch: &Patch, host: &Value) -> bool {
    let Some(wanted) = patch.virtual_host() else { return true };
    is_or_any(wanted.name.as_deref(), text(host, "name"))
        && wanted.domain.as_ref().is_none_or(|domain| list(host, "domains").iter().any(|known| known == domain))
}

/// `match.routeConfiguration.vhost.route`.
pub(crate) fn route(patch: &Patch, route: &Value) -> bool {
    let Some(wanted) = patch.virtual_host().and_then(|host| host.route.as_ref()) else {
        return true;
    };
    let action = [
        ("route", RouteAction::Route),
        ("redirect", RouteAction::Redirect),
        ("direct_response", RouteAction::DirectResponse),
    ]
    .into_iter()
    .find(|(field, _)| get(route, field).is_some());
    // As in Istio, a route without any of these actions matches every action.
    let action = wanted.action == RouteAction::Any || action.is_none_or(|(_, action)| action == wanted.action);
    is_or_any(wanted.name.as_deref(), text(route, "name")) && action
}

/// `match.cluster`.
pub(crate) fn cluster(patch: &Patch, cluster: &Value) -> bool {
    let Some(wanted) = patch.cluster() else { return true };
    let name = text(cluster, "name");
    if let Some(wanted) = &wanted.name {
        return wanted == name;
    }
    let key = subset_key(name);
    // The name of an inbound cluster contains no host. Istio uses the services of its port, from its metadata.
    let services = dig(cluster, &["metadata", "filter_metadata", "istio"])
        .map(|metadata| list(metadata, "services"))
        .unwrap_or_default();
    let is_service = |wanted: &String| {
        if key.direction == "inbound" && !services.is_empty() {
            services.iter().any(|service| text(service, "host") == wanted)
        } else {
            key.host == wanted
        }
    };
    is_or_any(wanted.subset.as_deref(), key.subset)
        && wanted.service.as_ref().is_none_or(is_service)
        && (wanted.port.is_none() || wanted.port == key.port)
}

/// The parts of `outbound|9080|v1|reviews.default.svc.cluster.local`.
#[derive(Debug, Default)]
struct SubsetKey<'a> {
    direction: &'a str,
    port: Option<u32>,
    subset: &'a str,
    host: &'a str,
}

fn subset_key(name: &str) -> SubsetKey<'_> {
    let mut parts = name.splitn(4, '|');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(direction), Some(port), Some(subset), Some(host)) => {
            SubsetKey { direction, port: port.parse().ok(), subset, host }
        }
        _ => SubsetKey::default(),
    }
}

fn is_or_any(wanted: Option<&str>, found: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}
