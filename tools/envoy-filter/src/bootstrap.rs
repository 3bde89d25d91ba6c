//! What the bootstrap needs: the part that takes labels out of stat names, as the text of an EnvoyFilter; and what EnvoyFilters have
//! for the bootstrap, in the form that Istio takes.

use std::fmt::Write;

use serde_json::{json, Value};

use crate::merge::{self, Lists};
use crate::problem::Problem;
use crate::resource::{ApplyTo, EnvoyFilter};

const HEAD: &str = "\
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

/// Istio's, of its histograms.
const BUCKETS: [&str; 2] = [
    ".*istio_(request_duration_milliseconds|request_bytes|response_bytes)",
    "0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000",
];

/// What the patches of `filters` for the bootstrap come to, for Envoy to merge into whatever bootstrap it has (`--config-yaml`).
///
/// Istio since 1.21 applies no such patches, and before only if its agents were told to. But it has always taken this
/// from a ConfigMap that a pod names in the annotation `sidecar.istio.io/bootstrapOverride`, under `custom_bootstrap.json`.
pub fn bootstrap_override(filters: &[EnvoyFilter]) -> Result<Value, Problem> {
    let mut all = json!({});
    for filter in filters {
        for patch in filter.patches.iter().filter(|patch| patch.apply_to == ApplyTo::Bootstrap) {
            merge::message(&mut all, &patch.value, Lists::Append).map_err(|conflict| Problem {
                line: Some(patch.line),
                ..Problem::of_file(&filter.file, format!("{} {}", conflict.path, conflict.reason))
            })?;
        }
    }
    Ok(all)
}

/// The EnvoyFilter, with `comment` at its head, a line for each of it. `tags` are names and expressions of labels; `settings` are lines
/// of YAML that come before Istio's own buckets, as [`bucket_setting`] makes them.
pub fn stats_bootstrap(comment: &str, tags: impl IntoIterator<Item = (String, String)>, settings: &str) -> String {
    let mut yaml = String::new();
    // Writing to a String cannot fail.
    for line in comment.lines() {
        let _ = writeln!(yaml, "{}", format!("# {line}").trim_end());
    }
    yaml.push_str(HEAD);
    for (name, regex) in tags {
        let _ = write!(yaml, "          - tag_name: {name}\n            regex: '{}'\n", regex.replace('\'', "''"));
    }
    let [regex, bounds] = BUCKETS;
    let _ = write!(yaml, "          histogram_bucket_settings:\n{settings}{}", bucket_setting(regex, bounds));
    yaml
}

/// The buckets of histograms whose names match `regex`: their upper bounds, with commas between.
pub fn bucket_setting(regex: &str, bounds: &str) -> String {
    format!(
        "          - match:\n              safe_regex:\n                regex: '{regex}'\n            buckets: [{bounds}]\n"
    )
}
