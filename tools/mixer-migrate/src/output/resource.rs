//! EnvoyFilters in the form of those in `envoy/`.

use std::fmt::Write;

use envoy_filter::MODULES;
use serde_json::Value as Json;

use crate::scene::{Scene, Side};

/// An attached plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plugin {
    /// Metrics of requests.
    Stats,
    /// Metrics of TCP connections.
    TcpStats,
    /// Log of requests.
    AccessLog,
    /// Log of TCP connections.
    TcpAccessLog,
}

impl Plugin {
    fn is_tcp(self) -> bool {
        matches!(self, Self::TcpStats | Self::TcpAccessLog)
    }

    fn is_log(self) -> bool {
        matches!(self, Self::AccessLog | Self::TcpAccessLog)
    }

    /// The name of the resource.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stats => "remixer-mixer-stats",
            Self::TcpStats => "remixer-mixer-tcp-stats",
            Self::AccessLog => "remixer-mixer-access-log",
            Self::TcpAccessLog => "remixer-mixer-tcp-access-log",
        }
    }

    /// The root id, without the side.
    pub(super) fn root(self) -> &'static str {
        match self {
            Self::Stats => "stats",
            Self::TcpStats => "tcp_stats",
            Self::AccessLog => "access_log",
            Self::TcpAccessLog => "tcp_access_log",
        }
    }

    fn filter(self) -> &'static str {
        if self.is_log() {
            "access_log"
        } else {
            "stats"
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Stats => "Mixer's metrics of requests. Last before the router.",
            Self::TcpStats => "Mixer's metrics of TCP connections, on the application's side of metadata exchange.",
            Self::AccessLog => "Mixer's log of requests, one line each on standard output.",
            Self::TcpAccessLog => "Mixer's log of TCP connections, on standard output.",
        }
    }
}

/// The resource that attaches a plugin, with its configuration for each scene. Gateways use the outbound configuration.
pub(super) fn write(namespace: &str, plugin: Plugin, scenes: &[(Scene, Json)]) -> String {
    let mut yaml = format!(
        "# {}\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata:\n  name: {}\n  namespace: {namespace}\n\
         spec:\n",
        plugin.purpose(),
        plugin.name()
    );
    // As in envoy/: logs after metrics, and both on the application's side of metadata exchange.
    let priority = match plugin {
        Plugin::Stats => 0,
        Plugin::AccessLog => 5,
        Plugin::TcpStats => 10,
        Plugin::TcpAccessLog => 15,
    };
    let _ = writeln!(yaml, "  priority: {priority}");
    yaml.push_str("  configPatches:\n");
    for (scene, configuration) in scenes {
        let contexts: &[&str] = match scene.side {
            Side::Inbound => &["SIDECAR_INBOUND"],
            Side::Outbound => &["SIDECAR_OUTBOUND", "GATEWAY"],
        };
        for context in contexts {
            patch(&mut yaml, (namespace, plugin), scene.side, context, configuration);
        }
    }
    yaml
}

/// Writing to a String cannot fail, so the results are ignored.
fn patch(yaml: &mut String, (namespace, plugin): (&str, Plugin), side: Side, context: &str, configuration: &Json) {
    let (apply_to, network) = if plugin.is_tcp() { ("NETWORK_FILTER", "network") } else { ("HTTP_FILTER", "http") };
    let _ = write!(
        yaml,
        "  - applyTo: {apply_to}\n    match:\n      context: {context}\n      listener:\n        filterChain:\n          filter:\n"
    );
    if plugin.is_tcp() {
        yaml.push_str("            name: envoy.filters.network.tcp_proxy\n");
    } else {
        yaml.push_str(
            "            name: envoy.filters.network.http_connection_manager\n            subFilter:\n              name: \
             envoy.filters.http.router\n",
        );
    }
    let side = if side == Side::Inbound { "inbound" } else { "outbound" };
    let (filter, tcp) = (plugin.filter(), if plugin.is_tcp() { "tcp_" } else { "" });
    let root = plugin.root();
    // With its namespace: proxies have the plugins of the mesh, too, and their module tells them apart by their names.
    let name = format!("{}-{namespace}", plugin.name());
    let _ = write!(
        yaml,
        "    patch:\n      operation: INSERT_BEFORE\n      value:\n        name: remixer.{tcp}mixer_{filter}\n        \
         typed_config:\n          \"@type\": type.googleapis.com/envoy.extensions.filters.{network}.wasm.v3.Wasm\n          \
         config:\n            name: {name}\n            root_id: {root}_{side}\n            fail_open: true\n            vm_config:\n              vm_id: \
         remixer\n              runtime: envoy.wasm.runtime.v8\n              code:\n                \
         local:\n                  filename: {MODULES}remixer.wasm\n            configuration:\n              \
         \"@type\": type.googleapis.com/google.protobuf.StringValue\n              value: |-\n"
    );
    let mut configuration = configuration.clone();
    if let (Json::Object(fields), "GATEWAY") = (&mut configuration, context) {
        fields.insert("disable_host_header_fallback".into(), true.into());
    }
    let mut json = String::new();
    write_json(&mut json, &configuration, 0);
    for line in json.lines() {
        let _ = writeln!(yaml, "                {line}");
    }
    if plugin.is_log() {
        logger(yaml, plugin, context, configuration.get("tcp_reporting_duration").and_then(Json::as_str));
    }
}

/// The native logger that prints the module's line; `live` is its interval for live connections.
fn logger(yaml: &mut String, plugin: Plugin, context: &str, live: Option<&str>) {
    let (filter, api) = if plugin.is_tcp() {
        ("tcp_proxy", "tcp_proxy.v3.TcpProxy")
    } else {
        ("http_connection_manager", "http_connection_manager.v3.HttpConnectionManager")
    };
    let _ = write!(
        yaml,
        "  - applyTo: NETWORK_FILTER\n    match:\n      context: {context}\n      listener:\n        filterChain:\n          \
         filter:\n            name: envoy.filters.network.{filter}\n    patch:\n      operation: MERGE\n      value:\n        \
         typed_config:\n          \"@type\": type.googleapis.com/envoy.extensions.filters.network.{api}\n          \
         access_log:\n          - name: remixer.mixer_access_log\n            typed_config:\n              \"@type\": \
         type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog\n              log_format:\n                \
         omit_empty_values: true\n                text_format_source:\n                  inline_string: \
         '%FILTER_STATE(wasm.access_log:PLAIN)%'\n"
    );
    if let Some(interval) = live {
        let _ = write!(
            yaml,
            "          access_log_options:\n            flush_access_log_on_connected: true\n            \
             access_log_flush_interval: {interval}\n"
        );
    }
}

/// Readable JSON: a value that fits is on one line.
fn write_json(text: &mut String, value: &Json, depth: usize) {
    const WIDTH: usize = 100;
    let line = value.to_string();
    let (open, close, items): (char, char, Vec<(Option<&String>, &Json)>) = match value {
        Json::Object(entries) if depth == 0 || line.len() > WIDTH => {
            ('{', '}', entries.iter().map(|(key, value)| (Some(key), value)).collect())
        }
        Json::Array(entries) if line.len() > WIDTH => ('[', ']', entries.iter().map(|value| (None, value)).collect()),
        _ => {
            text.push_str(&escape(&line));
            return;
        }
    };
    let indent = "  ".repeat(depth);
    text.push(open);
    for (index, (key, value)) in items.iter().enumerate() {
        let _ = write!(text, "{}\n{indent}  ", if index == 0 { "" } else { "," });
        if let Some(key) = key {
            let _ = write!(text, "{}: ", escape(&Json::String((*key).clone()).to_string()));
        }
        write_json(text, value, depth + 1);
    }
    let _ = write!(text, "\n{indent}{close}");
}

/// Escapes characters that are line ends in YAML, or are not allowed in YAML. In JSON, they occur only in texts.
fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        let is_plain = !character.is_control()
            && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
        if is_plain {
            escaped.push(character);
        } else {
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        }
    }
    escaped
}
