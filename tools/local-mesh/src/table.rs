//! Calls between workloads, with their rates and durations: one block of rows for each edge, from PromQL.

mod layout;
mod row;

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use self::row::{Key, Row};
use crate::exposition::Sample;
use crate::prometheus::Prometheus;

/// The labels that identify an edge. For a request that reached no workload, only the service's name is known.
const EDGE: &str = "reporter, source_workload, destination_workload, destination_service_name";

/// A row of the table, for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Edge {
    source: String,
    destination: String,
    reporter: String,
    #[serde(flatten)]
    row: Row,
}

/// The table as text; `None` if the metrics do not exist.
pub fn render(prometheus: &Prometheus) -> Result<Option<String>> {
    let rows = rows(prometheus)?;
    Ok((!rows.is_empty()).then(|| layout::text(&rows)))
}

/// The rows of the table.
pub fn edges(prometheus: &Prometheus) -> Result<Vec<Edge>> {
    let edge = |(Key { source, destination, reporter }, row)| Edge { source, destination, reporter: reporter.0, row };
    Ok(rows(prometheus)?.into_iter().map(edge).collect())
}

fn rows(prometheus: &Prometheus) -> Result<BTreeMap<Key, Row>> {
    let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
    let by = format!("{EDGE}, destination_version, connection_security_policy");
    let counts = format!("sum by ({by}, response_code, response_flags) (istio_requests_total)");
    for sample in prometheus.query(&counts)? {
        add_requests(rows.entry(key(&sample)).or_default(), &sample);
    }
    for (quantile, slot) in [(0.5, p50 as Slot), (0.99, p99 as Slot)] {
        let buckets = format!("sum by ({EDGE}, le) (istio_request_duration_milliseconds_bucket)");
        for sample in prometheus.query(&format!("histogram_quantile({quantile}, {buckets})"))? {
            if let Some(row) = rows.get_mut(&key(&sample)).filter(|_| sample.value.is_finite()) {
                *slot(row) = Some(sample.value);
            }
        }
    }
    for (metric, slot) in
        [("istio_tcp_connections_opened_total", connections as Total), ("istio_tcp_sent_bytes_total", bytes as Total)]
    {
        for sample in prometheus.query(&format!("sum by ({by}) ({metric})"))? {
            let row = rows.entry(key(&sample)).or_default();
            describe(row, &sample);
            *slot(row) += sample.value;
        }
    }
    rows.retain(|_, row| !row.codes.is_empty() || row.connections > 0.0);
    Ok(rows)
}

type Slot = fn(&mut Row) -> &mut Option<f64>;
type Total = fn(&mut Row) -> &mut f64;

fn p50(row: &mut Row) -> &mut Option<f64> {
    &mut row.p50
}

fn p99(row: &mut Row) -> &mut Option<f64> {
    &mut row.p99
}

fn connections(row: &mut Row) -> &mut f64 {
    &mut row.connections
}

fn bytes(row: &mut Row) -> &mut f64 {
    &mut row.bytes
}

fn key(sample: &Sample) -> Key {
    let destination = match sample.label("destination_workload") {
        "unknown" | "" => format!("({})", sample.label("destination_service_name")),
        workload => workload.to_owned(),
    };
    Key {
        source: sample.label("source_workload").to_owned(),
        destination,
        reporter: std::cmp::Reverse(sample.label("reporter").to_owned()),
    }
}

fn add_requests(row: &mut Row, sample: &Sample) {
    if sample.value <= 0.0 {
        return;
    }
    describe(row, sample);
    let (code, flags) = (sample.label("response_code"), sample.label("response_flags"));
    let shown = if flags == "-" { code.to_owned() } else { format!("{code} {flags}") };
    *row.codes.entry(shown).or_default() += sample.value;
    // A client that left (code 0) counts like a 5xx.
    if !code.starts_with('5') && code != "0" {
        row.succeeded += sample.value;
    }
}

fn describe(row: &mut Row, sample: &Sample) {
    // A peer that did not answer has no version. Another request of the edge has it.
    let version = sample.label("destination_version");
    if row.version.is_empty() || row.version == "unknown" {
        version.clone_into(&mut row.version);
    }
    sample.label("connection_security_policy").clone_into(&mut row.security);
}

#[cfg(test)]
mod tests;
