//! The bootstrap settings: expressions that split labels from stat names, and buckets of histograms.

use std::collections::{BTreeMap, BTreeSet};

use envoy_filter::{bucket_setting, stats_bootstrap};
use series::metric_name::{build_tag_regexes, tag_regex, Separators};

use crate::cexl::format_double;

const COMMENT: &str = "\
Labels of the metrics, those of envoy/stats-bootstrap.yaml and those that Mixer's configuration adds: this replaces that
file. A proxy reads its bootstrap when it starts: restart the workloads after applying it. Istio since 1.21 applies no EnvoyFilter to the
bootstrap: there, make a ConfigMap of this by `remixer bootstrap`.";

/// The resource. `added` are labels in addition to the standard ones; `buckets` are by full metric name.
pub(super) fn write(added: &BTreeSet<String>, buckets: &BTreeMap<String, Vec<f64>>) -> String {
    let standard = labels::names();
    let names =
        standard.iter().copied().chain(added.iter().map(String::as_str).filter(|name| !standard.contains(name)));
    let regexes = names.map(|name| (name.to_owned(), tag_regex(name, &Separators::default())));
    let build = build_tag_regexes().map(|(name, regex)| (name.to_owned(), regex));
    let settings: String = buckets
        .iter()
        .map(|(metric, bounds)| {
            let bounds: Vec<String> = bounds.iter().map(|bound| format_double(*bound)).collect();
            bucket_setting(&format!(r"wasmcustom\.(.*;\.;)?{metric}(\..*)?"), &bounds.join(", "))
        })
        .collect();
    stats_bootstrap(COMMENT, regexes.chain(build), &settings)
}
