//! The bootstrap settings: the EnvoyFilter (as text) with the expressions that split labels from stat names, and the
//! bootstrap patches of EnvoyFilters in the form that Istio accepts.

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

/// Istio's buckets for its own histograms.
const BUCKETS: [&str; 2] = [
    // The name of what the module counts ends here; where Envoy counts, labels come after it.
    r".*istio_(request_duration_milliseconds|request_bytes|response_bytes)(\..*)?",
    "0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000",
];

/// The bootstrap patches of `filters`, for Envoy to merge into any bootstrap (`--config-yaml`).
///
/// Istio since 1.21 does not apply such patches, and before 1.21 only if its agent is configured to. But all releases
/// accept this form in a ConfigMap: a pod names it in the annotation `sidecar.istio.io/bootstrapOverride`, and the key is
/// `custom_bootstrap.json`.
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
    each_expression_once(&mut all);
    Ok(all)
}

/// Labels of several filters may have one name, and so one expression. Envoy would try it twice.
fn each_expression_once(bootstrap: &mut Value) {
    let Some(tags) = bootstrap.pointer_mut("/stats_config/stats_tags").and_then(Value::as_array_mut) else { return };
    let mut known = Vec::new();
    tags.retain(|tag| {
        let is_new = !known.contains(tag);
        if is_new {
            known.push(tag.clone());
        }
        is_new
    });
}

/// The EnvoyFilter. `comment` becomes comment lines at its beginning. `tags` are label names with their expressions.
/// `settings` are lines of YAML before Istio's own buckets, as written by [`bucket_setting`].
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

/// The buckets of histograms whose names match `regex`: the upper bounds, separated by commas.
pub fn bucket_setting(regex: &str, bounds: &str) -> String {
    format!(
        "          - match:\n              safe_regex:\n                regex: '{regex}'\n            buckets: [{bounds}]\n"
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn an_expression_that_two_filters_have_is_merged_once() {
        let filter = |names: [&str; 2]| {
            let tags = names.map(|name| (name.to_owned(), format!("({name})")));
            (PathBuf::from("x.yaml"), stats_bootstrap("", tags, "").replace("remixer-stats", names[0]))
        };
        let filters = crate::parse(&[filter(["rule", "result"]), filter(["mirror", "result"])]).unwrap();
        let merged = bootstrap_override(&filters).unwrap();
        let tags = merged["stats_config"]["stats_tags"].as_array().unwrap();
        let names: Vec<&Value> = tags.iter().map(|tag| &tag["tag_name"]).collect();
        assert_eq!(names, ["rule", "result", "mirror"]);
    }
}
