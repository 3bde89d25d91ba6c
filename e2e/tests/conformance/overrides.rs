//! Labels and metrics that an operator removes, replaces or encodes differently.

use local_mesh::Update;

use crate::scene::{get, status, Setting};

pub fn labels_and_metrics_are_removed_and_replaced(envoy: &str) {
    let setting = Setting {
        outbound: r#"{
            "definitions": [{"name": "response_bytes", "value": "1"}],
            "metrics": [
                {"tags_to_remove": ["source_app", "source_version", "no_such_label"]},
                {"dimensions": {"source_app": "'everywhere'", "destination_app": "'first'"}},
                {"name": "requests_total", "dimensions": {"destination_app": "'second'"}, "tags_to_remove": ["reporter"]},
                {"name": "request_bytes", "drop": true}
            ]
        }"#,
        inbound: r#"{"definitions": [{"name": "requests_total", "value": "10"}]}"#,
        ..Setting::default()
    };
    let mut scene = setting.start(envoy);
    scene.row(
        "removed labels are not there, one that comes back has its new value, the later of two entries wins; a dropped \
         metric is not recorded, one redefined without a type is a counter",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/200")), 200),
        r#"client-v1 istio_requests_total{source_version="(absent)",reporter="(absent)",source_app="everywhere",destination_app="second",labels="23"} 1
           client-v1 istio_request_duration_milliseconds_count{source_version="(absent)",reporter="source",source_app="everywhere",destination_app="first",labels="24"} 1
           client-v1 istio_response_bytes{destination_app="first",response_code="200",labels="24"} 1
           client-v1 istio_response_bytes_count 0
           client-v1 istio_request_bytes_count 0"#,
    );
    scene.row(
        "requests_total with another value keeps its labels",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/200")), 200),
        r#"server-v2 istio_requests_total{source_workload="client-v1",response_code="200",labels="25"} 10"#,
    );
    let nothing = r#"{"definitions": [{"name": "mine_total", "value": "1"}], "metrics": [{"drop": true}]}"#;
    assert_eq!(scene.push("server-v2", "stats_inbound", nothing), Update::Accepted);
    scene.row(
        "a drop without a name drops all, also what was defined, on this proxy",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/200")), 200),
        r#"server-v2 istio_requests_total 0
           server-v2 istio_mine_total 0
           client-v1 istio_requests_total{response_code="200"} 1"#,
    );
    let camel_case = r#"{"metrics": [{"name": "requests_total", "tagsToRemove": ["source_cluster"]}],
        "tcpReportingDuration": "1s", "disableHostHeaderFallback": "true", "maxSeries": 1000}"#;
    assert_eq!(scene.push("server-v2", "stats_inbound", camel_case), Update::Accepted);
    scene.row(
        "fields may be written in camelCase; a new configuration goes on with the old series",
        |mesh| assert_eq!(status(mesh, get(mesh, "/status/200")), 200),
        r#"server-v2 istio_requests_total{source_cluster="(absent)",source_workload="client-v1",labels="24"} 1"#,
    );
}

pub fn separators_of_one_s_own(envoy: &str) {
    let configuration = r#"{"field_separator": ";;", "value_separator": "==",
        "metrics": [{"dimensions": {"request_line": "request.headers['x-line']"}}]}"#;
    let setting = Setting { outbound: configuration, inbound: configuration, ..Setting::default() };
    let mut scene = setting.start(envoy);
    scene.row(
        "all labels come out of the stats' names, and no value can hold a part of a separator",
        |mesh| {
            for line in ["plain", "a;;b==c"] {
                assert_eq!(status(mesh, get(mesh, "/status/200").header("x-line", line)), 200);
            }
        },
        r#"client-v1 istio_requests_total{request_line="plain",reporter="source",labels="26"} 1
           client-v1 istio_requests_total{request_line="a__b__c",reporter="source",labels="26"} 1
           server-v2 istio_requests_total{request_line="plain",reporter="destination",labels="26"} 1
           server-v2 istio_requests_total{request_line="a__b__c",reporter="destination",labels="26"} 1"#,
    );
}
