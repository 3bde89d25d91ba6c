use super::build::add_mirrors;
use super::*;
use crate::exposition::{parse, Sample};

fn labels(reporter: &str, from: &str, to: &str, rest: &str) -> String {
    let version = to.rsplit_once('-').map_or("unknown", |(_, version)| version);
    let app = to.rsplit_once('-').map_or(to, |(app, _)| app);
    format!(
        "reporter=\"{reporter}\",source_workload=\"{from}\",source_workload_namespace=\"default\",source_app=\"{from}\",\
         destination_workload=\"{to}\",destination_workload_namespace=\"default\",destination_app=\"{app}\",\
         destination_version=\"{version}\",destination_service_namespace=\"default\",{rest}"
    )
}

fn http(reporter: &str, from: &str, to: &str, rest: &str, rate: f64) -> Sample {
    parse(&format!("x{{{}}} {rate}", labels(reporter, from, to, rest))).unwrap().remove(0)
}

fn graph(samples: &[Sample]) -> Graph {
    let mut builder = Builder::default();
    samples.iter().for_each(|sample| builder.add_requests(sample));
    builder.build()
}

const OK: &str = "destination_service_name=\"b\",response_code=\"200\",response_flags=\"-\"";
const OVERFLOW: &str = "destination_service_name=\"b\",response_code=\"503\",response_flags=\"UO\"";

#[test]
fn the_caller_tells_the_rate_and_the_callee_tells_mutual_tls() {
    let secured = format!("{OK},connection_security_policy=\"mutual_tls\"");
    let graph = graph(&[
        http("source", "a", "b-v1", &format!("{OK},connection_security_policy=\"unknown\""), 9.0),
        http("source", "a", "b-v1", &OVERFLOW.replace("UO", "URX,DI"), 1.0),
        http("destination", "a", "b-v1", &secured, 8.0),
    ]);
    let [edge] = graph.edges.as_slice() else { panic!("{graph:?}") };
    assert_eq!((edge.rate, edge.errors, edge.delayed, edge.aborted, edge.mtls), (10.0, 0.1, 0.1, 0.0, Some(1.0)));
    assert_eq!(edge.codes.keys().collect::<Vec<_>>(), ["200", "503 URX,DI"]);
    let b = graph.node("default/b-v1").unwrap();
    assert_eq!((b.app.as_str(), b.version.as_str()), ("b", "v1"));
}

#[test]
fn requests_that_reached_nobody_belong_to_the_only_workload_of_their_service() {
    let one = [http("source", "a", "b-v1", OK, 3.0), http("source", "a", "unknown", OVERFLOW, 1.0)];
    let graph_of_one = graph(&one);
    assert_eq!(graph_of_one.edges.len(), 1);
    assert_eq!((graph_of_one.edges[0].rate, graph_of_one.edges[0].errors), (4.0, 0.25));
    let two = [one[0].clone(), http("source", "a", "b-v2", OK, 3.0), one[1].clone()];
    let graph_of_two = graph(&two);
    assert_eq!(graph_of_two.edges.len(), 3);
    assert_eq!(graph_of_two.node("service:default/b").unwrap().kind, NodeKind::Service);
}

#[test]
fn a_caller_without_a_proxy_is_unknown_and_the_callee_tells_all() {
    let plain = format!("{OK},connection_security_policy=\"none\"");
    let graph = graph(&[http("destination", "unknown", "b-v1", &plain, 2.0)]);
    assert_eq!((graph.edges[0].source.as_str(), graph.edges[0].rate, graph.edges[0].mtls), ("unknown", 2.0, Some(0.0)));
}

#[test]
fn copies_lead_from_the_pod_that_sends_them_to_their_mirror() {
    let mut graph = graph(&[http("source", "a", "b-v1", OK, 1.0)]);
    let sample = |result: &str, value: f64| {
        let text = format!(
            "x{{namespace=\"default\",pod=\"b-v1-7d8f6b9c4d-00001\",mirror=\"new\",result=\"{result}\"}} {value}"
        );
        parse(&text).unwrap().remove(0)
    };
    let compared = [sample("match", 3.0), sample("body_mismatch", 1.0), sample("shadow_unavailable", 5.0)];
    add_mirrors(&mut graph, &[sample("", 2.0)], &compared);
    let edge = graph.edges.last().unwrap();
    assert_eq!(
        (edge.source.as_str(), edge.target.as_str(), edge.kind),
        ("default/b-v1", "mirror:new", EdgeKind::Shadow)
    );
    assert_eq!((edge.rate, edge.matched, graph.nodes.len()), (2.0, Some(0.75), 3));
}

#[test]
fn a_selection_leaves_out_edges_and_the_nodes_that_only_they_have() {
    let whole = graph(&[
        http("source", "a", "b-v1", OK, 1.0),
        http("source", "a", "c-v1", &OK.replace("\"b\"", "\"c\""), 0.0),
        http("source", "c-v1", "d-v1", &OK.replace("\"b\"", "\"d\""), 2.0),
    ]);
    let select = |query: &str| {
        let graph = Selection::parse(&crate::percent::pairs(query)).unwrap().apply(whole.clone());
        (graph.nodes.iter().map(|n| n.name.clone()).collect::<Vec<_>>().join(" "), graph.edges.len())
    };
    assert_eq!(select(""), ("a b-v1 c-v1 d-v1".to_owned(), 3));
    assert_eq!(select("filter_empty=true"), ("a b-v1 c-v1 d-v1".to_owned(), 2));
    assert_eq!(select("destination_workload=b-v1"), ("a b-v1".to_owned(), 1));
    assert_eq!(select("source_workload=a&filter_empty=true"), ("a b-v1".to_owned(), 1));
    assert_eq!(select("destination_namespace=other"), (String::new(), 0));
    assert_eq!(select("source_namespace=default&destination_namespace=default").1, 3);
}

#[test]
fn the_formats_are_those_of_servicegraph() {
    let graph = graph(&[http("source", "a", "b-v1", OK, 1.5)]);
    let expected = serde_json::json!({
        "nodes": {"a (a)": {}, "b (b-v1)": {}},
        "edges": [{"source": "a (a)", "target": "b (b-v1)", "labels": {"reqs/sec": "1.500000"}}],
    });
    assert_eq!(service_graph(&graph), expected);
    let expected = serde_json::json!({
        "nodes": [{"name": "a (a)"}, {"name": "b (b-v1)"}],
        "links": [{"source": 0, "target": 1, "labels": {"reqs/sec": "1.500000"}}],
    });
    assert_eq!(d3_graph(&graph), expected);
    let lines: Vec<String> = dot(&graph).lines().map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "digraph \"istio-servicegraph\" {",
            "\"a (a)\" -> \"b (b-v1)\" [label=\"reqs/sec: 1.500000\"];",
            "\"a (a)\" [label=\"a (a)\"];",
            "\"b (b-v1)\" [label=\"b (b-v1)\"];",
            "}",
        ]
    );
}
