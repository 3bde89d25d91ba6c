//! The migration of users' tutorials and of Istio's own configuration.

use serde_json::json;

use super::{codes, migrate, migrate_with, plugin, HTTP_IN, HTTP_OUT, TCP_IN, TCP_OUT};
use crate::{defaults::Version, migration::Migration, output::Plugin, scene::Scene, Options, Unit};

const DOUBLE: &str = include_str!("../../testdata/tutorials/double-request-count.yaml");
const CUSTOMER: &str = include_str!("../../testdata/tutorials/customer-request-count.yaml");
const NEWLOG: &str = include_str!("../../testdata/tutorials/newlog-stdio.yaml");
const FLUENTD: &str = include_str!("../../testdata/tutorials/newlog-fluentd.yaml");

/// The first definition of a metric.
fn definition<'m>(migration: &'m Migration, kind: Plugin, scene: Scene, metric: &str) -> &'m serde_json::Value {
    let definitions = plugin(migration, kind, scene)["definitions"].as_array().unwrap();
    definitions.iter().find(|definition| definition["name"] == metric).unwrap()
}

/// The changes of a metric's labels.
fn change<'m>(migration: &'m Migration, kind: Plugin, scene: Scene, metric: &str) -> &'m serde_json::Value {
    let changes = plugin(migration, kind, scene)["metrics"].as_array().unwrap();
    changes.iter().find(|change| change["name"] == metric).unwrap_or(&serde_json::Value::Null)
}

#[test]
fn the_double_request_count_counts_by_two_on_both_sides() {
    let migration = migrate(DOUBLE);
    assert_eq!(codes(&migration), ["W-TCP-DROPPED", "W-SOURCE-SERVICE"]);
    for scene in [HTTP_IN, HTTP_OUT] {
        let configuration = plugin(&migration, Plugin::Stats, scene);
        let labels =
            json!({"source": "'unknown'", "destination": "destination_service", "message": "'twice the fun!'"});
        let expected = json!([{"name": "double_request_count", "type": "COUNTER", "value": "2", "dimensions": labels}]);
        assert_eq!(configuration["definitions"], expected);
        assert_eq!(change(&migration, Plugin::Stats, scene, "requests_total")["drop"], true);
    }
}

#[test]
fn the_customer_request_count_has_its_labels() {
    let migration = migrate(CUSTOMER);
    assert_eq!(codes(&migration), ["W-TCP-DROPPED", "W-CARDINALITY", "W-CARDINALITY"]);
    let labels = json!({
        "method": "request.method",
        "path": "request.path",
        "useragent": "request.useragent",
        "destination": "destination_service_name",
        "code": "response.code | '500'",
    });
    assert_eq!(definition(&migration, Plugin::Stats, HTTP_OUT, "customer_request_count")["dimensions"], labels);
    let parity = migrate_with(CUSTOMER, &Options { tcp_parity: true, ..Options::default() });
    let dimensions = &definition(&parity, Plugin::TcpStats, TCP_IN, "customer_request_count")["dimensions"];
    assert_eq!((&dimensions["method"], &dimensions["code"]), (&json!("'unknown'"), &json!("'200'")));
}

#[test]
fn the_new_log_has_mixer_s_types() {
    let migration = migrate(NEWLOG);
    assert_eq!(codes(&migration), ["W-SOURCE-SERVICE"]);
    assert_eq!(
        *plugin(&migration, Plugin::AccessLog, HTTP_IN),
        json!({
            "preset": "MIXER",
            "disable_host_header_fallback": true,
            "instance": "newlog.logentry.istio-system",
            "level": "warn",
            "only_fields": ["destination", "latency", "responseCode", "responseSize", "source", "user"],
            "fields": [
                {"name": "destination", "value": "has(xds.node.metadata.LABELS) && 'app' in xds.node.metadata.LABELS ? \
                    xds.node.metadata.LABELS['app'] : (has(xds.cluster_metadata) && 'istio' in \
                    xds.cluster_metadata.filter_metadata && has(xds.cluster_metadata.filter_metadata['istio'].services) && \
                    size(xds.cluster_metadata.filter_metadata['istio'].services) > 0 ? \
                    xds.cluster_metadata.filter_metadata['istio'].services[0].host : 'unknown')"},
                {"name": "latency", "value": "request.duration", "type": "DURATION", "as": "GO_DURATION"},
                {"name": "responseCode", "value": "response.code", "fallback": ["500"], "type": "INTEGER"},
                {"name": "responseSize", "value": "response.size", "type": "INTEGER"},
                {"name": "source", "value": "downstream_peer.labels['app']", "fallback": ["'unknown'"]},
                {"name": "user", "field": "sourcePrincipal", "fallback": ["'unknown'"]},
            ],
        })
    );
    // request.time is absent on TCP, so Mixer never logged connections.
    assert_eq!(migration.output.plugins.len(), 1);
}

#[test]
fn the_new_log_for_fluentd_has_tag_and_severity() {
    let migration = migrate(FLUENTD);
    assert_eq!(codes(&migration), ["W-FLUENTD"]);
    let configuration = plugin(&migration, Plugin::AccessLog, HTTP_OUT);
    assert_eq!(configuration.get("preset"), None);
    let fields = configuration["fields"].as_array().unwrap();
    assert_eq!(
        fields[0],
        json!({"name": "time", "value": "request.time", "type": "TIMESTAMP", "as": "MICROSECOND_TIME"})
    );
    assert_eq!(fields[1], json!({"name": "tag", "value": "'newlog.logentry.istio-system'"}));
    assert_eq!(fields[2], json!({"name": "severity", "value": "'info'"}));
}

#[test]
fn both_new_logs_in_one_cluster_replaced_each_other() {
    let migration = migrate(&[NEWLOG, FLUENTD].join("---\n"));
    assert!(codes(&migration).contains(&"E-DUPLICATE"));
    let options = Options { last_wins: true, ..Options::default() };
    assert!(!codes(&migrate_with(&[NEWLOG, FLUENTD].join("---\n"), &options)).contains(&"E-DUPLICATE"));
}

#[test]
fn the_default_metrics_are_all_there() {
    let migration = migrate(Version::V1_4.text());
    assert_eq!(codes(&migration), ["W-BUCKETS", "W-BUCKETS", "W-RAW-CLAIMS", "W-NOT-OBTAINABLE", "W-EXPIRY"]);
    let definitions = plugin(&migration, Plugin::Stats, HTTP_IN)["definitions"].as_array().unwrap();
    let names: Vec<&str> = definitions.iter().map(|definition| definition["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["requests_total", "request_duration_seconds", "request_bytes", "response_bytes"]);
    assert_eq!(definitions[1]["unit"], "SECONDS");
    assert_eq!(definitions[1]["buckets"].as_array().unwrap().len(), 11);
    assert!(definitions[0]["match"].as_str().unwrap().contains(".startsWith('kube-probe') == false"));
    // The module's own labels stay; all others are as in Mixer.
    let requests = change(&migration, Plugin::Stats, HTTP_IN, "requests_total");
    let changed: Vec<&String> = definitions[0]["dimensions"].as_object().unwrap().keys().collect();
    assert_eq!(
        changed,
        [
            "destination_principal",
            "permissive_response_code",
            "permissive_response_policyid",
            "response_code",
            "source_principal"
        ]
    );
    let removed = [
        "source_canonical_service",
        "source_canonical_revision",
        "source_cluster",
        "destination_canonical_service",
        "destination_canonical_revision",
        "destination_cluster",
        "grpc_response_status",
    ];
    assert_eq!(requests["tags_to_remove"], json!(removed));
    // All four TCP metrics are the module's own.
    assert_eq!(plugin(&migration, Plugin::TcpStats, TCP_OUT).get("definitions"), None);
    let sent = change(&migration, Plugin::TcpStats, TCP_IN, "tcp_sent_bytes_total");
    assert_eq!(sent["dimensions"]["response_flags"], "'-'");
    let bounds: Vec<f64> = (0..9).map(|power| 10f64.powi(power)).collect();
    assert_eq!(migration.output.buckets["istio_request_bytes"], bounds);
    assert!(migration.output.labels.contains("permissive_response_code"));
}

#[test]
fn the_default_logs_have_all_variables() {
    for version in [Version::V1_0, Version::V1_4] {
        let migration = migrate(version.text());
        let count = |kind, scene| plugin(&migration, kind, scene)["fields"].as_array().unwrap().len();
        let expected = if version == Version::V1_4 { (41, 26) } else { (36, 25) };
        assert_eq!((count(Plugin::AccessLog, HTTP_IN), count(Plugin::TcpAccessLog, TCP_IN)), expected);
        let tcp = plugin(&migration, Plugin::TcpAccessLog, TCP_IN);
        assert_eq!((&tcp["tcp_open_line"], &tcp["tcp_reporting_duration"]), (&json!(true), &json!("10s")));
        // stdio does not know the severity "Info".
        assert_eq!(tcp["level"], "info");
    }
}

#[test]
fn durations_in_milliseconds_are_the_module_s_own_metric() {
    let migration =
        migrate_with(Version::V1_0.text(), &Options { duration_unit: Unit::Milliseconds, ..Options::default() });
    assert!(codes(&migration).contains(&"W-RENAMED"));
    assert_eq!(migration.output.buckets["istio_request_duration_milliseconds"][0], 5.0);
    let definitions = plugin(&migration, Plugin::Stats, HTTP_IN)["definitions"].as_array().unwrap();
    assert_eq!(definitions.len(), 2, "{definitions:?}");
}

#[test]
fn missing_objects_come_from_istio_s_own() {
    let handler = "apiVersion: config.istio.io/v1alpha2
kind: prometheus
metadata: {name: handler, namespace: istio-system}
spec:
  metrics:
  - {name: requests_total, instance_name: requestcount.metric.istio-system, kind: COUNTER, label_names: [METRIC]}
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: promhttp, namespace: istio-system}
spec:
  match: context.protocol == \"http\"
  actions: [{handler: handler.prometheus, instances: [requestcount.metric, requestsize.metric]}]
";
    let names = "reporter, source_workload, source_workload_namespace, source_principal, source_app, source_version, \
                 destination_workload, destination_workload_namespace, destination_principal, destination_app, \
                 destination_version, destination_service, destination_service_name, destination_service_namespace, \
                 request_protocol, response_code, connection_security_policy";
    let text = handler.replace("METRIC", names);
    assert_eq!(codes(&migrate(&text)), ["W-UNFED", "E-DANGLING", "E-DANGLING"]);
    let options = Options { defaults: Some(Version::V1_0), ..Options::default() };
    let migration = migrate_with(&text, &options);
    assert_eq!(codes(&migration), ["E-INSTANCE-NAME"]);
    // The module has a counter of requests, but the rule excludes gRPC.
    let definition = &plugin(&migration, Plugin::Stats, HTTP_IN)["definitions"][0];
    assert!(definition["match"].as_str().unwrap().ends_with("? 'grpc' : 'http') == 'http'"), "{definition}");
}

#[test]
fn rules_of_0_7_are_for_what_their_label_says() {
    let migration = migrate(include_str!("../../testdata/istio-0.7.yaml"));
    let http = plugin(&migration, Plugin::Stats, HTTP_IN);
    assert_eq!(http["definitions"].as_array().unwrap().len(), 1);
    let tcp = plugin(&migration, Plugin::TcpStats, TCP_IN);
    let sent = &tcp["definitions"][0];
    assert_eq!(
        (&sent["name"], &sent["value"], &sent["protocol"]),
        (&json!("tcp_bytes_sent"), &json!("sentBytes"), &json!("TCP"))
    );
    assert_eq!(
        definition(&migration, Plugin::Stats, HTTP_IN, "request_count")["dimensions"]["connection_mtls"],
        "connection.mtls"
    );
}
