//! Encodes a metric and its labels as the name of an Envoy stat, and makes the regular expressions that decode it.
//!
//! Envoy's stats have no labels. Istio writes `label=.=value;.;` pairs before the metric's name; regular expressions in the
//! bootstrap (`stats_tags`) extract them for Prometheus.

/// The separators of labels and values in a stat name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Separators {
    /// Between a label's name and its value.
    pub value: String,
    /// After a label's value.
    pub field: String,
}

impl Default for Separators {
    fn default() -> Self {
        Self { value: "=.=".into(), field: ";.;".into() }
    }
}

/// Envoy's prefix of metrics that a wasm module defines, as a regular expression.
const ENVOY_PREFIX: &str = "wasmcustom\\.";

/// Longer label values are cut here. Names of hosts and workloads have at most 253 bytes.
pub const MAX_VALUE_BYTES: usize = 256;

/// The stat name of `metric` with `labels`. Their values must come from [`label_value`].
pub fn encode<'a>(
    separators: &Separators,
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    metric: &str,
) -> String {
    let mut name = String::with_capacity(1024);
    for (label, value) in labels {
        name.push_str(label);
        name.push_str(&separators.value);
        name.push_str(value);
        name.push_str(&separators.field);
    }
    name.push_str(metric);
    name
}

/// The stat name of `istio_build`, for which Istio has a special encoding.
pub fn build(version: &str) -> String {
    format!("component.proxy.tag.{};.istio_build", label_value(version, &Separators::default()))
}

/// The stat name of `metric` with the label `component` of `istio_build`, which every proxy's bootstrap has an expression for.
/// A dot would end the value.
pub fn of_component(component: &str, metric: &str) -> String {
    let mut name = String::from("component.");
    let value = label_value(component, &Separators::default());
    name.extend(value.chars().map(|character| if character == '.' { '_' } else { character }));
    name.push('.');
    name.push_str(metric);
    name
}

/// The regular expression that extracts `label` from a stat name.
///
/// The first group is removed from the name, the second is the label's value. The part before the first group prevents a
/// match inside another label's name or inside a value. It begins with a complete part of the name, so Envoy tries it only
/// on our metrics, and not on the thousands of stats that it makes when it starts.
pub fn tag_regex(label: &str, separators: &Separators) -> String {
    let (value, field) = (escape(&separators.value), escape(&separators.field));
    format!("^{ENVOY_PREFIX}(?:.*?{field})?({label}{value}(.*?){field})")
}

/// A regular expression that matches exactly `text`.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if r"\^$.|?*+()[]{}".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The labels of [`build`], with the regular expressions that extract them.
pub fn build_tag_regexes() -> [(&'static str, String); 2] {
    [
        ("component", format!("^{ENVOY_PREFIX}(component\\.(.*?)\\.)")),
        ("tag", format!("^{ENVOY_PREFIX}component\\.[^.]+\\.(tag\\.(.*?);\\.)")),
    ]
}

/// Makes `value` safe for a stat name.
///
/// Peers and clients choose values. A value must not end early and forge the labels after it, and must not contain a
/// newline, where the expressions stop. Separators and control characters are replaced by `_`; long values are cut.
pub fn label_value(value: &str, separators: &Separators) -> String {
    let mut clean = String::with_capacity(value.len().min(MAX_VALUE_BYTES));
    for character in value.chars() {
        if clean.len().saturating_add(character.len_utf8()) > MAX_VALUE_BYTES {
            break;
        }
        clean.push(if character.is_control() { '_' } else { character });
        for separator in [&separators.field, &separators.value] {
            break_separator(&mut clean, separator);
        }
    }
    clean
}

/// Replaces the last character of `text` if it could be part of a separator. If `text` ends with a separator without its
/// last character, the next character might complete it.
fn break_separator(text: &mut String, separator: &str) {
    let mut characters = separator.chars();
    characters.next_back();
    let beginning = characters.as_str();
    let dangerous = if beginning.is_empty() { separator } else { beginning };
    if text.ends_with(dangerous) && text.pop().is_some() {
        text.push('_');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_are_encoded_as_istio_does() {
        let labels = [("reporter", "source"), ("source_workload", "productpage-v1"), ("grpc_response_status", "")];
        assert_eq!(
            encode(&Separators::default(), labels, "istio_requests_total"),
            "reporter=.=source;.;source_workload=.=productpage-v1;.;grpc_response_status=.=;.;istio_requests_total"
        );
        assert_eq!(build("1.5.0"), "component.proxy.tag.1.5.0;.istio_build");
        assert_eq!(of_component("fault/my.name\n", "refused"), "component.fault/my_name_.refused");
    }

    #[test]
    fn values_cannot_forge_labels() {
        for (value, expected) in [
            ("reviews.default.svc.cluster.local:9080", "reviews.default.svc.cluster.local:9080"),
            ("x;.;reporter=.=source", "x;_;reporter=_=source"),
            ("ends;.", "ends;_"),
            ("two\nlines\u{7f}", "two_lines_"),
            ("{}$%\"\\/ü", "{}$%\"\\/ü"),
        ] {
            assert_eq!(label_value(value, &Separators::default()), expected);
        }
    }

    #[test]
    fn values_cannot_hold_the_operator_s_separators() {
        let separators = Separators { value: "==".into(), field: "|".into() };
        assert_eq!(label_value("a|reporter==source|=", &separators), "a_reporter__source__");
        assert_eq!(tag_regex("app", &separators), r"^wasmcustom\.(?:.*?\|)?(app==(.*?)\|)");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(label_value(&"x".repeat(1000), &Separators::default()).len(), MAX_VALUE_BYTES);
        assert_eq!(label_value(&"€".repeat(1000), &Separators::default()).len(), MAX_VALUE_BYTES - 1);
    }

    #[test]
    fn regexes_are_anchored_outside_the_removed_part() {
        assert_eq!(
            tag_regex("source_app", &Separators::default()),
            r"^wasmcustom\.(?:.*?;\.;)?(source_app=\.=(.*?);\.;)"
        );
    }
}
