//! The written resources can be applied, and the modules accept them.

use super::{counter, metric, migrate};
use crate::{
    defaults::Version,
    output::{check::problems, Plugin},
};

#[test]
fn envoy_filters_are_as_istio_reads_them() {
    let yaml = migrate(Version::V1_4.text()).resources(false).unwrap();
    let filters = envoy_filter::parse(&[("out.yaml".into(), yaml)]).unwrap();
    let names: Vec<String> = filters.iter().map(|filter| filter.name.clone()).collect();
    let expected = [
        "remixer-stats-bootstrap",
        "remixer-mixer-stats",
        "remixer-mixer-tcp-stats",
        "remixer-mixer-access-log",
        "remixer-mixer-tcp-access-log",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_rule_of_another_namespace_is_for_its_proxies() {
    let text =
        counter("1", "request.method", "true").replace("name: r, namespace: istio-system", "name: r, namespace: shop");
    let text = text.replace("handler: h, instances: [i]", "handler: h.istio-system, instances: [i.istio-system]");
    let migration = migrate(&text);
    let keys: Vec<_> = migration.output.plugins.keys().collect();
    assert_eq!(keys, [&("shop".to_owned(), Plugin::Stats)]);
    assert!(migration.resources(false).unwrap().contains("name: remixer-mixer-stats\n  namespace: shop\n"));
}

#[test]
fn buckets_are_those_of_the_metric_alone() {
    let yaml = migrate(Version::V1_4.text()).resources(false).unwrap();
    let setting = "regex: 'wasmcustom\\.(.*;\\.;)?istio_request_bytes'\n            buckets: [1, 10, 100, 1000, ";
    assert!(yaml.contains(setting), "{yaml}");
}

#[test]
fn nothing_in_nothing_out() {
    assert_eq!(migrate("").resources(false), Some(String::new()));
}

#[test]
fn the_stats_module_reads_what_is_written() {
    let event = counter("1", "connection.mtls", r#"context.protocol == "tcp" && connection.event == "open""#);
    let prefix = counter("1", "connection.mtls", "true").replace("{name: m,", "{name: m, namespace: shop,");
    let sizes = counter("request.size + (response.size | 0)", "connection.mtls", "true");
    let code = metric("GAUGE", "response.code", "destination.port", "request.size > 10");
    let port = metric("DISTRIBUTION", "destination.port | 0", "source.uid", r#"source.workload.name == "a""#);
    let texts = [
        &event,
        &prefix,
        &sizes,
        &code,
        &port,
        Version::V1_4.text(),
        Version::V1_0.text(),
        include_str!("../../testdata/tutorials/new-telemetry.yaml"),
        include_str!("../../testdata/tutorials/customer-request-count.yaml"),
        include_str!("../../testdata/istio-0.7.yaml"),
    ];
    for text in texts {
        for ((_, plugin), scenes) in migrate(text).output.plugins {
            if !matches!(plugin, Plugin::Stats | Plugin::TcpStats) {
                continue;
            }
            for (scene, configuration) in scenes {
                assert_eq!(problems(plugin, &configuration), [], "{scene:?} of {configuration:#}");
            }
        }
    }
}

#[test]
fn the_access_log_module_reads_what_is_written() {
    let texts = [
        Version::V1_4.text(),
        Version::V1_0.text(),
        include_str!("../../testdata/tutorials/newlog-stdio.yaml"),
        include_str!("../../testdata/tutorials/newlog-fluentd.yaml"),
        include_str!("../../testdata/tutorials/accesslog-stdio.yaml"),
        include_str!("../../testdata/istio-0.7.yaml"),
    ];
    for text in texts {
        for ((_, plugin), scenes) in migrate(text).output.plugins {
            for (scene, configuration) in scenes {
                assert_eq!(problems(plugin, &configuration), [], "{scene:?} of {configuration:#}");
            }
        }
    }
}
