//! The same mesh in containers: a proxy and an application for each workload, in one network namespace.
//!
//! Every network namespace has all of 127.0.0.0/8. So between an application and its proxy, nothing differs from the mesh
//! on loopback. Only the way to other workloads differs, and [`render`] changes only that: listeners for other workloads
//! are bound to all addresses, and other workloads are found by their containers' names.

mod parts;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use serde_json::{json, Value};

use crate::attach::Attachment;
use crate::config::{Files, SidecarConfig};
use crate::mesh::configure;
use crate::options::Options;
use crate::topology::{Topology, Workload};
use crate::{pki, prometheus};

pub use parts::{application, check_application, traffic};

/// All addresses of a container.
const ANY: &str = "0.0.0.0";

/// Address of a container's own health check.
const LOCAL: &str = "127.0.0.1";

/// Where Prometheus reads alert rules.
const RULES: &str = "/etc/prometheus/rules/*.yaml";

/// How often Prometheus scrapes.
const SCRAPE_INTERVAL: &str = "5s";

/// Writes each container's configuration to `directory`: `<workload>/envoy.json`, `pki/` if it does not exist yet, and
/// `prometheus.yml`. Containers have the directory under the same path.
pub fn render(topology: &Topology, options: &Options, directory: &Path) -> Result<()> {
    let outside: Vec<&str> = topology.workloads.iter().filter(|w| !w.sidecar).map(|w| w.name.as_str()).collect();
    ensure!(outside.is_empty(), "{}: a workload without a proxy has no container", outside.join(", "));
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let pki = directory.join("pki");
    // Running proxies would reject certificates of another authority from proxies that start now.
    if !has_certificates(topology, &pki) {
        pki::write(topology, &pki)?;
    }
    let mut attachment = Attachment::load(options)?;
    for workload in &topology.workloads {
        let files = Files { directory: directory.join(&workload.name), pki: pki.clone() };
        let config = configure(topology, workload, options, &mut attachment, &files)?;
        fs::create_dir_all(&files.directory).with_context(|| format!("cannot create {}", files.directory.display()))?;
        put(&files.directory.join("envoy.json"), &placed(topology, workload, config))?;
    }
    if options.every_patch_must_match {
        attachment.check_used()?;
    }
    put(&directory.join("prometheus.yml"), &scraping(topology))
}

fn has_certificates(topology: &Topology, pki: &Path) -> bool {
    let files =
        topology.workloads.iter().map(pki::file_name).flat_map(|name| [format!("{name}.pem"), format!("{name}.key")]);
    files.chain(["ca.pem".to_owned()]).all(|file| pki.join(file).is_file())
}

/// The complete configuration of a proxy as one bootstrap: it does not change while a container runs.
fn placed(topology: &Topology, workload: &Workload, config: SidecarConfig) -> Value {
    let SidecarConfig { mut bootstrap, mut listeners, mut clusters } = config;
    let own = workload.address.to_string();
    for listener in &mut listeners {
        if workload.gateway.is_some() || listener.get("traffic_direction") == Some(&json!("INBOUND")) {
            set_address(listener, "/address/socket_address", ANY);
        }
    }
    clusters.iter_mut().for_each(|cluster| by_name(topology, workload, cluster));

    set_address(&mut bootstrap, "/admin/address/socket_address", LOCAL);
    if let Some(fields) = bootstrap.as_object_mut() {
        fields.remove("dynamic_resources");
    }
    for (field, more) in [("listeners", listeners), ("clusters", clusters)] {
        let Some(Value::Array(list)) = bootstrap.pointer_mut(&format!("/static_resources/{field}")) else { continue };
        for item in list.iter_mut() {
            // The listener for Prometheus, and its route to the admin page.
            set_address(item, "/address/socket_address", ANY);
            each_address(item, &mut |address| {
                if *address == own {
                    LOCAL.clone_into(address);
                }
            });
        }
        list.extend(more);
    }
    bootstrap
}

/// Uses the containers' names for endpoints in other containers.
fn by_name(topology: &Topology, workload: &Workload, cluster: &mut Value) {
    let mut named = false;
    each_address(cluster, &mut |address| {
        if let Some(other) = at(topology, address).filter(|other| other.name != workload.name) {
            other.name.clone_into(address);
            named = true;
        }
    });
    if let Some(fields) = cluster.as_object_mut().filter(|_| named) {
        // A container's own endpoint may be in the list: an address resolves to itself.
        fields.insert("type".to_owned(), json!("STRICT_DNS"));
        fields.insert("dns_lookup_family".to_owned(), json!("V4_ONLY"));
    }
}

fn scraping(topology: &Topology) -> Value {
    let mut configuration = prometheus::configuration(topology);
    for field in ["scrape_interval", "scrape_timeout"] {
        if let Some(value) = configuration.pointer_mut(&format!("/global/{field}")) {
            *value = json!(SCRAPE_INTERVAL);
        }
    }
    if let Some(fields) = configuration.as_object_mut() {
        fields.insert("rule_files".to_owned(), json!([RULES]));
    }
    visit_strings(&mut configuration, &mut |text| {
        let found = text.split_once(':').and_then(|(address, port)| Some((at(topology, address)?, port)));
        if let Some((workload, port)) = found {
            *text = format!("{}:{port}", workload.name);
        }
    });
    configuration
}

fn at<'a>(topology: &'a Topology, address: &str) -> Option<&'a Workload> {
    let address: Ipv4Addr = address.parse().ok()?;
    topology.workloads.iter().find(|workload| workload.address == address)
}

fn set_address(value: &mut Value, socket_address: &str, address: &str) {
    if let Some(Value::Object(fields)) = value.pointer_mut(socket_address) {
        fields.insert("address".to_owned(), json!(address));
    }
}

/// Calls `found` for the address of each endpoint.
fn each_address(cluster: &mut Value, found: &mut dyn FnMut(&mut String)) {
    let lists = cluster.pointer_mut("/load_assignment/endpoints").and_then(Value::as_array_mut);
    for endpoint in lists.into_iter().flatten().filter_map(|l| l.get_mut("lb_endpoints")?.as_array_mut()).flatten() {
        if let Some(Value::String(address)) = endpoint.pointer_mut("/endpoint/address/socket_address/address") {
            found(address);
        }
    }
}

fn visit_strings(value: &mut Value, found: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => found(text),
        Value::Array(list) => list.iter_mut().for_each(|item| visit_strings(item, found)),
        Value::Object(fields) => fields.values_mut().for_each(|field| visit_strings(field, found)),
        _ => {}
    }
}

/// JSON is valid YAML.
fn put(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, format!("{value:#}")).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
