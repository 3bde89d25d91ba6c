//! Configurations that are rejected while the proxy runs.

use local_mesh::Update;

use crate::scene::{get, status, Setting};

/// The error, the configuration, and the expected messages.
const REFUSED: [(&str, &str, &[&str]); 5] = [
    (
        "a function that Envoy does not have, and a syntax error: each is named with its text",
        r#"{"metrics": [{"dimensions": {"lower": "request.host.lowerAscii()", "good": "request.method"}},
                        {"name": "requests_total", "dimensions": {"broken": "request.host +"}}]}"#,
        &[
            "2 problems",
            r#"metrics[0].dimensions.lower: \"request.host.lowerAscii()\" is not an expression that Envoy can evaluate"#,
            r#"metrics[1].dimensions.broken: \"request.host +\" is not an expression that Envoy can evaluate"#,
        ],
    ),
    (
        "a value and a condition that do not compile",
        r#"{"definitions": [{"name": "mine", "value": "1 +"}],
            "attributes": [{"output_attribute": "kind", "match": [{"value": "a", "condition": "request.path ="}]}]}"#,
        &[
            r#"definitions[0].value: \"1 +\" is not an expression that Envoy can evaluate"#,
            r#"attributes[0].match[0].condition: \"request.path =\" is not an expression that Envoy can evaluate"#,
        ],
    ),
    (
        "a label that Istio's regular expressions could not tell from a standard one",
        r#"{"metrics": [{"dimensions": {"cluster": "cluster_name"}}]}"#,
        &[
            r#"metrics[0].dimensions.cluster: \"cluster\" and the label \"source_cluster\" end alike"#,
            "the regular expression of one would match the other",
        ],
    ),
    (
        "a label that is how another new one ends",
        r#"{"metrics": [{"dimensions": {"user": "request.headers['user']", "end_user": "request.headers['end-user']"}}]}"#,
        &[r#"metrics[0].dimensions.user: \"user\" and the label \"end_user\" end alike"#],
    ),
    (
        "a change of a metric that there is not",
        r#"{"metrics": [{"name": "istio_requests_total", "drop": true}]}"#,
        &[
            r#"metrics[0].name: \"istio_requests_total\" is not a metric at this point, must be one of requests_total, "#,
        ],
    ),
];

pub fn what_is_refused_leaves_the_old_configuration(envoy: &str) {
    let setting = Setting {
        outbound: r#"{"metrics": [{"name": "requests_total", "dimensions": {"request_method": "request.method"}}]}"#,
        ..Setting::default()
    };
    let mut scene = setting.start(envoy);
    let series = r#"client-v1 istio_requests_total{request_method="GET",response_code="200",labels="26"} 1"#;
    for (name, configuration, reasons) in REFUSED {
        let Update::Refused(log) = scene.push("client-v1", "stats_outbound", configuration) else {
            panic!("{name}: accepted");
        };
        for reason in reasons {
            let reason = reason.replace("\\\"", "\"");
            assert!(log.contains(&reason), "{name}: not said: {reason}\n{log}");
        }
        scene.row(name, |mesh| assert_eq!(status(mesh, get(mesh, "/status/200")), 200), series);
    }
}
