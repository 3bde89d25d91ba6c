#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn expressions_that_only_name_an_attribute_are_attributes() {
    for (text, path, kind) in [
        ("request.host", "request host", Kind::Text),
        (" request.method ", "request method", Kind::Text),
        ("request.headers['x-user']", "request headers x-user", Kind::Text),
        ("request.headers[\"x-user\"]", "request headers x-user", Kind::Text),
        ("response.code", "response code", Kind::Integer),
        ("request.headers_bytes", "request headers_bytes", Kind::Integer),
        ("destination.port", "destination port", Kind::Integer),
        ("connection.mtls", "connection mtls", Kind::Boolean),
        ("cluster_name", "xds cluster_name", Kind::Text),
        ("route_name", "xds route_name", Kind::Text),
        ("listener_direction", "xds listener_direction", Kind::Integer),
        ("upstream_peer.cluster_id", "upstream_peer cluster_id", Kind::Text),
        ("upstream_peer.labels['app'].value", "upstream_peer labels app", Kind::Text),
        ("downstream_peer.labels['role']", "downstream_peer labels role", Kind::Text),
        ("filter_state.upstream_peer.workload", "upstream_peer workload_name", Kind::Text),
        (
            "filter_state['wasm.downstream_peer'].service",
            "downstream_peer labels service.istio.io/canonical-name",
            Kind::Text,
        ),
        ("upstream_peer_id", "upstream_peer_id", Kind::Text),
        ("istio_operationId", "istio_operationId", Kind::Text),
    ] {
        let path = path.split(' ').map(String::from).collect();
        assert_eq!(parse(text), Parsed::Attribute(path, kind), "{text}");
    }
}

#[test]
fn alternatives_are_between_single_bars() {
    for (text, expected) in [
        ("request.host", vec!["request.host"]),
        ("a.b | 'x'", vec!["a.b", "'x'"]),
        (" m['a|b']|f(c | d) | \"|\" ", vec!["m['a|b']", "f(c | d)", "\"|\""]),
        ("a || b", vec!["a || b"]),
        ("a | ", vec!["a", ""]),
        ("é | 'ü'", vec!["é", "'ü'"]),
        ("", vec![""]),
    ] {
        assert_eq!(alternatives(text), expected, "{text}");
    }
}

#[test]
fn times_can_be_read_or_left_to_the_engine() {
    for (text, path, kind) in [
        ("request.time", ["request", "time"], Kind::Timestamp),
        ("request.duration", ["request", "duration"], Kind::Duration),
        ("response.backend_latency", ["response", "backend_latency"], Kind::Duration),
    ] {
        assert_eq!(parse(text), Parsed::Time(path.map(String::from).to_vec(), kind, text.into()));
    }
}

#[test]
fn what_is_of_the_node_never_changes() {
    for (text, path) in [
        ("node.id", "xds node id"),
        ("node.metadata['CLUSTER_ID']", "xds node metadata CLUSTER_ID"),
        ("xds.node.metadata.LABELS['app']", "xds node metadata LABELS app"),
    ] {
        assert_eq!(parse(text), Parsed::Node(path.split(' ').map(String::from).collect()), "{text}");
    }
}

#[test]
fn literals_need_no_engine() {
    assert_eq!(parse("'constant'"), Parsed::Text("constant".into()));
    assert_eq!(parse("\"\""), Parsed::Text(String::new()));
    assert_eq!(parse("10"), Parsed::Number(10));
}

#[test]
fn the_rest_is_for_the_engine_with_the_names_that_it_has() {
    for (text, expected) in [
        ("node.metadata['CLUSTER_ID'] + ''", "xds.node.metadata.CLUSTER_ID + ''"),
        (
            "cluster_metadata.filter_metadata['istio']['services'][0]['name']",
            "xds.cluster_metadata.filter_metadata.istio.services[0].name",
        ),
        ("string(destination.port)", "string(destination.port)"),
        (
            "response.code >= 500 ? 'cluster_name' : cluster_name",
            "response.code >= 500 ? 'cluster_name' : xds.cluster_name",
        ),
        (
            "has(upstream_peer.labels) && upstream_peer.labels['app'].value == 'a'",
            "has(upstream_peer.labels) && upstream_peer.labels.app == 'a'",
        ),
        ("request.path.startsWith('/node')", "request.path.startsWith('/node')"),
        ("upstream_peer.workload.startsWith('a')", "upstream_peer.workload_name.startsWith('a')"),
        ("m.node.id + node.id", "m.node.id + xds.node.id"),
        ("'x-a' in request.headers", "'x-a' in request.headers"),
        ("filter_state['wasm.keep'] == b'yes'", "filter_state['wasm.keep'] == b'yes'"),
        ("request.headers['it\\'s']", "request.headers['it\\'s']"),
        ("request.headers", "request.headers"),
        ("upstream_peer.labels", "upstream_peer.labels"),
        ("upstream_peer", "upstream_peer"),
        ("request.headers['42'] + ''", "request.headers['42'] + ''"),
        ("request.headers[\"it's\"] + ''", "request.headers[\"it's\"] + ''"),
        ("request.headers[''] + ''", "request.headers[''] + ''"),
        ("'open", "'open"),
        ("1.5", "1.5"),
        ("true", "true"),
        ("a..b[", "a..b["),
    ] {
        assert_eq!(parse(text), Parsed::Other(expected.into()), "{text}");
    }
}

#[test]
fn names_are_told_by_their_first_part() {
    for (text, expected) in [
        ("a", &[("a", 1)][..]),
        (" a.b == 'c.d' ", &[("a", 2)]),
        ("a.b['c'].d.startsWith(e) && !f", &[("a", 4), ("e", 1), ("f", 1)]),
        // A function is not a name, and the part after it is none, either.
        ("size(a.b) + f(x).y", &[("a", 2), ("x", 1)]),
        ("'a' + \"b\" + 1.5", &[]),
        ("a.", &[("a", 1)]),
    ] {
        assert_eq!(names(text), expected, "{text}");
    }
}

#[test]
fn anything_at_all_is_read_without_a_panic() {
    for text in [
        "",
        " ",
        "ü",
        "'",
        "\"\\",
        "a.'b'",
        "[",
        "a[",
        "a['",
        "a[0",
        "...",
        "a.b.c(",
        "\u{0}",
        "9999999999999999999999",
    ] {
        parse(text);
        names(text);
    }
}
