//! Prometheus that finds the pods by Kubernetes' discovery.

use std::net::SocketAddr;

use local_cluster::json::list;
use local_mesh::{wait_for_value, Request};
use serde_json::Value;

use crate::expected::{call, request, WEB};
use crate::scene::{app, mesh, pod, with, Labels, WAIT};

#[test]
fn both_of_istios_ways_to_scrape_proxies_give_the_same_series() {
    let cluster = mesh();
    cluster.kubectl(&["apply", "-f", &app("prometheus.yaml")]).unwrap();
    let prometheus = cluster.wait_ready_one("watch", "app=prometheus").unwrap().address().unwrap();
    let client = pod("shop", "client");
    call(&client, &["http", "http://web/scraped", "3"]);
    let query = |job: &str| -> Vec<(Labels, f64)> {
        let pod = client.name();
        let path = format!("/api/v1/query?query=istio_requests_total%7Bjob%3D%22{job}%22%2Cpod%3D%22{pod}%22%7D");
        let answer = cluster.client().send(&Request::get(SocketAddr::from((prometheus, 9090)), &path)).unwrap();
        let answer: Value = serde_json::from_str(&answer.text()).unwrap();
        let series = list(&answer, "/data/result").iter().map(|series| {
            let mut labels: Labels = serde_json::from_value(series["metric"].clone()).unwrap();
            labels.retain(|name, value| {
                !["__name__", "job", "instance", "pod"].contains(&name.as_str()) && !value.is_empty()
            });
            (labels, series["value"][1].as_str().unwrap().parse().unwrap())
        });
        series.collect()
    };
    // Prometheus has no labels that are empty.
    let mut expected = with(&request(&WEB, "web", "shop"), &[]);
    expected.retain(|_, value| !value.is_empty());
    let proxy = || {
        let samples = client.samples("istio_requests_total").unwrap();
        let of_web = samples
            .into_iter()
            .filter(|s| s.label("destination_service_name") == "web" && s.label("response_code") == "200");
        of_web.map(|sample| sample.value).sum::<f64>()
    };
    for job in ["envoy-stats", "kubernetes-pods"] {
        wait_for_value(WAIT, &Some(proxy()), || {
            query(job).into_iter().find(|(labels, _)| *labels == expected).map(|(_, value)| value)
        })
        .unwrap_or_else(|error| panic!("{job}: {error:#}: {:?}", query(job)));
    }
    cluster.kubectl(&["delete", "-f", &app("prometheus.yaml"), "--wait=false"]).unwrap();
}
