//! The bootstrap settings for the labels of a stats configuration: `envoy/stats-bootstrap.yaml`, or the same for your own
//! labels.

use configuration::ConfigError;
use envoy_filter::stats_bootstrap;
use serde_json::Value;
use series::metric_name::{build_tag_regexes, tag_regex, Separators};
use stats::config::StatsConfig;
use stats::metrics::{self, MetricSpec};

const COMMENT: &str = "\
Labels of the metrics. Envoy's stats have no labels; these regular expressions extract them from the stats' names.

A proxy reads its bootstrap when it starts: restart the workloads after applying this. Istio since 1.21 applies no EnvoyFilter to the
bootstrap, and earlier versions do so only if their agents are configured for it. There, make a ConfigMap of this file with
`remixer bootstrap`, or take it from a release. Istio up to 1.17 has such expressions for the standard labels itself; there, leave this file out.

Made by `remixer stats-tags`, which also makes it for a stats configuration with other labels.";

/// The lines before the buckets.
const BUCKETS: &str = "          # Istio's buckets, which are also Envoy's. Change them here.\n";

/// The EnvoyFilter for the labels of `configurations`. Each is the JSON of a stats or telemetry plugin. Pass all
/// configurations that one proxy may run, for example for inbound and for outbound.
pub fn bootstrap(configurations: &[&[u8]]) -> Result<String, ConfigError> {
    Ok(stats_bootstrap(COMMENT, tags(configurations)?, BUCKETS))
}

/// The names of those labels, each with the regular expression that takes it out of a stat's name.
pub fn tags(configurations: &[&[u8]]) -> Result<Vec<(String, String)>, ConfigError> {
    let mut written: Vec<(String, String)> = Vec::new();
    for configuration in configurations {
        let (labels, separators) = labels(configuration)?;
        written.extend(labels.into_iter().map(|label| {
            let regex = tag_regex(&label, &separators);
            (label, regex)
        }));
    }
    written.extend(build_tag_regexes().map(|(name, regex)| (name.to_owned(), regex)));
    let mut tags: Vec<(String, String)> = Vec::new();
    for tag in written {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// The labels of `configurations` in the form of Istio's `proxyConfig.extraStatTags` and of the annotation
/// `sidecar.istio.io/extraStatTags`.
pub fn extra_stat_tags(configurations: &[&[u8]]) -> Result<String, ConfigError> {
    let mut all: Vec<String> = Vec::new();
    for configuration in configurations {
        let (labels, _) = labels(configuration)?;
        let new: Vec<String> = labels.into_iter().filter(|label| !all.contains(label)).collect();
        all.extend(new);
    }
    Ok(all.join(","))
}

/// The labels of a configuration's metrics, and the separators.
fn labels(configuration: &[u8]) -> Result<(Vec<String>, Separators), ConfigError> {
    let (config, metrics) = read(configuration)?;
    Ok((metrics::label_names(&metrics), config.separators))
}

/// A configuration, and its metrics.
pub fn read(configuration: &[u8]) -> Result<(StatsConfig, Vec<MetricSpec>), ConfigError> {
    let mut problems = Vec::new();
    let config = if is_telemetry(configuration) {
        remixer::config::TelemetryConfig::parse_with(configuration, &mut problems).stats
    } else {
        StatsConfig::parse_with(configuration, &mut problems)
    };
    let metrics = metrics::of_config(&config, &mut problems);
    ConfigError::unless_empty(problems)?;
    Ok((config, metrics))
}

/// Whether a configuration is telemetry's, with one section for each filter.
fn is_telemetry(configuration: &[u8]) -> bool {
    let Ok(Value::Object(fields)) = serde_json::from_slice(configuration) else {
        return false;
    };
    ["stats", "metadata_exchange", "share_peers"].iter().any(|name| fields.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_we_ship_is_what_the_standard_labels_need() {
        let shipped = include_str!("../../../envoy/stats-bootstrap.yaml");
        assert_eq!(bootstrap(&[b""]).unwrap(), shipped);
    }

    #[test]
    fn labels_of_one_s_own_are_among_them() {
        let configuration = br#"{
            "metrics": [{"dimensions": {"request_method": "request.method"}, "tags_to_remove": ["source_app"]}],
            "value_separator": "=="
        }"#;
        let yaml = bootstrap(&[configuration]).unwrap();
        assert!(yaml.contains(r"regex: '^wasmcustom\.(?:.*?;\.;)?(request_method==(.*?);\.;)'"), "{yaml}");
        assert!(!yaml.contains("tag_name: source_app\n"), "{yaml}");
        let list = extra_stat_tags(&[configuration]).unwrap();
        assert!(list.starts_with("reporter,source_workload,") && list.ends_with(",request_method"), "{list}");
    }

    #[test]
    fn telemetry_has_the_labels_of_its_stats() {
        let stats = r#"{"metrics": [{"dimensions": {"request_method": "request.method"}}]}"#;
        let telemetry = format!(r#"{{"share_peers": true, "stats": {stats}}}"#);
        assert_eq!(bootstrap(&[telemetry.as_bytes()]), bootstrap(&[stats.as_bytes()]));
        let error = bootstrap(&[br#"{"stats": {"max_series": 1}}"#]).unwrap_err().to_string();
        assert!(error.contains("stats.max_series: 1 is not allowed"), "{error}");
    }

    #[test]
    fn the_labels_of_several_configurations_are_taken_together() {
        let inbound = br#"{"metrics": [{"dimensions": {"only_inbound": "'a'"}}]}"#;
        let outbound = br#"{"metrics": [{"dimensions": {"only_outbound": "'b'"}, "tags_to_remove": ["source_app"]}]}"#;
        let yaml = bootstrap(&[inbound, outbound]).unwrap();
        for label in ["source_app", "only_inbound", "only_outbound", "component"] {
            assert_eq!(yaml.matches(&format!("tag_name: {label}\n")).count(), 1, "{label}");
        }
        assert!(extra_stat_tags(&[inbound, outbound]).unwrap().ends_with(",only_inbound,only_outbound"));
    }

    #[test]
    fn a_configuration_that_the_module_refuses_is_refused() {
        let error = bootstrap(&[br#"{"metrics": [{"dimensions": {"app": "'x'"}}]}"#]).unwrap_err().to_string();
        assert!(error.contains("metrics[0].dimensions.app"), "{error}");
    }
}
