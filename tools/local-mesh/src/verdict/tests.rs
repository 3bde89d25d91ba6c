use super::*;

const TWO: &str = "
name: two
workloads:
  - { name: a, app: a, address: 127.1.0.1, calls: [b] }
  - { name: b-v1, app: b, version: v1, address: 127.1.0.2 }
services:
  - { name: b, port: 9080, protocol: http }
";

fn sample(reporter: &str, more: &[(&str, &str)]) -> Sample {
    let mut labels = vec![
        ("reporter", reporter),
        ("source_workload", "a"),
        ("source_workload_namespace", "default"),
        ("destination_workload", "b-v1"),
        ("destination_workload_namespace", "default"),
        ("response_flags", "-"),
    ];
    labels.extend_from_slice(more);
    let labels = labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Sample { name: "istio_requests_total".to_owned(), labels, value: 1.0 }
}

fn verdict(samples: &[Sample]) -> Vec<String> {
    let topology = Topology::parse(TWO).unwrap();
    missing(&topology, samples, None).into_iter().map(|m| format!("{}: {}", m.edge, m.what)).collect()
}

#[test]
fn both_reporters_without_unknown_is_complete() {
    let source = sample("source", &[("connection_security_policy", "unknown")]);
    assert_eq!(verdict(&[source, sample("destination", &[])]), Vec::<String>::new());
}

#[test]
fn a_reporter_that_is_silent_is_named() {
    assert_eq!(verdict(&[sample("source", &[])]), ["a -> b-v1: not seen by reporter destination"]);
}

#[test]
fn an_unknown_label_is_named() {
    let destination = sample("destination", &[("connection_security_policy", "unknown")]);
    let found = verdict(&[sample("source", &[]), destination]);
    assert_eq!(found.len(), 1);
    assert!(found.concat().contains("label connection_security_policy"), "{found:?}");
}

#[test]
fn a_peer_that_did_not_answer_may_be_without_version_but_does_not_count_as_seen() {
    let timeout = sample("source", &[("response_flags", "UT"), ("destination_version", "unknown")]);
    let found = verdict(&[timeout.clone(), sample("destination", &[])]);
    assert_eq!(found, ["a -> b-v1: not seen by reporter source"]);
    assert!(verdict(&[timeout, sample("source", &[]), sample("destination", &[])]).is_empty());
}

#[test]
fn an_answered_request_to_nobody_is_stray() {
    let stray = sample("source", &[("destination_workload", "unknown"), ("response_code", "200")]);
    let found = verdict(&[stray, sample("source", &[]), sample("destination", &[])]);
    assert!(found.concat().contains("destination_workload `unknown`"), "{found:?}");
}
