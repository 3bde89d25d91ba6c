//! Checks the meaning of a topology. Each problem names its field and value.

use std::collections::HashSet;

use super::model::{Protocol, Service, Topology, Workload};

/// All problems, in the order of the file.
pub fn problems(topology: &Topology) -> Vec<String> {
    let mut found = Vec::new();
    if topology.workloads.is_empty() {
        found.push("workloads: empty, a mesh has at least one".to_owned());
    }
    names(topology, &mut found);
    for workload in &topology.workloads {
        check_workload(topology, workload, &mut found);
    }
    for service in &topology.services {
        check_service(topology, service, &mut found);
    }
    if !(0.0..=100.0).contains(&topology.tracing.sampling) {
        found.push(format!("tracing.sampling: `{}` is no percentage (0 to 100)", topology.tracing.sampling));
    }
    traffic(topology, &mut found);
    found
}

fn names(topology: &Topology, found: &mut Vec<String>) {
    let (mut names, mut addresses, mut services) = (HashSet::new(), HashSet::new(), HashSet::new());
    for workload in &topology.workloads {
        if !names.insert(&workload.name) {
            found.push(format!("workloads: name `{}` is used twice", workload.name));
        }
        if !addresses.insert(workload.address) {
            found.push(format!("workloads.{}.address: `{}` is used twice", workload.name, workload.address));
        }
    }
    for service in &topology.services {
        if !services.insert(&service.name) {
            found.push(format!("services: name `{}` is used twice", service.name));
        }
    }
}

fn check_workload(topology: &Topology, workload: &Workload, found: &mut Vec<String>) {
    let at = format!("workloads.{}", workload.name);
    let [first, second, third, _] = workload.address.octets();
    if !is_dns_label(&workload.name) {
        found.push(format!("{at}.name: `{}` is no name of lower-case letters, digits and `-`", workload.name));
    }
    if first != 127 {
        found.push(format!("{at}.address: `{}` is not in 127.0.0.0/8", workload.address));
    } else if second != topology.network() || third > 250 {
        found.push(format!(
            "{at}.address: `{}` is not in 127.{}.0-250.x like the first workload",
            workload.address,
            topology.network()
        ));
    }
    for called in &workload.calls {
        if topology.service(called).is_none() {
            found.push(format!("{at}.calls: there is no service `{called}`"));
        }
    }
    if let Some(gateway) = &workload.gateway {
        if !workload.calls.is_empty() {
            found.push(format!("{at}.calls: a gateway has routes instead"));
        }
        if !workload.sidecar {
            found.push(format!("{at}.sidecar: a gateway is an Envoy, `false` makes no sense"));
        }
        for route in &gateway.routes {
            match topology.service(&route.to) {
                None => found.push(format!("{at}.gateway.routes: there is no service `{}`", route.to)),
                Some(service) if !service.is_http() => {
                    found.push(format!("{at}.gateway.routes: service `{}` does not speak HTTP", route.to))
                }
                Some(_) => {}
            }
            if !route.prefix.starts_with('/') {
                found.push(format!("{at}.gateway.routes: prefix `{}` does not begin with /", route.prefix));
            }
        }
    }
    if let Some(slow) = workload.slow.as_ref().filter(|s| s.every == 0) {
        found.push(format!("{at}.slow.every: `{}` is not positive", slow.every));
    }
    if let Some(fail) = &workload.fail {
        if fail.every == 0 || fail.times >= fail.every {
            found.push(format!("{at}.fail: `times: {}` is not below `every: {}`", fail.times, fail.every));
        }
        if !(400..=599).contains(&fail.status) {
            found.push(format!("{at}.fail.status: `{}` is no error (400 to 599)", fail.status));
        }
    }
}

fn check_service(topology: &Topology, service: &Service, found: &mut Vec<String>) {
    let at = format!("services.{}", service.name);
    if !is_dns_label(&service.name) {
        found.push(format!("{at}.name: `{}` is no name of lower-case letters, digits and `-`", service.name));
    }
    if topology.members(service).next().is_none() {
        found.push(format!("{at}: no workload in namespace `{}` has `app: {}`", service.namespace, service.name));
    }
    if [0, 15000, 15001, 15006, 15090].contains(&service.port) {
        found.push(format!("{at}.port: `{}` belongs to the sidecar", service.port));
    }
    let http_only = [
        ("routes", !service.routes.is_empty()),
        ("timeout", service.timeout.is_some()),
        ("retries", service.retries.is_some()),
    ];
    for (field, _) in http_only.iter().filter(|(_, set)| *set && service.protocol == Protocol::Tcp) {
        found.push(format!("{at}.{field}: not for `protocol: tcp`"));
    }
    for name in service.subsets.keys().filter(|name| topology.subset(service, name).is_empty()) {
        found.push(format!("{at}.subsets.{name}: no workload has these labels"));
    }
    for (index, route) in service.routes.iter().enumerate() {
        for subset in route.to.keys().filter(|name| !service.subsets.contains_key(*name)) {
            found.push(format!("{at}.routes[{index}].to: there is no subset `{subset}`"));
        }
        let total: u64 = route.to.values().map(|w| u64::from(*w)).sum();
        if total != 100 {
            found.push(format!("{at}.routes[{index}].to: the weights add up to `{total}`, not to 100"));
        }
    }
}

fn traffic(topology: &Topology, found: &mut Vec<String>) {
    let Some(traffic) = &topology.traffic else { return };
    if topology.workload(&traffic.gateway).is_none_or(|w| w.gateway.is_none()) {
        found.push(format!("traffic.gateway: there is no gateway `{}`", traffic.gateway));
    }
    if !(1..=200).contains(&traffic.per_second) {
        found.push(format!("traffic.perSecond: `{}` is not in 1 to 200", traffic.per_second));
    }
    for (index, shot) in traffic.mix.iter().enumerate() {
        if shot.every == 0 {
            found.push(format!("traffic.mix[{index}].every: `0` is not positive"));
        }
        if !(1..=100).contains(&shot.burst) {
            found.push(format!("traffic.mix[{index}].burst: `{}` is not in 1 to 100", shot.burst));
        }
        if !shot.path.starts_with('/') {
            found.push(format!("traffic.mix[{index}].path: `{}` does not begin with /", shot.path));
        }
    }
}

fn is_dns_label(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}
