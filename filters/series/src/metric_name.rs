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

/// The stat name of `metric` with `labels`. Their values must come from [`label_value`], or need no change but at their ends: Envoy
/// drops the dots there, so that two stats would have the same labels.
pub fn encode<'a>(
    separators: &Separators,
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    metric: &str,
) -> String {
    let mut name = String::with_capacity(1024);
    for (label, value) in labels {
        name.push_str(label);
        name.push_str(&separators.value);
        name.push_str(without_final_dots(value));
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
/// newline, where the expressions stop. Separators and control characters are replaced by `_`; long values are cut. Dots at the
/// end are left out, because Envoy drops them: two different results are two different labels. A result does not change again.
pub fn label_value(value: &str, separators: &Separators) -> String {
    let dangerous = [&separators.field, &separators.value].map(|separator| beginning(separator));
    let mut clean = String::with_capacity(value.len().min(MAX_VALUE_BYTES));
    for character in value.chars() {
        if clean.len().saturating_add(character.len_utf8()) > MAX_VALUE_BYTES {
            break;
        }
        clean.push(if character.is_control() { '_' } else { character });
        for beginning in dangerous {
            if clean.ends_with(beginning) && clean.pop().is_some() {
                clean.push('_');
            }
        }
    }
    clean.truncate(without_final_dots(&clean).len());
    clean
}

/// What Envoy leaves of a value. The library's `trim_end_matches` is 1 KB larger.
#[inline(never)]
pub fn without_final_dots(mut value: &str) -> &str {
    while let Some(shorter) = value.strip_suffix('.') {
        value = shorter;
    }
    value
}

/// The beginning of a separator that no value may contain. After it, the rest of the separator might follow in the value, or
/// with the separator behind the value.
fn beginning(separator: &str) -> &str {
    let mut beginning = separator;
    for (end, _) in separator.char_indices().skip(1) {
        let Some((before, rest)) = separator.split_at_checked(end) else { break };
        beginning = before;
        if separator.starts_with(rest) {
            break;
        }
    }
    beginning
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use regex_lite::Regex;
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
            ("a.example..", "a.example"),
            ("...", ""),
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

    /// The label's value that Envoy shows for a stat, by the expression of the bootstrap.
    fn shown(stat: &str, regex: &Regex) -> Option<String> {
        let name = format!("wasmcustom.{stat}");
        Some(regex.captures(&name)?.get(2)?.as_str().trim_end_matches('.').to_owned())
    }

    /// All texts of up to `length` of these characters.
    fn texts(characters: &str, length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut begin = 0;
        for _ in 0..length {
            let end = all.len();
            for index in begin..end {
                all.extend(
                    characters.chars().map(|character| format!("{}{character}", all[index])).collect::<Vec<_>>(),
                );
            }
            begin = end;
        }
        all
    }

    #[test]
    fn no_two_stats_have_the_same_labels() {
        let long = ["", ".", "..", "a", ".a", ";.", "€", "\n"].map(|end| "x".repeat(MAX_VALUE_BYTES - 2) + end);
        for (value, field) in [("=.=", ";.;"), ("==", "|"), ("::", ";;;"), ("!", "-+-+"), (".=", ".;")] {
            let separators = Separators { value: value.into(), field: field.into() };
            let [first, second] =
                ["app", "source_app"].map(|label| Regex::new(&tag_regex(label, &separators)).expect("valid"));
            let characters = format!("aA._\"\\\n{value}{field}").chars().collect::<BTreeSet<_>>();
            let mut values = texts(&characters.into_iter().collect::<String>(), 3);
            values.extend(long.clone());
            values.extend([format!("a{field}app{value}b"), format!("app{value}b{field}"), format!("{field}{field}")]);
            let mut stats = BTreeMap::new();
            for raw in &values {
                let clean = label_value(raw, &separators);
                assert_eq!(label_value(&clean, &separators), clean, "{raw:?} is cleaned twice");
                for other in ["a", clean.as_str()] {
                    let labels = [("source_app", clean.as_str()), ("app", other)];
                    let stat = encode(&separators, labels, "istio_requests_total");
                    let seen = [shown(&stat, &second), shown(&stat, &first)];
                    assert_eq!(seen, [Some(clean.clone()), Some(other.to_owned())], "{raw:?} with {separators:?}");
                    let known = stats.entry(seen).or_insert_with(|| stat.clone());
                    assert_eq!(*known, stat, "{raw:?} with {separators:?}");
                }
            }
        }
    }

    #[test]
    fn a_dot_at_the_end_makes_no_stat_of_its_own() {
        let of = |rule| encode(&Separators::default(), [("rule", rule)], "fault_delays_injected_total");
        assert_eq!(of("v1.2."), of("v1.2"));
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
