//! Which proxies a resource is for.

use std::collections::BTreeMap;

use envoy_filter::names::snake;
use envoy_filter::yaml::{Kind, Node};
use serde_json::{json, Value};

use crate::find::at;

/// Istio's root namespace: its resources are for proxies of all namespaces.
const ROOT: &str = "istio-system";

/// What a resource says of its proxies.
#[derive(Debug)]
pub(crate) struct Proxies {
    namespace: String,
    /// What pods must have.
    labels: BTreeMap<String, String>,
    /// Gateways and services.
    targets: Value,
}

impl Proxies {
    /// Those of an EnvoyFilter.
    pub(crate) fn of(document: &Node) -> Self {
        let text = |path: &str| at(document, path).and_then(Node::as_text).unwrap_or_default().to_owned();
        let labels = match at(document, "spec.workloadSelector.labels").map(|node| &node.kind) {
            Some(Kind::Map(entries)) => {
                entries.iter().map(|(name, value)| (name.clone(), value.to_json().to_string())).collect()
            }
            _ => BTreeMap::new(),
        };
        Self { namespace: text("metadata.namespace"), labels, targets: normal(at(document, "spec.targetRefs")) }
    }

    /// Whether all proxies of one of both are the other's, too. That two others may meet is not certain.
    pub(crate) fn meet(&self, other: &Self) -> bool {
        let within = |one: &Self, other: &Self| {
            other.labels.iter().all(|(name, value)| one.labels.get(name) == Some(value))
                && (one.namespace == other.namespace || other.namespace == ROOT)
        };
        self.targets == other.targets && (within(self, other) || within(other, self))
    }
}

/// Which proxies a resource of any kind is for, to compare.
pub(crate) fn proxies(document: &Node) -> Value {
    let fields = ["metadata.namespace", "spec.workloadSelector", "spec.selector", "spec.targetRefs"];
    fields.map(|field| normal(at(document, field))).into_iter().collect()
}

/// Proxies of one kind, among those of a resource.
pub(crate) fn of_kind(document: &Node, patch: &Node, kind: &str) -> String {
    json!([proxies(document), kind, normal(at(patch, "match.proxy"))]).to_string()
}

/// Without positions, and in one spelling.
pub(crate) fn normal(node: Option<&Node>) -> Value {
    fn spelled(value: Value) -> Value {
        match value {
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (snake(&name), spelled(value))).collect(),
            Value::Array(items) => items.into_iter().map(spelled).collect(),
            value => value,
        }
    }
    node.map_or(Value::Null, |node| spelled(node.to_json()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_filter::yaml;

    #[test]
    fn proxies_meet_where_one_selects_all_that_the_other_selects() {
        let of = |namespace: &str, spec: &str| {
            let text = format!("metadata: {{namespace: {namespace}}}\nspec: {{{spec}}}\n");
            Proxies::of(&yaml::documents(&text).unwrap()[0])
        };
        let selecting = |labels: &str| format!("workloadSelector: {{labels: {{{labels}}}}}");
        let targets = "targetRefs: [{kind: Gateway, name: a}]";
        for (one, other, expected) in [
            (of("shop", ""), of("shop", ""), true),
            (of("istio-system", ""), of("shop", &selecting("app: a")), true),
            (of("istio-system", &selecting("app: a")), of("shop", &selecting("app: a, version: v1")), true),
            (of("istio-system", &selecting("app: a, version: v1")), of("shop", &selecting("app: a")), false),
            (of("shop", &selecting("app: a")), of("shop", &selecting("app: b")), false),
            (of("shop", &selecting("app: a")), of("shop", &selecting("version: v1")), false),
            (of("shop", ""), of("depot", ""), false),
            (of("shop", targets), of("shop", ""), false),
            (of("shop", targets), of("shop", targets), true),
        ] {
            assert_eq!((one.meet(&other), other.meet(&one)), (expected, expected), "{one:?} {other:?}");
        }
    }
}
