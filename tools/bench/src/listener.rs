//! A variant's listener: that of its scene as Istio configures it, and what the variant adds to it.

use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use local_mesh::attach::Attachment;
use local_mesh::config::SidecarConfig;
use local_mesh::options::Options;
use serde_json::{json, Value};

use crate::assembly;
use crate::native;
use crate::scene::Scene;
use crate::site::{body, Site, MEASURED};
use crate::variants::Part::{AccessLog, CallerOnConnection, Empty, EnvoyFilter, HttpFilter, Rules};
use crate::variants::{Module, Variant};

const HTTP_FILTERS: &str = "http_filters";
const NETWORK_FILTERS: &str = "filters";
/// A position in [`HTTP_FILTERS`].
const BEFORE_ROUTER: usize = usize::MAX;

/// The listener on which a variant serves.
pub fn of(variant: &Variant, site: &Site, index: usize) -> Result<Value> {
    let plain = site.plain()?;
    let mut listener = of_scene(variant.scene, site, &plain)?;
    let attached = variant.parts.iter().filter_map(|part| match part {
        EnvoyFilter(module) => Some(local_mesh::tools::filters().join(module.filter)),
        _ => None,
    });
    let ours: Vec<PathBuf> = attached.collect();
    if !ours.is_empty() {
        listener = attach(site, ours, listener).with_context(|| variant.id())?;
    }
    for part in variant.parts {
        match part {
            EnvoyFilter(_) => {}
            CallerOnConnection => insert(&mut listener, NETWORK_FILTERS, 0, caller_module(site))?,
            Rules(root_id, module, rules) => {
                insert(&mut listener, HTTP_FILTERS, BEFORE_ROUTER, with_rules(site, root_id, module, rules)?)?;
            }
            Empty(file) => insert(&mut listener, HTTP_FILTERS, BEFORE_ROUTER, empty_module(site, file))?,
            HttpFilter(filter) => {
                insert(&mut listener, HTTP_FILTERS, BEFORE_ROUTER, filter(site, variant.scene)?)?;
            }
            AccessLog(log) => {
                let manager = manager(&mut listener)?;
                manager.insert("access_log".to_owned(), json!([log(site, variant.scene)?]));
            }
        }
    }
    let address = site.listener(variant.scene.network(), index)?;
    set(&mut listener, "name", json!(variant.id()));
    let socket = json!({"socket_address": {"address": address.ip(), "port_value": address.port()}});
    set(&mut listener, "address", socket);
    Ok(listener)
}

/// The listener without any filter to be measured, under the name that EnvoyFilters match.
fn of_scene(scene: Scene, site: &Site, plain: &SidecarConfig) -> Result<Value> {
    let mut listener = plain
        .listeners
        .iter()
        .find(|listener| (listener["name"] == "virtualInbound") == (scene != Scene::Outbound))
        .context("the plain configuration has no such listener")?
        .clone();
    match scene {
        Scene::Direct => {
            let manager = listener.pointer("/filter_chains/0/filters/0/typed_config").cloned().unwrap_or_default();
            set(&mut listener, "listener_filters", json!([]));
            set(&mut listener, "filter_chains", json!([{"filters": [direct_manager(manager)]}]));
        }
        Scene::Hop => {
            if let Some(chains) = listener.get_mut("filter_chains").and_then(Value::as_array_mut) {
                chains.truncate(1); // mutual TLS; the other is for plaintext
            }
        }
        Scene::Outbound => {}
    }
    if scene != Scene::Outbound {
        let filters = listener.pointer_mut("/filter_chains/0/filters").and_then(Value::as_array_mut);
        filters.context("a listener without filters")?.insert(0, native::caller_on_connection(site)?);
    }
    Ok(listener)
}

/// The connection manager with the router alone, and an answer of its own.
fn direct_manager(mut manager: Value) -> Value {
    if let Some(filters) = manager.get_mut("http_filters").and_then(Value::as_array_mut) {
        filters.retain(|filter| filter["name"] == "envoy.filters.http.router");
    }
    let routes = json!({"name": "direct", "virtual_hosts": [{
        "name": "direct",
        "domains": ["*"],
        "routes": [{
            "match": {"prefix": "/"},
            "direct_response": {"status": 200, "body": {"inline_string": body()}},
        }],
    }]});
    set(&mut manager, "route_config", routes);
    json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager})
}

/// Our EnvoyFilters applied to the listener.
fn attach(site: &Site, filters: Vec<PathBuf>, listener: Value) -> Result<Value> {
    let mut config = SidecarConfig { listeners: vec![listener.clone()], clusters: Vec::new(), ..site.plain()? };
    let options = Options { filters, ..Options::default() };
    Attachment::load(&options)?.apply(site.workload(MEASURED)?, &mut config)?;
    for module in config.map_modules(&site.modules) {
        local_mesh::tools::module(&module)?;
    }
    let attached = config.listeners.pop().context("the listener was removed")?;
    ensure!(attached != listener, "the EnvoyFilter changes nothing here");
    Ok(attached)
}

fn manager(listener: &mut Value) -> Result<&mut serde_json::Map<String, Value>> {
    let filters = listener.pointer_mut("/filter_chains/0/filters").and_then(Value::as_array_mut);
    let manager = filters.and_then(|filters| filters.last_mut()?.get_mut("typed_config")?.as_object_mut());
    manager.context("a listener without a connection manager")
}

/// Puts a filter into one of the two lists; before the router for [`BEFORE_ROUTER`].
fn insert(listener: &mut Value, list: &str, at: usize, filter: Value) -> Result<()> {
    let list = match list {
        HTTP_FILTERS => manager(listener)?.get_mut(HTTP_FILTERS),
        _ => listener.pointer_mut("/filter_chains/0/filters"),
    };
    let list = list.and_then(Value::as_array_mut).context("a listener without filters")?;
    list.insert(at.min(list.len().saturating_sub(1)), filter);
    Ok(())
}

fn empty_module(site: &Site, file: &str) -> Value {
    wasm("envoy.extensions.filters.http.wasm.v3.Wasm", site, file)
}

/// As the EnvoyFilter attaches it, on a listener that lacks Envoy's own filter, before which that puts it.
fn with_rules(site: &Site, root_id: &str, module: &Module, rules: &str) -> Result<Value> {
    let path = site.modules.join(module.file);
    local_mesh::tools::module(&path)?;
    let mut filter = wasm("envoy.extensions.filters.http.wasm.v3.Wasm", site, root_id);
    set(&mut filter, "name", json!(format!("remixer.{root_id}")));
    let config = filter.pointer_mut("/typed_config/config").context("a filter without configuration")?;
    set(config, "fail_open", json!(true));
    set(config, "configuration", json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": rules}));
    let code = config.pointer_mut("/vm_config/code/local").context("a filter without code")?;
    set(code, "filename", json!(path));
    Ok(filter)
}

fn caller_module(site: &Site) -> Value {
    wasm("envoy.extensions.filters.network.wasm.v3.Wasm", site, assembly::PEER)
}

fn wasm(type_name: &str, site: &Site, file: &str) -> Value {
    json!({
        "name": format!("bench.{file}"),
        "typed_config": {
            "@type": format!("type.googleapis.com/{type_name}"),
            "config": {
                "root_id": file,
                "vm_config": {
                    "vm_id": file,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": site.assembled.join(file)}},
                },
            },
        },
    })
}

/// Sets a member of an object; anything else is left as it is.
pub fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}
