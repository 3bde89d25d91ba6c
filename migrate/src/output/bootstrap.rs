//! The part of the bootstrap that makes labels out of stat names, and histograms' buckets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use mesh_common::{
    labels,
    metric_name::{build_tag_regexes, tag_regex, Separators},
};

use crate::cexl::format_double;

const HEAD: &str = "\
# Labels of the metrics, those of envoy/stats-bootstrap.yaml and those that Mixer's configuration adds: this replaces that
# file. A proxy reads its bootstrap when it starts: restart the workloads after applying it.
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

const STANDARD_BUCKETS: &str = "          - match:
              safe_regex:
                regex: '.*istio_(request_duration_milliseconds|request_bytes|response_bytes)'
            buckets: [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000]
";

/// The resource. `added` are labels besides the standard ones, `buckets` those of metrics by their full names.
pub(super) fn write(added: &BTreeSet<String>, buckets: &BTreeMap<String, Vec<f64>>) -> String {
    let mut yaml = HEAD.to_owned();
    let standard = labels::names();
    let names =
        standard.iter().copied().chain(added.iter().map(String::as_str).filter(|name| !standard.contains(name)));
    let regexes = names.map(|name| (name.to_owned(), tag_regex(name, &Separators::default())));
    let build = build_tag_regexes().map(|(name, regex)| (name.to_owned(), regex));
    for (name, regex) in regexes.chain(build) {
        // Writing to a String cannot fail.
        let _ = write!(yaml, "          - tag_name: {name}\n            regex: '{regex}'\n");
    }
    yaml.push_str("          histogram_bucket_settings:\n");
    for (metric, bounds) in buckets {
        let bounds: Vec<String> = bounds.iter().map(|bound| format_double(*bound)).collect();
        let _ = write!(
            yaml,
            "          - match:\n              safe_regex:\n                regex: 'wasmcustom\\.(.*;\\.;)?{metric}'\n            buckets: [{}]\n",
            bounds.join(", ")
        );
    }
    yaml.push_str(STANDARD_BUCKETS);
    yaml
}
