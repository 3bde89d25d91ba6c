//! What a proxy's bootstrap needs for the labels of a stats configuration: `envoy/stats-bootstrap.yaml`, and the like for
//! labels of one's own.

use std::fmt::Write;

use mesh_common::config::ConfigError;
use mesh_common::metric_name::{build_tag_regexes, tag_regex};
use stats::config::Config;
use stats::metrics;

const HEAD: &str = "\
# Labels of the metrics: Envoy has none of its own, so these regular expressions take them out of the stats' names.
#
# A proxy reads its bootstrap when it starts: restart the workloads after applying this. Istio up to 1.17 brings such
# expressions for the standard labels itself; there, leave this file out.
#
# Made by `mesh stats-tags`, which makes it for a stats configuration with other labels, too.
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: remixer-stats-bootstrap
  namespace: istio-system
spec:
  configPatches:
  - applyTo: BOOTSTRAP
    patch:
      operation: MERGE
      value:
        stats_config:
          stats_tags:
";

const BUCKETS: &str = "          histogram_bucket_settings:
          # Istio's buckets, which are also Envoy's; a place to change them.
          - match:
              safe_regex:
                regex: '.*istio_(request_duration_milliseconds|request_bytes|response_bytes)'
            buckets: [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000]
";

/// The EnvoyFilter that makes the labels of `configuration`, which is the JSON of a stats plugin.
pub fn bootstrap(configuration: &[u8]) -> Result<String, ConfigError> {
    let config = Config::parse(configuration)?;
    let mut text = HEAD.to_owned();
    let mut tag = |name: &str, regex: &str| {
        // Writing to a String cannot fail.
        let _ = write!(text, "          - tag_name: {name}\n            regex: '{}'\n", regex.replace('\'', "''"));
    };
    for label in metrics::label_names(&metrics::of_config(&config)?) {
        tag(&label, &tag_regex(&label, &config.separators));
    }
    for (name, regex) in build_tag_regexes() {
        tag(name, &regex);
    }
    text.push_str(BUCKETS);
    Ok(text)
}

/// The labels of `configuration` as Istio takes them in `proxyConfig.extraStatTags` or in the annotation
/// `sidecar.istio.io/extraStatTags`.
pub fn extra_stat_tags(configuration: &[u8]) -> Result<String, ConfigError> {
    let config = Config::parse(configuration)?;
    Ok(metrics::label_names(&metrics::of_config(&config)?).join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_we_ship_is_what_the_standard_labels_need() {
        let shipped = include_str!("../../envoy/stats-bootstrap.yaml");
        assert_eq!(bootstrap(b"").unwrap(), shipped);
    }

    #[test]
    fn labels_of_one_s_own_are_among_them() {
        let configuration = br#"{
            "metrics": [{"dimensions": {"request_method": "request.method"}, "tags_to_remove": ["source_app"]}],
            "value_separator": "=="
        }"#;
        let yaml = bootstrap(configuration).unwrap();
        assert!(yaml.contains(r"regex: '(?:^wasmcustom\.|;\.;)(request_method==(.*?);\.;)'"), "{yaml}");
        assert!(!yaml.contains("tag_name: source_app\n"), "{yaml}");
        let list = extra_stat_tags(configuration).unwrap();
        assert!(list.starts_with("reporter,source_workload,") && list.ends_with(",request_method"), "{list}");
    }

    #[test]
    fn a_configuration_that_the_module_refuses_is_refused() {
        let error = bootstrap(br#"{"metrics": [{"dimensions": {"app": "'x'"}}]}"#).unwrap_err().to_string();
        assert!(error.contains("metrics[0].dimensions.app"), "{error}");
    }
}
