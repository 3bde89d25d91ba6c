//! A query of a table with its variables replaced, and the check of its result.

use local_mesh::Sample;

/// Queries of one consumer: the name of the panel or use, the query, and labels that each returned sample must have,
/// neither empty nor `unknown`.
#[derive(Clone, Copy)]
pub struct Table {
    pub consumer: &'static str,
    pub returns: Returns,
    pub rows: &'static [(&'static str, &'static str, &'static str)],
}

/// The result that a query must have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    /// At least one value above 0.
    More,
    /// At least one sample, which may be 0.
    Any,
    /// No sample; the same with Istio's own telemetry.
    Nothing,
}

/// One query.
pub struct Panel {
    pub name: String,
    pub query: String,
    returns: Returns,
    known: Vec<String>,
}

/// Requests for which some labels may be `unknown`.
struct Excuse {
    /// The requests: their samples have these values, as far as the query keeps these labels.
    of: &'static [(&'static str, &'static str)],
    /// Labels with this prefix may be unknown.
    unknown: &'static str,
}

/// Abbreviations for several labels.
const LABELS: [(&str, &str); 4] = [
    // This one comes first, because the next one is its prefix.
    ("$G+", "$G, request_protocol, response_code, grpc_response_status, response_flags"),
    (
        "$G",
        "source_cluster, source_workload_namespace, source_workload, source_canonical_service, \
         source_canonical_revision, destination_cluster, destination_service_namespace, destination_service, \
         destination_service_name, destination_workload_namespace, destination_workload, destination_canonical_service, \
         destination_canonical_revision",
    ),
    ("$S", "source_workload, source_workload_namespace"),
    ("$D", "destination_workload, destination_workload_namespace"),
];

/// Values for the users' variables.
const VARIABLES: [(&str, &str); 10] = [
    ("$__rate_interval", "1m"),
    ("$interval", "1m"),
    ("$ns", "default"),
    ("$service", "reviews.default.svc.cluster.local"),
    ("$database", "mongodb.default.svc.cluster.local"),
    ("$workload", "reviews-v3"),
    ("$qrep", "source|destination"),
    ("$srcns", ".*"),
    ("$srcwl", ".*"),
    ("$dstsvc", ".*"),
];

/// Abbreviations that turn one row into several queries.
const ALTERNATIVES: [(&str, &[&str]); 5] = [
    ("$quantile", &["0.5", "0.9", "0.95", "0.99"]),
    ("$tls", &[r#"connection_security_policy="mutual_tls""#, r#"connection_security_policy!="mutual_tls""#]),
    ("$size", &["istio_request_bytes", "istio_response_bytes"]),
    ("$bytes", &["istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total"]),
    ("$messages", &["istio_request_messages_total", "istio_response_messages_total"]),
];

/// All labels that may be `unknown`, as with Istio's own telemetry.
const EXCUSES: [Excuse; 4] = [
    // No endpoint was selected: too many requests at once, or no endpoint exists.
    Excuse {
        of: &[
            ("reporter", "source"),
            ("source_workload", "productpage-v1"),
            ("destination_service", "details.default.svc.cluster.local"),
            ("destination_service_name", "details"),
            ("destination_service_namespace", "default"),
            ("destination_workload", "unknown"),
            ("response_code", "503"),
            ("response_flags", "UO"),
        ],
        unknown: "destination_",
    },
    Excuse {
        of: &[
            ("reporter", "source"),
            ("source_workload", "istio-ingressgateway"),
            ("destination_service", "retired.default.svc.cluster.local"),
            ("destination_service_name", "retired"),
            ("destination_service_namespace", "default"),
            ("destination_workload", "unknown"),
            ("response_code", "503"),
            ("response_flags", "UH"),
        ],
        unknown: "destination_",
    },
    // The gateway has no route, and so no cluster. Its Host header does not become a label.
    Excuse {
        of: &[
            ("reporter", "source"),
            ("source_app", "istio-ingressgateway"),
            ("source_workload", "istio-ingressgateway"),
            ("destination_service", "unknown"),
            ("destination_workload", "unknown"),
            ("response_code", "404"),
            ("response_flags", "NR"),
        ],
        unknown: "destination_",
    },
    // A client outside the mesh, without a certificate.
    Excuse {
        of: &[
            ("reporter", "destination"),
            ("source_app", "unknown"),
            ("source_workload", "unknown"),
            ("destination_workload", "productpage-v1"),
            ("destination_service", "productpage.default.svc.cluster.local"),
            ("connection_security_policy", "none"),
            ("response_code", "200"),
        ],
        unknown: "source_",
    },
];

impl Panel {
    /// The queries of a table.
    pub fn of(table: &Table) -> Vec<Self> {
        let mut panels = Vec::new();
        for (name, query, known) in table.rows {
            let known: Vec<String> = fill(known)
                .split([',', ' '])
                // Optional in Kiali, and empty except for gRPC.
                .filter(|label| !label.is_empty() && *label != "grpc_response_status")
                .map(str::to_owned)
                .collect();
            for query in alternatives(query) {
                let name = format!("{}: {name}", table.consumer);
                panels.push(Self { name, query: fill(&query), returns: table.returns, known: known.clone() });
            }
        }
        panels
    }

    /// Whether the required samples exist. Samples that must not exist may still appear.
    pub fn has_data(&self, samples: &[Sample]) -> bool {
        match self.returns {
            Returns::More => samples.iter().any(|sample| sample.value.is_finite() && sample.value > 0.0),
            Returns::Any => !samples.is_empty(),
            Returns::Nothing => true,
        }
    }

    /// The problems in these samples.
    pub fn problems(&self, samples: &[Sample]) -> Vec<String> {
        if self.returns == Returns::Nothing && !samples.is_empty() {
            return vec![format!("returns something: {samples:?}")];
        }
        let mut problems = Vec::new();
        for sample in samples {
            for label in &self.known {
                let value = sample.label(label);
                if value.is_empty() || (value == "unknown" && !excused(sample, label)) {
                    problems.push(format!("{label} is {value:?} in {:?} of {}", sample.labels, self.query));
                }
            }
        }
        problems
    }
}

fn excused(sample: &Sample, label: &str) -> bool {
    EXCUSES.iter().any(|excuse| {
        label.starts_with(excuse.unknown)
            && excuse.of.iter().all(|(name, value)| sample.labels.get(*name).is_none_or(|has| has == value))
    })
}

fn fill(text: &str) -> String {
    LABELS.iter().chain(&VARIABLES).fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

fn alternatives(query: &str) -> Vec<String> {
    ALTERNATIVES.iter().fold(vec![query.to_owned()], |queries, (name, values)| {
        let several = |query: String| match query.contains(name) {
            true => values.iter().map(|value| query.replace(name, value)).collect(),
            false => vec![query],
        };
        queries.into_iter().flat_map(several).collect()
    })
}
