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

/// A mistake in one of them must neither show as one of another nor bring back the configuration of another.
#[test]
fn modules_can_tell_all_plugins_of_a_proxy_apart() {
    let of_shop =
        counter("1", "request.method", "true").replace("name: r, namespace: istio-system", "name: r, namespace: shop");
    let of_shop = of_shop.replace("handler: h, instances: [i]", "handler: h.istio-system, instances: [i.istio-system]");
    let text = migrate(&format!("{}\n---\n{of_shop}", Version::V1_4.text())).resources(false).unwrap();
    let input = plugin_check::Input { file: "out.yaml".to_owned(), text: text.clone(), found_in: None };
    let report = plugin_check::Check::of(&[input]);
    assert_eq!(report.mistakes, [], "{text}");
    let field =
        |name: &str| text.lines().filter_map(|line| line.strip_prefix(&format!("            {name}: "))).collect();
    let (names, root_ids): (Vec<&str>, Vec<&str>) = (field("name"), field("root_id"));
    let names: Vec<&str> = names.into_iter().filter(|name| name.starts_with("remixer-")).collect();
    let mut all: Vec<(&str, &str)> = names.iter().copied().zip(root_ids.iter().copied()).collect();
    assert_eq!((names.len(), root_ids.len()), (report.plugins, report.plugins), "{text}");
    all.sort_unstable();
    all.dedup();
    let expected = [
        ("remixer-mixer-access-log-istio-system", "access_log_inbound"),
        ("remixer-mixer-access-log-istio-system", "access_log_outbound"),
        ("remixer-mixer-stats-istio-system", "stats_inbound"),
        ("remixer-mixer-stats-istio-system", "stats_outbound"),
        ("remixer-mixer-stats-shop", "stats_inbound"),
        ("remixer-mixer-stats-shop", "stats_outbound"),
        ("remixer-mixer-tcp-access-log-istio-system", "tcp_access_log_inbound"),
        ("remixer-mixer-tcp-access-log-istio-system", "tcp_access_log_outbound"),
        ("remixer-mixer-tcp-stats-istio-system", "tcp_stats_inbound"),
        ("remixer-mixer-tcp-stats-istio-system", "tcp_stats_outbound"),
    ];
    assert_eq!(all, expected);
}

#[test]
fn buckets_are_those_of_the_metric_alone() {
    let yaml = migrate(Version::V1_4.text()).resources(false).unwrap();
    let setting =
        "regex: 'wasmcustom\\.(.*;\\.;)?istio_request_bytes(\\..*)?'\n            buckets: [1, 10, 100, 1000, ";
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
