//! Your own metrics, in addition to those that every mesh has.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::exposition::Sample;
use crate::prometheus::Prometheus;

/// All metrics except Envoy's, Prometheus' and our standard ones; only the count of a histogram.
const QUERY: &str = "{job=\"envoy-stats\", __name__!~\"envoy_.*|up|scrape_.*|metadata_exchange_.*|stats_.*|fault_.*|shadow_.*|istio_build|.*_bucket|.*_sum|\
     istio_(requests_total|request_duration_milliseconds_count|request_bytes_count|response_bytes_count|.*_messages_total|tcp_.*_total)\"}";

/// Labels that Prometheus adds to each series of a proxy.
const OF_THE_TARGET: [&str; 5] = ["app", "instance", "job", "namespace", "pod"];

/// Most series shown.
const SHOWN: usize = 12;

/// The series as text, summed over all proxies; `None` if there are none.
pub fn render(prometheus: &Prometheus) -> Result<Option<String>> {
    let mut series: BTreeMap<String, f64> = BTreeMap::new();
    for sample in prometheus.query(QUERY)? {
        *series.entry(name(&sample)).or_default() += sample.value;
    }
    if series.is_empty() {
        return Ok(None);
    }
    let mut text: String = series.iter().take(SHOWN).map(|(name, value)| format!("{name} {value}\n")).collect();
    if series.len() > SHOWN {
        text.push_str(&format!("and {} more\n", series.len() - SHOWN));
    }
    Ok(Some(text))
}

/// `istio_calls{method="GET"}`.
fn name(sample: &Sample) -> String {
    let labels: Vec<String> = sample
        .labels
        .iter()
        .filter(|(name, _)| !OF_THE_TARGET.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{}{{{}}}", sample.name, labels.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_named_without_its_proxy() {
        let labels = [("pod", "a-1"), ("method", "GET"), ("job", "envoy-stats")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let sample = Sample { name: "istio_calls".to_owned(), labels, value: 1.0 };
        assert_eq!(name(&sample), "istio_calls{method=\"GET\"}");
    }
}
