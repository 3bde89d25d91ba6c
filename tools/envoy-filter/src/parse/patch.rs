//! Reads one item of `spec.configPatches`.

use regex::Regex;
use serde_json::Value;

use super::{
    reader::{At, Object, Reader},
    rules, value,
};
use crate::resource::{
    ClusterMatch, FilterChainMatch, ListenerMatch, ObjectMatch, Operation, Patch, PatchContext, ProxyMatch,
    RouteAction, RouteConfigurationMatch, RouteMatch, VirtualHostMatch,
};
use crate::yaml::Kind;

/// Fields of a match; at most one of them is allowed.
const OBJECTS: [&str; 3] = ["listener", "routeConfiguration", "cluster"];

/// Reads a patch; `None` if it has problems.
pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Patch> {
    let before = reader.count();
    let fields = reader.object(at, &["applyTo", "match", "patch"])?;
    let apply_to = reader.required(&fields, "applyTo").and_then(|at| reader.choice(&at));
    let mut operation = None;
    let mut patch_value = None;
    if let Some(at) = reader.required(&fields, "patch") {
        if let Some(patch) = reader.object(&at, &["operation", "value", "filterClass"]) {
            if let Some(at) = patch.get("filterClass") {
                reader.unsupported(at, "is not supported here; say where with match and operation");
            }
            operation = reader.required(&patch, "operation").and_then(|at| reader.choice::<Operation>(&at));
            patch_value = match operation {
                Some(Operation::Remove) => {
                    if let Some(at) = patch.get("value") {
                        reader.problem(at, "has no effect with REMOVE");
                    }
                    None
                }
                Some(_) => reader.required(&patch, "value"),
                None => patch.get("value").cloned(),
            };
        }
    }
    let mut context = PatchContext::Any;
    let mut proxy = ProxyMatch::default();
    let mut object = ObjectMatch::Any;
    if let Some(at) = fields.get("match") {
        (context, proxy, object) = matching(reader, at)?;
    }

    let patch = Patch {
        apply_to: apply_to?,
        operation: operation?,
        context,
        value: patch_value.as_ref().map_or(Value::Null, |at| at.node.to_json()),
        line: at.node.position.line,
        proxy,
        object,
    };
    rules::check(reader, at, &patch);
    if let Some(at) = &patch_value {
        value::check(reader, at, &patch);
    }
    (reader.count() == before).then_some(patch)
}

fn matching(reader: &mut Reader<'_>, at: &At<'_>) -> Option<(PatchContext, ProxyMatch, ObjectMatch)> {
    let allowed = ["context", "proxy", "listener", "routeConfiguration", "cluster", "waypoint"];
    let fields = reader.object(at, &allowed)?;
    if let Some(at) = fields.get("waypoint") {
        reader.unsupported(at, "is not supported here: there are no waypoints");
    }
    let context = match fields.get("context") {
        None => PatchContext::Any,
        Some(at) => match &at.node.kind {
            Kind::String(text) if text == "WAYPOINT" => {
                reader.unsupported(at, "\"WAYPOINT\" is not supported here: there are no waypoints");
                PatchContext::Any
            }
            _ => reader.choice(at).unwrap_or(PatchContext::Any),
        },
    };
    let proxy = match fields.get("proxy") {
        None => ProxyMatch::default(),
        Some(at) => proxy(reader, at).unwrap_or_default(),
    };

    let present: Vec<&At<'_>> = OBJECTS.iter().filter_map(|name| fields.get(name)).collect();
    if let [_, second, ..] = present.as_slice() {
        reader.problem(second, format!("only one of {} can be matched", OBJECTS.join(", ")));
        return None;
    }
    let object = if let Some(at) = fields.get("listener") {
        ObjectMatch::Listener(listener(reader, at).unwrap_or_default())
    } else if let Some(at) = fields.get("routeConfiguration") {
        ObjectMatch::RouteConfiguration(route_configuration(reader, at).unwrap_or_default())
    } else if let Some(at) = fields.get("cluster") {
        ObjectMatch::Cluster(cluster(reader, at).unwrap_or_default())
    } else {
        ObjectMatch::Any
    };
    Some((context, proxy, object))
}

fn proxy(reader: &mut Reader<'_>, at: &At<'_>) -> Option<ProxyMatch> {
    let fields = reader.object(at, &["proxyVersion", "metadata"])?;
    let mut matching = ProxyMatch::default();
    if let Some(at) = fields.get("proxyVersion") {
        let text = reader.string(at)?;
        match Regex::new(&text) {
            Ok(regex) => matching.version = Some(regex),
            Err(error) => {
                // The last line contains the reason; the lines before show the expression.
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
                reader.problem(at, format!("{text:?} is not a regular expression: {reason}"));
            }
        }
    }
    if let Some(at) = fields.get("metadata") {
        matching.metadata = reader.strings(at)?;
    }
    Some(matching)
}

fn listener(reader: &mut Reader<'_>, at: &At<'_>) -> Option<ListenerMatch> {
    let allowed = ["name", "portNumber", "portName", "listenerFilter", "filterChain"];
    let fields = reader.object(at, &allowed)?;
    if let Some(at) = fields.get("portName") {
        reader.problem(at, "has no effect in Istio; use portNumber");
    }
    Some(ListenerMatch {
        name: reader.maybe_string(&fields, "name"),
        port: reader.maybe_port(&fields, "portNumber"),
        listener_filter: reader.maybe_string(&fields, "listenerFilter"),
        filter_chain: fields.get("filterChain").and_then(|at| filter_chain(reader, at)),
    })
}

fn filter_chain(reader: &mut Reader<'_>, at: &At<'_>) -> Option<FilterChainMatch> {
    let allowed = ["name", "sni", "transportProtocol", "applicationProtocols", "destinationPort", "filter"];
    let fields = reader.object(at, &allowed)?;
    let mut matching = FilterChainMatch {
        name: reader.maybe_string(&fields, "name"),
        sni: reader.maybe_string(&fields, "sni"),
        transport_protocol: reader.maybe_string(&fields, "transportProtocol"),
        application_protocols: reader
            .maybe_string(&fields, "applicationProtocols")
            .map(|list| list.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
        destination_port: reader.maybe_port(&fields, "destinationPort"),
        ..FilterChainMatch::default()
    };
    if let Some(at) = fields.get("filter") {
        let filter = reader.object(at, &["name", "subFilter"])?;
        matching.filter = named(reader, &filter);
        if let Some(at) = filter.get("subFilter") {
            let sub_filter = reader.object(at, &["name"])?;
            matching.sub_filter = named(reader, &sub_filter);
        }
    }
    Some(matching)
}

fn named(reader: &mut Reader<'_>, object: &Object<'_>) -> Option<String> {
    let at = reader.required(object, "name")?;
    reader.string(&at)
}

fn route_configuration(reader: &mut Reader<'_>, at: &At<'_>) -> Option<RouteConfigurationMatch> {
    let fields = reader.object(at, &["name", "portNumber", "portName", "gateway", "vhost"])?;
    Some(RouteConfigurationMatch {
        name: reader.maybe_string(&fields, "name"),
        port: reader.maybe_port(&fields, "portNumber"),
        port_name: reader.maybe_string(&fields, "portName"),
        gateway: reader.maybe_string(&fields, "gateway"),
        vhost: fields.get("vhost").and_then(|at| virtual_host(reader, at)),
    })
}

fn virtual_host(reader: &mut Reader<'_>, at: &At<'_>) -> Option<VirtualHostMatch> {
    let fields = reader.object(at, &["name", "domainName", "route"])?;
    let route = match fields.get("route") {
        None => None,
        Some(at) => {
            let route = reader.object(at, &["name", "action"])?;
            Some(RouteMatch {
                name: reader.maybe_string(&route, "name"),
                action: match route.get("action") {
                    None => RouteAction::Any,
                    Some(at) => reader.choice(at)?,
                },
            })
        }
    };
    Some(VirtualHostMatch {
        name: reader.maybe_string(&fields, "name"),
        domain: reader.maybe_string(&fields, "domainName"),
        route,
    })
}

fn cluster(reader: &mut Reader<'_>, at: &At<'_>) -> Option<ClusterMatch> {
    let fields = reader.object(at, &["name", "service", "subset", "portNumber"])?;
    Some(ClusterMatch {
        name: reader.maybe_string(&fields, "name"),
        service: reader.maybe_string(&fields, "service"),
        subset: reader.maybe_string(&fields, "subset"),
        port: reader.maybe_port(&fields, "portNumber"),
    })
}
