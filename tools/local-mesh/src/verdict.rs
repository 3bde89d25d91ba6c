//! Checks whether the telemetry of a mesh is complete: both reporters report every edge, without unknown labels.
//!
//! Istio's contract allows two `unknown` values. A client never knows the `connection_security_policy`. If a peer did not
//! answer, a client knows only what its own configuration says of the endpoint, which includes neither app nor version.

use serde::Serialize;

use crate::exposition::Sample;
use crate::topology::{Edge, Topology};

/// Response flags of requests without an answer of the peer.
const UNANSWERED: [&str; 15] =
    ["LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "FI", "DC", "SI", "NC", "OM", "DR"];

/// Labels that may be unknown for such a peer.
const FROM_THE_PEER: [&str; 3] = ["destination_app", "destination_version", "destination_principal"];

/// A missing item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// `productpage-v1 -> details-v1`.
    pub edge: String,
    /// What is missing, and its reporter.
    pub what: String,
}

/// Everything that is missing in the request counters (HTTP edges) and connection counters (TCP edges).
pub fn missing(topology: &Topology, requests: &[Sample], connections: Option<&[Sample]>) -> Vec<Missing> {
    let mut found = Vec::new();
    for edge in topology.edges() {
        let samples = if edge.service.is_http() { Some(requests) } else { connections };
        if let Some(samples) = samples {
            for reporter in ["source", "destination"] {
                check(&edge, reporter, samples, &mut found);
            }
        }
    }
    found.extend(requests.iter().chain(connections.into_iter().flatten()).filter_map(stray));
    found
}

/// Whether neither code nor flags come from the peer.
pub fn is_unanswered(sample: &Sample) -> bool {
    sample.label("response_flags").split(',').any(|flag| UNANSWERED.contains(&flag))
}

fn check(edge: &Edge<'_>, reporter: &str, samples: &[Sample], found: &mut Vec<Missing>) {
    let name = format!("{} -> {}", edge.source.name, edge.destination.name);
    let wanted = [
        ("reporter", reporter),
        ("source_workload", &edge.source.name),
        ("source_workload_namespace", &edge.source.namespace),
        ("destination_workload", &edge.destination.name),
        ("destination_workload_namespace", &edge.destination.namespace),
    ];
    let seen: Vec<&Sample> = samples.iter().filter(|sample| sample.has(&wanted) && sample.value > 0.0).collect();
    if !seen.iter().any(|sample| !is_unanswered(sample)) {
        found.push(Missing { edge: name.clone(), what: format!("not seen by reporter {reporter}") });
    }
    let mut labels: Vec<(&str, &str)> = seen.iter().flat_map(|sample| unknown_labels(sample, reporter)).collect();
    labels.sort_unstable();
    labels.dedup();
    for (label, flags) in labels {
        let what = format!("label {label} is `unknown` in what reporter {reporter} says (response_flags {flags})");
        found.push(Missing { edge: name.clone(), what });
    }
}

fn unknown_labels<'a>(sample: &'a Sample, reporter: &str) -> Vec<(&'a str, &'a str)> {
    let from_source = reporter == "source";
    let may_be = |label: &str| {
        from_source
            && (label == "connection_security_policy" || (is_unanswered(sample) && FROM_THE_PEER.contains(&label)))
    };
    let unknown = sample.labels.iter().filter(|(label, value)| *value == "unknown" && !may_be(label));
    unknown.map(|(label, _)| (label.as_str(), sample.label("response_flags"))).collect()
}

/// An answered request with one unknown end belongs to no edge. Nothing in the mesh should cause one.
fn stray(sample: &Sample) -> Option<Missing> {
    let end = match sample.label("reporter") {
        "source" => "destination_workload",
        _ => "source_workload",
    };
    let is_stray = sample.label(end) == "unknown" && !is_unanswered(sample) && sample.value > 0.0;
    is_stray.then(|| Missing {
        edge: format!("{} -> {}", sample.label("source_workload"), sample.label("destination_workload")),
        what: format!(
            "reporter {} counts {} for service {} with {end} `unknown` (code {}, response_flags {})",
            sample.label("reporter"),
            sample.value,
            sample.label("destination_service_name"),
            sample.label("response_code"),
            sample.label("response_flags"),
        ),
    })
}

#[cfg(test)]
mod tests;
