//! Traffic shadowing in the local mesh: rules from a file, and the results by mirror.

use std::collections::BTreeMap;

use anyhow::Result;
use configuration::ConfigError;
use shadow::config::ShadowConfig;

use crate::prometheus::Prometheus;
use crate::rule_file::Kind;

/// Rules for the calling proxies, as with a `VirtualService`.
pub const RULES: Kind = Kind { what: "shadows", plugins: &["remixer-shadow", "remixer-shadow-gateway"], names };

fn names(rules: &[u8]) -> Result<Vec<String>, ConfigError> {
    let config = ShadowConfig::parse(rules)?;
    let mirrors = config.rules.iter().flat_map(|rule| &rule.mirrors);
    let names = mirrors.map(|mirror| format!("{} to {}", mirror.name, mirror.cluster));
    Ok(if config.is_idle() { Vec::new() } else { names.collect() })
}

/// The results of a mirror.
#[derive(Debug, Default, PartialEq)]
struct Row {
    sent: f64,
    lost: f64,
    compared: f64,
    matching: f64,
    role: String,
    latency: [Option<f64>; 2],
}

/// The columns and their widths.
const COLUMNS: [(&str, usize); 8] = [
    ("PROXY", 32),
    ("MIRROR", 16),
    ("ROLE", 10),
    ("SENT", 8),
    ("LOST", 6),
    ("MATCH", 9),
    ("P50", 9),
    ("DIFFERENCE", 10),
];

/// A table of the mirrors by proxy: the number of copies sent and skipped, the number of answers that match the originals',
/// and the difference in latency. Empty if there is no mirror.
pub fn render(prometheus: &Prometheus) -> Result<String> {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    let mut each = |query: &str, set: &mut dyn FnMut(&mut Row, f64, &str)| -> Result<()> {
        for sample in prometheus.query(query)? {
            let key = (sample.label("pod").to_owned(), sample.label("mirror").to_owned());
            set(rows.entry(key).or_default(), sample.value, sample.label("role"));
        }
        Ok(())
    };
    each("sum by (pod, mirror) (shadow_requests_total)", &mut |row, value, _| row.sent = value)?;
    for metric in ["shadow_skipped_total", "shadow_dispatch_failed_total"] {
        each(&format!("sum by (pod, mirror) ({metric})"), &mut |row, value, _| row.lost += value)?;
    }
    let compared = r#"shadow_compare_total{result=~"match|.*_mismatch"}"#;
    each(&format!("sum by (pod, mirror, role) ({compared})"), &mut |row, value, role| {
        row.compared = value;
        role.clone_into(&mut row.role);
    })?;
    each(r#"sum by (pod, mirror) (shadow_compare_total{result="match"})"#, &mut |row, value, _| row.matching = value)?;
    for (index, metric) in ["shadow_primary_latency_ms", "shadow_latency_ms"].into_iter().enumerate() {
        let query = format!("histogram_quantile(0.5, sum by (pod, mirror, le) ({metric}_bucket))");
        each(&query, &mut |row, value, _| {
            if let Some(latency) = row.latency.get_mut(index) {
                *latency = Some(value).filter(|value| value.is_finite());
            }
        })?;
    }
    rows.retain(|_, row| row.sent + row.lost > 0.0);
    if rows.is_empty() {
        return Ok(String::new());
    }
    let mut text = line(COLUMNS.map(|(name, _)| name.to_owned()));
    for ((pod, mirror), row) in &rows {
        text.push_str(&line(cells(pod, mirror, row)));
    }
    Ok(text)
}

fn cells(pod: &str, mirror: &str, row: &Row) -> [String; 8] {
    let ratio = match row.compared > 0.0 {
        true => format!("{:.1} %", 100.0 * row.matching / row.compared),
        false => "-".to_owned(),
    };
    let [primary, shadow] = row.latency;
    let milliseconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} ms"));
    let difference = primary.zip(shadow).map(|(primary, shadow)| format!("{:+.1} ms", shadow - primary));
    [
        pod.to_owned(),
        mirror.to_owned(),
        row.role.clone(),
        row.sent.to_string(),
        row.lost.to_string(),
        ratio,
        milliseconds(shadow),
        difference.unwrap_or_else(|| "-".to_owned()),
    ]
}

fn line(cells: [String; 8]) -> String {
    let mut line = String::new();
    for (index, (cell, (_, width))) in cells.iter().zip(COLUMNS).enumerate() {
        // Names are aligned left, numbers right.
        line.push_str(&if index < 3 { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") });
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_how_answers_compare() {
        let row = Row {
            sent: 200.0,
            lost: 3.0,
            compared: 198.0,
            matching: 99.0,
            role: "candidate".to_owned(),
            latency: [Some(2.0), Some(3.25)],
        };
        let cells = cells("productpage-v1", "v3", &row);
        assert_eq!(cells, ["productpage-v1", "v3", "candidate", "200", "3", "50.0 %", "3.2 ms", "+1.2 ms"]);
        assert!(line(cells).ends_with("50.0 %     3.2 ms     +1.2 ms\n"));
    }

    #[test]
    fn rules_are_named_by_what_they_mirror_to() {
        let rules = br#"{"http": [{"name": "r", "mirrors": [{"cluster": "a"}, {"cluster": "b"}]}]}"#;
        assert_eq!(names(rules).unwrap(), ["r-0 to a", "r-1 to b"]);
        assert!(names(b"{}").unwrap().is_empty());
        assert!(names(br#"{"http": [{}]}"#).unwrap().is_empty());
        assert!(names(br#"{"http": [{"mirorrs": []}]}"#).is_err());
    }
}
