//! The part of a graph to show: the query parameters of Istio's servicegraph.

use std::collections::HashSet;

use anyhow::{ensure, Result};

use super::model::{Edge, Graph};

/// The part of a graph to show, and the period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    time_horizon: Option<String>,
    filter_empty: bool,
    source_namespace: Option<String>,
    source_workload: Option<String>,
    destination_namespace: Option<String>,
    destination_workload: Option<String>,
}

impl Selection {
    /// From a URL's query. Other parameters are ignored; an empty parameter counts as absent.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self> {
        let mut selection = Self::default();
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            let value = value.clone();
            match name.as_str() {
                "time_horizon" => {
                    let seconds = seconds(&value).filter(|seconds| (1..=31 * 86_400).contains(seconds));
                    ensure!(seconds.is_some(), "time_horizon: `{value}` is no time from 1s to 31d, such as 15s or 5m");
                    selection.time_horizon = Some(value);
                }
                "filter_empty" => selection.filter_empty = value == "true",
                "source_namespace" => selection.source_namespace = Some(value),
                "source_workload" => selection.source_workload = Some(value),
                "destination_namespace" => selection.destination_namespace = Some(value),
                "destination_workload" => selection.destination_workload = Some(value),
                _ => {}
            }
        }
        Ok(selection)
    }

    /// The period in PromQL.
    pub fn horizon(&self) -> &str {
        self.time_horizon.as_deref().unwrap_or("5m")
    }

    /// The selected part of a graph.
    pub fn apply(&self, mut graph: Graph) -> Graph {
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        let at = |id: &str, namespace: &Option<String>, workload: &Option<String>| {
            graph.node(id).is_some_and(|node| is(namespace, &node.namespace) && is(workload, &node.name))
        };
        let is_kept = |edge: &Edge| {
            at(&edge.source, &self.source_namespace, &self.source_workload)
                && at(&edge.target, &self.destination_namespace, &self.destination_workload)
                && !(self.filter_empty && edge.is_empty())
        };
        let edges: Vec<_> = graph.edges.iter().filter(|edge| is_kept(edge)).cloned().collect();
        let ends: HashSet<&str> = edges.iter().flat_map(|edge| [edge.source.as_str(), edge.target.as_str()]).collect();
        graph.nodes.retain(|node| ends.contains(node.id.as_str()));
        graph.edges = edges;
        graph
    }
}

/// A Prometheus duration in seconds, in units of a second or more: `1h30m`.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(unit);
        let factor = match after.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after.get(1..)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_duration_of_prometheus() {
        for (text, expected) in [("15s", Some(15)), ("1h30m", Some(5400)), ("0s", Some(0)), ("1w", Some(604_800))] {
            assert_eq!(seconds(text), expected, "{text}");
        }
        for wrong in ["5", "m", "5ms", "-5m", "5m]) or up", "99999999999999999999s", "5 m"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_name() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let error = Selection::parse(&[pair("time_horizon", "never")]).unwrap_err().to_string();
        assert!(error.contains("time_horizon") && error.contains("`never`"), "{error}");
        assert!(Selection::parse(&[pair("time_horizon", "0s")]).is_err());
        let selection = Selection::parse(&[pair("time_horizon", ""), pair("other", "x")]).unwrap();
        assert_eq!((selection.horizon(), &selection), ("5m", &Selection::default()));
    }
}
