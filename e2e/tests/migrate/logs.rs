//! Log lines of users' configurations and of Mixer's own.

use std::net::TcpStream;

use local_mesh::application::ask;
use local_mesh::Mesh;
use serde_json::{json, Value};

use crate::{get, start, status, SIDES, WAIT};

const NEWLOG: &str = include_str!("../../../tools/mixer-migrate/testdata/tutorials/new-telemetry.yaml");
const FLUENTD: &str = include_str!("../../../tools/mixer-migrate/testdata/tutorials/newlog-fluentd.yaml");
const ISTIO_1_4: &str = include_str!("../../../tools/mixer-migrate/defaults/1.4.yaml");

/// The lines of a workload's sidecar. Waits until there are this many.
fn lines(mesh: &Mesh, workload: &str, count: usize) -> Vec<String> {
    let sidecar = mesh.sidecar(workload).unwrap();
    let read = || sidecar.output().lines().map(str::to_owned).collect::<Vec<_>>();
    local_mesh::wait_until(WAIT, || read().len() >= count).unwrap_or_else(|error| panic!("{error}: {:#?}", read()));
    read()
}

/// A line's object without values that differ each time. These values are checked here.
fn stable(line: &str, times: &[&str], durations: &[&str]) -> Value {
    let mut value: Value = serde_json::from_str(line).unwrap();
    let fields = value.as_object_mut().unwrap();
    for name in times {
        let time = fields.remove(*name).unwrap();
        let time = time.as_str().unwrap();
        // 2018-11-26T09:00:46.541292Z
        assert!(time.len() == 27 && time.starts_with("20") && time.ends_with('Z'), "{name} in {line}");
    }
    for name in durations {
        let duration = fields.remove(*name).unwrap();
        let duration = duration.as_str().unwrap();
        assert!(
            duration.ends_with('s') && duration.starts_with(|first: char| first.is_ascii_digit()),
            "{name} in {line}"
        );
    }
    value
}

pub fn requests_have_the_new_log_s_line(envoy: &str) {
    let mesh = start(envoy, NEWLOG);
    assert_eq!(status(&mesh, get(&mesh, "/status/200")), 200);
    for workload in SIDES {
        let lines = lines(&mesh, workload, 1);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        // Mixer's order: three fixed fields, then the variables by name.
        let order =
            ["level", "time", "instance", "destination", "latency", "responseCode", "responseSize", "source", "user"];
        let places: Vec<usize> = order.iter().map(|name| lines[0].find(&format!("\"{name}\":")).unwrap()).collect();
        assert!(places.is_sorted(), "{}", lines[0]);
        let size = stable(&lines[0], &["time"], &["latency"])["responseSize"].clone();
        assert!(size.is_u64(), "{}", lines[0]);
        let user = match workload {
            "reviews-v2" => "cluster.local/ns/default/sa/bookinfo-productpage",
            // Mixer's proxies knew only the certificates of the downstream connection.
            _ => "unknown",
        };
        assert_eq!(
            stable(&lines[0], &["time"], &["latency"]),
            json!({
                "level": "warn",
                "instance": "newlog.logentry.istio-system",
                "destination": "reviews",
                "responseCode": 200,
                "responseSize": size,
                "source": "productpage",
                "user": user,
            }),
            "{workload}"
        );
    }
}

pub fn requests_have_the_line_for_fluentd(envoy: &str) {
    let mesh = start(envoy, FLUENTD);
    assert_eq!(status(&mesh, get(&mesh, "/status/418")), 418);
    for workload in SIDES {
        let lines = lines(&mesh, workload, 1);
        let line = stable(&lines[0], &["time"], &["latency"]);
        assert_eq!(
            (&line["tag"], &line["severity"], &line["responseCode"], &line["source"], &line["destination"]),
            (
                &json!("newlog.logentry.istio-system"),
                &json!("info"),
                &json!(418),
                &json!("productpage"),
                &json!("reviews")
            ),
            "{workload}"
        );
    }
}

pub fn requests_have_the_default_line(envoy: &str) {
    let mesh = start(envoy, ISTIO_1_4);
    let request = get(&mesh, "/status/200?q=1").header("user-agent", "browser/7").header("referer", "http://a/");
    assert_eq!(status(&mesh, request), 200);
    for workload in SIDES {
        let line = lines(&mesh, workload, 1).remove(0);
        let line = stable(&line, &["time", "responseTimestamp"], &["latency"]);
        let inbound = workload == "reviews-v2";
        // 41 variables, level, time and instance, without the three that are checked separately.
        assert_eq!(line.as_object().unwrap().len(), 41 + 3 - 3, "{line:#}");
        for (name, expected) in [
            ("level", json!("info")),
            ("instance", json!("accesslog.instance.istio-system")),
            ("reporter", json!(if inbound { "destination" } else { "source" })),
            ("sourceApp", json!("productpage")),
            ("sourceWorkload", json!("productpage-v1")),
            ("sourceNamespace", json!("default")),
            ("destinationApp", json!("reviews")),
            ("destinationWorkload", json!("reviews-v2")),
            ("destinationServiceHost", json!("reviews.default.svc.cluster.local")),
            ("connection_security_policy", json!(if inbound { "mutual_tls" } else { "unknown" })),
            ("method", json!("GET")),
            ("url", json!("/status/200?q=1")),
            ("userAgent", json!("browser/7")),
            ("referer", json!("http://a/")),
            ("responseCode", json!(200)),
            ("responseFlags", json!("-")),
            ("requestSize", json!(0)),
            ("permissiveResponseCode", json!("none")),
            ("grpcStatus", json!("")),
        ] {
            assert_eq!(line[name], expected, "{name} of {workload}: {line:#}");
        }
    }
}

pub fn connections_have_the_default_lines(envoy: &str) {
    let mesh = start(envoy, ISTIO_1_4);
    let mut stream = TcpStream::connect(mesh.sidecar("productpage-v1").unwrap().address(27017)).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    ask(&mut stream).unwrap();
    drop(stream);
    for workload in ["productpage-v1", "mongodb-v1"] {
        let lines = lines(&mesh, workload, 2);
        let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let events: Vec<&str> = lines.iter().map(|line| line["connectionEvent"].as_str().unwrap()).collect();
        assert_eq!(events, ["open", "close"], "{lines:#?}");
        let close = &lines[1];
        for (name, expected) in [
            ("instance", "tcpaccesslog.instance.istio-system"),
            ("sourceWorkload", "productpage-v1"),
            ("destinationWorkload", "mongodb-v1"),
            ("protocol", "tcp"),
        ] {
            assert_eq!(close[name], expected, "{name} of {workload}: {close:#}");
        }
        assert!(close["totalReceivedBytes"].as_u64().unwrap() >= 11, "{close:#}");
    }
}
