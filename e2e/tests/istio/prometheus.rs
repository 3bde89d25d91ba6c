//! Prometheus, which finds the pods by Kubernetes' discovery, and Kiali, which asks it.

use std::net::SocketAddr;

use local_cluster::json::{list, text};
use local_mesh::{wait_for, wait_until, Request};
use serde_json::Value;

use crate::expected::{call, request, WEB};
use crate::scene::{mesh, pod, Labels, WAIT};

/// The address of a pod that watches the mesh.
fn watching(app: &str, port: u16) -> SocketAddr {
    mesh().kubectl(&["apply", "-f", &crate::scene::app(&format!("{app}.yaml"))]).unwrap();
    let pod = mesh().wait_ready_one("watch", &format!("app={app}")).unwrap();
    SocketAddr::from((pod.address().unwrap(), port))
}

fn get(address: SocketAddr, path: &str) -> Value {
    let answer = mesh().client().send(&Request::get(address, path)).unwrap();
    serde_json::from_str(&answer.text()).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.text()))
}

#[test]
fn both_of_istios_ways_to_scrape_proxies_give_the_same_series() {
    let prometheus = watching("prometheus", 9090);
    let client = pod("shop", "client");
    call(&client, &["http", "http://web/scraped", "3"]);
    let query = |job: &str| -> Vec<(Labels, f64)> {
        let pod = client.name();
        let path = format!("/api/v1/query?query=istio_requests_total%7Bjob%3D%22{job}%22%2Cpod%3D%22{pod}%22%7D");
        let answer = get(prometheus, &path);
        let series = list(&answer, "/data/result").iter().map(|series| {
            let mut labels: Labels = serde_json::from_value(series["metric"].clone()).unwrap();
            labels.retain(|name, value| {
                !["__name__", "job", "instance", "pod"].contains(&name.as_str()) && !value.is_empty()
            });
            (labels, series["value"][1].as_str().unwrap().parse().unwrap())
        });
        series.collect()
    };
    let labels = request(&WEB, "web", "shop");
    let proxy = || {
        let samples = client.samples("istio_requests_total").unwrap();
        samples.iter().filter(|sample| sample.labels == labels).map(|sample| sample.value).sum::<f64>()
    };
    // Prometheus has no labels that are empty.
    let mut expected = labels.clone();
    expected.retain(|_, value| !value.is_empty());
    for job in ["envoy-stats", "kubernetes-pods"] {
        let value = || query(job).into_iter().find(|(labels, _)| *labels == expected).map(|(_, value)| value);
        wait_until(WAIT, || value() == Some(proxy()))
            .unwrap_or_else(|error| panic!("{job}: {error:#}: {:?}", query(job)));
    }
}

#[test]
fn kialis_graph_has_the_edge_with_its_rates_times_and_principals() {
    watching("prometheus", 9090);
    let kiali = watching("kiali", 20001);
    let client = pod("shop", "client");
    let graph = "/api/namespaces/graph?namespaces=shop&duration=60s&graphType=workload&injectServiceNodes=false\
                 &responseTime=95&throughputType=response&appenders=securityPolicy,responseTime,throughput";
    let edge = wait_for(WAIT, || {
        // Kiali gives whole milliseconds.
        call(&client, &["http", "http://web/delay/30", "5"]);
        let graph = get(kiali, graph);
        let nodes = list(&graph, "/elements/nodes");
        let id = |workload: &str| {
            let node = nodes.iter().find(|node| text(node, "/data/workload") == workload)?;
            Some(text(node, "/data/id").to_owned())
        };
        let (source, target) = (id("client")?, id("web-v1")?);
        let mut edges = list(&graph, "/elements/edges").iter();
        let edge = edges.find(|edge| text(edge, "/data/source") == source && text(edge, "/data/target") == target)?;
        (!edge["data"]["responseTime"].is_null() && !edge["data"]["throughput"].is_null()).then(|| edge["data"].clone())
    })
    .unwrap();
    assert_eq!(edge["isMTLS"], "100", "{edge}");
    assert_eq!(edge["sourcePrincipal"], "spiffe://cluster.local/ns/shop/sa/client", "{edge}");
    assert_eq!(edge["destPrincipal"], "spiffe://cluster.local/ns/shop/sa/web", "{edge}");
    assert_eq!(edge["traffic"]["protocol"], "http", "{edge}");
    for number in [&edge["traffic"]["rates"]["http"], &edge["responseTime"], &edge["throughput"]] {
        assert!(number.as_str().is_some_and(|text| text.parse::<f64>().is_ok_and(|number| number > 0.0)), "{edge}");
    }
}
