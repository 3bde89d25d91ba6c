//! Envoy's stats access logger for a stats configuration whose metrics Envoy counts (`envoy_counts`).

use anyhow::{ensure, Context, Result};
use configuration::ConfigError;
use host::MetricKind;
use remixer::filter::PluginFilter;
use serde_json::{json, Value};
use stats::measurement::Family;
use stats::metrics::{MetricSpec, OfEnvoy};
use stats::states::Keys;

use crate::config::SidecarConfig;
use crate::stats_tags::read;

/// Envoy's prefix of what modules define: without it, the names are those that the modules would have given.
const PREFIX: &str = "wasmcustom";

/// Where requests are logged, and where connections are: the filter's name and type.
const CONNECTION_MANAGER: (&str, &str) = (
    "envoy.filters.network.http_connection_manager",
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
);
const TCP_PROXY: (&str, &str) =
    ("envoy.filters.network.tcp_proxy", "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy");

/// Versions of Istio whose Envoy (1.39 or newer) knows the logger's fields. Any other would refuse the listener.
const SINCE: &str = r"^(1\.(3[1-9]|[4-9][0-9])|[2-9])";

/// The access loggers of a connection manager for the JSON of a stats or telemetry plugin.
pub fn of_requests(configuration: &[u8]) -> core::result::Result<Vec<Value>, ConfigError> {
    loggers(configuration, |family| family != Family::Connection)
}

/// The access loggers of a TCP proxy for the JSON of a stats plugin.
pub fn of_connections(configuration: &[u8]) -> core::result::Result<Vec<Value>, ConfigError> {
    loggers(configuration, |family| family == Family::Connection)
}

fn loggers(configuration: &[u8], is_of: impl Fn(Family) -> bool) -> core::result::Result<Vec<Value>, ConfigError> {
    let (config, metrics) = read(configuration)?;
    let keys = Keys::new(&config.envoy_counts.unwrap_or_default());
    let (mut counters, mut histograms) = (Vec::new(), Vec::new());
    let mut loggers = Vec::new();
    for metric in metrics.iter().filter(|metric| is_of(metric.family)) {
        let stat = stat(metric, &keys);
        let Some(number) = metric.of_envoy() else {
            let key = keys.number(metric);
            loggers.push(logger(metric.family, &key, &told(metric, &stat, &key)));
            continue;
        };
        match number {
            OfEnvoy::Fixed(number) => counters.push(json!({"stat": stat, "value_fixed": number})),
            OfEnvoy::Format(format) => histograms.push(json!({"stat": stat, "value_format": format})),
        }
    }
    if !(counters.is_empty() && histograms.is_empty()) {
        let of_all = json!({"counters": counters, "histograms": histograms});
        loggers.insert(0, logger(Family::Request, &keys.counted(), &of_all));
    }
    Ok(loggers)
}

/// A logger for the streams that have the state `key`.
fn logger(family: Family, key: &str, stats: &Value) -> Value {
    let mut config = json!({
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config",
        // Shared, so that what is counted stays when a listener is replaced.
        "stats_scope": {"prefix": PREFIX, "sharing_name": "remixer", "enable_eviction": true},
    });
    if let (Some(config), Some(stats)) = (config.as_object_mut(), stats.as_object()) {
        config.extend(stats.clone());
    }
    let has_state = json!({"extension_filter": {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": format!("filter_state['wasm.{key}'] != ''"),
        },
    }});
    let filter = match family {
        Family::Messages => {
            let header = json!({"name": "content-type", "string_match": {"prefix": "application/grpc"}});
            json!({"and_filter": {"filters": [{"header_filter": {"header": header}}, has_state]}})
        }
        _ => has_state,
    };
    json!({"name": "envoy.access_loggers.stats", "filter": filter, "typed_config": config})
}

/// A metric whose number the module tells.
fn told(metric: &MetricSpec, stat: &Value, key: &str) -> Value {
    let format = format!("%FILTER_STATE(wasm.{key}:PLAIN)%");
    let end = if metric.family == Family::Connection { "TcpConnectionEnd" } else { "DownstreamEnd" };
    match metric.kind {
        MetricKind::Counter => json!({"counters": [{"stat": stat, "value_format": format}]}),
        MetricKind::Histogram => json!({"histograms": [{"stat": stat, "value_format": format}]}),
        MetricKind::Gauge => {
            json!({"gauges": [{"stat": stat, "value_format": format, "set": {"log_type": end}}]})
        }
    }
}

fn stat(metric: &MetricSpec, keys: &Keys) -> Value {
    let tags: Vec<Value> = metric
        .tags
        .iter()
        .map(|tag| {
            let format = format!("%FILTER_STATE(wasm.{}:PLAIN)%", keys.label(&tag.source));
            json!({"name": tag.name, "value_format": format})
        })
        .collect();
    let name = [metric.prefix, &metric.name, metric.suffix].concat();
    json!({"name": name, "tags": tags})
}

/// Makes Envoy the one that counts in a proxy: wherever stats or telemetry are attached, the same place gets the access loggers. The
/// expressions of the bootstrap for labels go.
pub fn count(config: &mut SidecarConfig) -> Result<()> {
    let chains = config.listeners.iter_mut().flat_map(|listener| {
        let mut chains: Vec<&mut Value> = Vec::new();
        if let Some(fields) = listener.as_object_mut() {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("filter_chains", Value::Array(all)) => chains.extend(all),
                    ("default_filter_chain", chain) => chains.push(chain),
                    _ => {}
                }
            }
        }
        chains
    });
    for filters in chains.filter_map(|chain| chain.get_mut("filters").and_then(Value::as_array_mut)) {
        let (mut of_chain, mut of_connections_before) = (Vec::new(), 0);
        for filter in filters {
            let Some(typed) = filter.get_mut("typed_config") else { continue };
            of_chain.extend(counting(typed, of_connections, &mut of_connections_before)?);
            let (mut found, mut before) = (Vec::new(), 0);
            for inner in typed.get_mut("http_filters").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(typed) = inner.get_mut("typed_config") {
                    found.extend(counting(typed, of_requests, &mut before)?);
                }
            }
            let is_tcp_proxy = typed["@type"].as_str().is_some_and(|name| name.ends_with(".TcpProxy"));
            found.extend(if is_tcp_proxy { std::mem::take(&mut of_chain) } else { Vec::new() });
            if !found.is_empty() {
                let fields = typed.as_object_mut().context("a filter without fields")?;
                let log = fields.entry("access_log").or_insert_with(|| json!([]));
                log.as_array_mut().context("access_log is no list")?.extend(found);
            }
        }
    }
    let tags = config.bootstrap.pointer_mut("/stats_config/stats_tags").and_then(Value::as_array_mut);
    tags.into_iter().for_each(|tags| tags.retain(|tag| tag["tag_name"] == "component" || tag["tag_name"] == "tag"));
    Ok(())
}

/// The loggers of a plugin.
type Loggers = fn(&[u8]) -> core::result::Result<Vec<Value>, ConfigError>;

/// Says in the configuration of stats or telemetry that Envoy counts, and returns the loggers for it. Other plugins, and
/// configurations that they refuse, have none. `before` is how many plugins of the same place it was said of.
fn counting(typed: &mut Value, loggers: Loggers, before: &mut usize) -> Result<Vec<Value>> {
    let Some(plugin) = typed.get_mut("config") else { return Ok(Vec::new()) };
    let Some(is_telemetry) = plugin["root_id"].as_str().and_then(is_telemetry) else { return Ok(Vec::new()) };
    let written = plugin.pointer_mut("/configuration/value").context("a plugin without configuration")?;
    let Ok(configuration) = with_flag(written.as_str().unwrap_or_default(), is_telemetry, *before) else {
        return Ok(Vec::new());
    };
    *before = before.saturating_add(1);
    *written = json!(configuration);
    Ok(loggers(configuration.as_bytes()).unwrap_or_default())
}

/// Whether a plugin that counts is telemetry's, or one of stats; `None` for any other.
fn is_telemetry(root_id: &str) -> Option<bool> {
    match PluginFilter::of_root_id(root_id)? {
        PluginFilter::Telemetry => Some(true),
        PluginFilter::Stats => Some(false),
        _ => None,
    }
}

/// The JSON of a configuration with Envoy as the one that counts, for the plugin after as many others of the same place.
fn with_flag(configuration: &str, is_telemetry: bool, before: usize) -> Result<String> {
    const FLAG: &str = "envoy_counts";
    const NAME: &str = "envoy_counts_as";
    if configuration.trim().is_empty() {
        return with_flag("{}", is_telemetry, before);
    }
    let name = (before > 0).then(|| format!("plugin_{}", before.saturating_add(1)));
    if let Ok(mut json) = serde_json::from_str::<Value>(configuration) {
        let fields = json.as_object_mut().context("a configuration that is no object")?;
        let section = if is_telemetry { fields.entry("stats").or_insert_with(|| json!({})) } else { &mut json };
        let fields = section.as_object_mut().context("`stats` is no object")?;
        fields.insert(FLAG.to_owned(), json!(true));
        if let Some(name) = name {
            fields.entry(NAME).or_insert_with(|| json!(name));
        }
        return Ok(json.to_string());
    }
    // Istio's JSON may have a comma too many.
    ensure!(!is_telemetry && !configuration.contains(FLAG), "the configuration is not valid JSON");
    let (head, rest) = configuration.split_once('{').context("a configuration that is no object")?;
    let name = name.map(|name| format!("\"{NAME}\": \"{name}\", ")).unwrap_or_default();
    Ok(format!("{head}{{\"{FLAG}\": true, {name}{rest}"))
}

/// EnvoyFilters as YAML, in which Envoy counts what the plugins of stats and telemetry name: each gets the access loggers beside it.
/// The form is that of our files and of `remixer migrate`.
pub fn attached(source: &str) -> Result<String> {
    const PATCH: &str = "  - applyTo: ";
    let mut out = String::new();
    let mut patch = String::new();
    let (mut anchors, mut attached) = (Vec::new(), Vec::new());
    for line in source.split_inclusive('\n') {
        if line.starts_with(PATCH) || line.starts_with("---") {
            out.push_str(&with_loggers(&std::mem::take(&mut patch), &mut anchors, &mut attached)?);
        }
        if line.starts_with("---") {
            anchors.clear(); // they are of one document
        }
        patch.push_str(line);
    }
    out.push_str(&with_loggers(&patch, &mut anchors, &mut attached)?);
    ensure!(out.contains("envoy.access_loggers.stats"), "nothing here attaches stats or telemetry");
    Ok(out)
}

/// A patch that attaches stats or telemetry, and another one with the loggers; any other as it is.
fn with_loggers(patch: &str, anchors: &mut Vec<Value>, attached: &mut Vec<(String, bool)>) -> Result<String> {
    let field = |name: &str| patch.lines().find_map(|line| line.trim_start().strip_prefix(name));
    let Some(is_telemetry) = field("root_id: ").and_then(is_telemetry) else { return Ok(patch.to_owned()) };
    let is_tcp = field("- applyTo: ") == Some("NETWORK_FILTER");
    let form = "a plugin is not in the form that is known here";
    ensure!(
        !patch.contains(".access_loggers.wasm."),
        "stats as an access logger cannot write filter state: attach it as a filter"
    );
    let context = field("context: ").context(form)?;
    let place = (context.to_owned(), is_tcp);
    let others = attached.iter().filter(|other| **other == place).count();
    attached.push(place);
    let (head, written) = patch.split_once("configuration:\n").context(form)?;
    let indent = |line: &str| line.len().saturating_sub(line.trim_start().len());
    let is_inside =
        |line: &&str| line.trim().is_empty() || indent(line) > indent(head.lines().last().unwrap_or_default());
    let length = written.split_inclusive('\n').take_while(is_inside).map(str::len).sum();
    let (written, below) = written.split_at_checked(length).context(form)?;
    let begin = written.find('{').context(form)?;
    let end = written.rfind('}').context(form)?;
    let (before, json) = written.split_at_checked(begin).context(form)?;
    let (json, after) = json.split_at_checked(end.saturating_add(1).saturating_sub(begin)).context(form)?;
    ensure!(!before.ends_with('"'), "a configuration in double quotes is not known here: use single ones");
    let is_quoted = before.ends_with('\'');
    let unquoted = with_flag(&if is_quoted { json.replace("''", "'") } else { json.to_owned() }, is_telemetry, others)?;
    let counting = if is_quoted { unquoted.replace('\'', "''") } else { unquoted.clone() };
    let after = after.trim_end();
    let loggers = if is_tcp { of_connections(unquoted.as_bytes())? } else { of_requests(unquoted.as_bytes())? };
    let (filter, kind) = if is_tcp { TCP_PROXY } else { CONNECTION_MANAGER };
    let mut yaml = format!(
        "{head}configuration:\n{before}{counting}{after}\n  - applyTo: NETWORK_FILTER
    match:
      context: {context}
      proxy: {{ proxyVersion: '{SINCE}' }}
      listener: {{ filterChain: {{ filter: {{ name: {filter} }} }} }}
    patch:
      operation: MERGE
      value:
        typed_config:
          \"@type\": {kind}
          access_log:\n"
    );
    loggers.iter().for_each(|logger| write_item(&mut yaml, 10, logger, anchors));
    yaml.push_str(below);
    Ok(yaml)
}

/// Writes an entry of a list as YAML; what has no lists is in one line. Labels that were written before are an alias.
fn write_item(yaml: &mut String, indent: usize, value: &Value, anchors: &mut Vec<Value>) {
    yaml.push_str(&" ".repeat(indent));
    yaml.push_str("- ");
    match value {
        Value::Object(fields) if !is_short(value) => {
            write_fields(yaml, indent.saturating_add(2), fields, true, anchors)
        }
        _ => {
            write_flow(yaml, value);
            yaml.push('\n');
        }
    }
}

fn write_fields(
    yaml: &mut String,
    indent: usize,
    fields: &serde_json::Map<String, Value>,
    mut begun: bool,
    anchors: &mut Vec<Value>,
) {
    for (name, value) in fields {
        if !std::mem::take(&mut begun) {
            yaml.push_str(&" ".repeat(indent));
        }
        write_key(yaml, name);
        yaml.push(':');
        match value {
            Value::Object(fields) if !is_short(value) => {
                yaml.push('\n');
                write_fields(yaml, indent.saturating_add(2), fields, false, anchors);
            }
            Value::Array(items) if !is_short(value) => {
                if name == "tags" {
                    let before = anchors.iter().position(|labels| labels == value);
                    let number = before.unwrap_or(anchors.len());
                    yaml.push_str(&format!(" {}labels{number}", if before.is_some() { '*' } else { '&' }));
                    if before.is_some() {
                        yaml.push('\n');
                        continue;
                    }
                    anchors.push(value.clone());
                }
                yaml.push('\n');
                items.iter().for_each(|item| write_item(yaml, indent, item, anchors));
            }
            _ => {
                yaml.push(' ');
                write_flow(yaml, value);
                yaml.push('\n');
            }
        }
    }
}

fn is_short(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => {
            fields.len() < 4 && fields.values().all(|value| !value.is_array() && !value.is_object())
        }
        _ => true,
    }
}

fn write_flow(yaml: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => {
            yaml.push_str("{ ");
            for (index, (name, value)) in fields.iter().enumerate() {
                yaml.push_str(if index == 0 { "" } else { ", " });
                write_key(yaml, name);
                yaml.push_str(": ");
                write_flow(yaml, value);
            }
            yaml.push_str(" }");
        }
        Value::String(text) if is_plain(text) => yaml.push_str(text),
        _ => yaml.push_str(&value.to_string()),
    }
}

/// The name of a field.
fn write_key(yaml: &mut String, name: &str) {
    match name {
        "@type" => yaml.push_str("\"@type\""),
        _ => yaml.push_str(name),
    }
}

/// Whether a text is nothing else in any version of YAML: no number, no boolean.
fn is_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
        && (text.len() > 5 || text.contains('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(name: &str) -> String {
        std::fs::read_to_string(crate::tools::filters().join(name)).unwrap()
    }

    #[test]
    fn the_files_that_we_ship_are_those_of_today_with_envoy_as_the_one_that_counts() {
        for name in ["telemetry.yaml", "tcp-stats.yaml"] {
            let made = attached(&shipped(name)).unwrap();
            assert_eq!(
                made,
                shipped(&format!("envoy-counts/{name}")),
                "remixer stats-logger envoy/{name} makes another"
            );
        }
    }

    #[test]
    fn a_configuration_says_that_envoy_counts() {
        for (json, is_telemetry, expected) in [
            ("", false, r#"{"envoy_counts":true}"#),
            ("{}", true, r#"{"stats":{"envoy_counts":true}}"#),
            ("{\"a\": 1,}", false, "{\"envoy_counts\": true, \"a\": 1,}"),
            (r#"{"stats":{"a": 1}}"#, true, r#"{"stats":{"a":1,"envoy_counts":true}}"#),
            (r#"{"envoy_counts": true}"#, false, r#"{"envoy_counts":true}"#),
        ] {
            assert_eq!(with_flag(json, is_telemetry, 0).unwrap(), expected, "{json}");
        }
        assert!(with_flag("none", false, 0).is_err());
        assert_eq!(with_flag("{}", false, 1).unwrap(), r#"{"envoy_counts":true,"envoy_counts_as":"plugin_2"}"#);
        let named = r#"{"envoy_counts":true,"envoy_counts_as":"mine"}"#;
        assert_eq!(with_flag(named, false, 1).unwrap(), named);
        assert_eq!(
            with_flag("{\"a\": 1,}", false, 2).unwrap(),
            "{\"envoy_counts\": true, \"envoy_counts_as\": \"plugin_3\", \"a\": 1,}"
        );
    }

    #[test]
    fn a_number_that_envoy_does_not_know_is_the_module_s_with_a_logger_of_its_own() {
        let json =
            r#"{"definitions": [{"name": "sizes", "type": "HISTOGRAM", "value": "request.size", "match": "true"}]}"#;
        let loggers = of_requests(json.as_bytes()).unwrap();
        // All that Envoy knows, requests' and responses' messages, and this.
        assert_eq!(loggers.len(), 4);
        let of_sizes = loggers[3]["typed_config"]["histograms"][0].clone();
        assert_eq!(of_sizes["stat"]["name"], "istio_sizes");
        let format = of_sizes["value_format"].as_str().unwrap();
        let expression = loggers[3]["filter"]["extension_filter"]["typed_config"]["expression"].as_str().unwrap();
        let key = format.trim_start_matches("%FILTER_STATE(").trim_end_matches(":PLAIN)%");
        assert!(key.starts_with("wasm.remixer.number."), "{key}");
        assert_eq!(expression, format!("filter_state['{key}'] != ''"));
    }

    #[test]
    fn several_plugins_of_one_place_have_labels_of_their_own() {
        let twice = format!("{}---\n{}", shipped("telemetry.yaml"), shipped("separate/stats.yaml"));
        let made = attached(&twice).unwrap();
        let (first, second) = made.split_once("---").unwrap();
        assert!(first.contains("wasm.remixer.reporter") && !first.contains("plugin_2"), "{first}");
        assert!(
            second.contains("wasm.remixer-plugin_2.reporter") && !second.contains("wasm.remixer.reporter"),
            "{second}"
        );
        assert!(second.contains(r#""envoy_counts_as":"plugin_2""#), "{second}");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let quoted = shipped("telemetry.yaml").replace("value: '{}'", "value: \"{}\"");
        for (source, message) in [
            (shipped("fault-outbound.yaml"), "nothing here attaches"),
            (shipped("separate/stats-logger.yaml"), "as an access logger"),
            (quoted, "double quotes"),
        ] {
            let error = attached(&source).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn what_stands_behind_the_patches_stays_there() {
        let source = shipped("tcp-stats.yaml").trim_end().to_owned();
        let selecting = format!("{source}\n  workloadSelector:\n    labels: {{ a: b }}\n");
        for source in [source, selecting] {
            let made = attached(&source).unwrap();
            let filters = envoy_filter::parse(&[("made.yaml".into(), made)]).unwrap();
            assert_eq!(filters[0].patches.len(), 6);
            assert_eq!(filters[0].workload_selector.is_empty(), !source.contains("workloadSelector"));
        }
    }
}
