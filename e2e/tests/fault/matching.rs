//! F12, F13, F15, F16: the requests that a rule matches.

use local_mesh::{envoy_filter, tools, Request, Update};

use crate::load;
use crate::scene::{configured, ms, named, outbound, quiet, rule, rules, Scene, Setting, ACCESS_LOG, PAIR, SERVER};

/// F12
#[test]
fn only_jason_waits() {
    let scene = outbound(
        r#"{"http": [{"match": [{"headers": {"end-user": {"exact": "jason"}}}],
            "fault": {"delay": {"fixedDelay": "7s", "percentage": {"value": 100}}}}]}"#,
    );
    let _quiet = quiet();
    std::thread::scope(|scope| {
        scope.spawn(|| scene.expect_delay(&scene.get("/").header("end-user", "jason"), 200, ms(7000)));
        for request in [
            scene.get("/"),
            scene.get("/").header("end-user", "bob"),
            scene.get("/").header("end-user", "Jason"),
            scene.get("/").header("end-user", ""),
            scene.get("/").header("user", "jason"),
        ] {
            let (status, took) = scene.timed(&request);
            assert!(status == 200 && took < ms(50), "{request:?}: {status}, {took:?}");
        }
    });
}

/// A request: method, path, headers.
type Sent = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const fn get(path: &'static str) -> Sent {
    ("GET", path, &[])
}

const fn post(path: &'static str) -> Sent {
    ("POST", path, &[])
}

const fn with(headers: &'static [(&'static str, &'static str)]) -> Sent {
    ("GET", "/", headers)
}

/// Matches, with requests that match and requests that do not.
const CASES: [(&str, &[Sent], &[Sent]); 31] = [
    (r#"{"uri": {"exact": "/a"}}"#, &[get("/a"), get("/a?x=1")], &[get("/ab"), get("/A"), get("/a/")]),
    (r#"{"uri": {"prefix": "/a"}}"#, &[get("/a"), get("/abc?x")], &[get("/b"), get("/A")]),
    (r#"{"uri": {"regex": "/a"}}"#, &[get("/a"), get("/a?x=1")], &[get("/ab"), get("/b/a")]),
    (r#"{"uri": {"exact": "/aB"}, "ignoreUriCase": true}"#, &[get("/Ab"), get("/AB?x")], &[get("/abc")]),
    (r#"{"uri": {"prefix": "/aB"}, "ignoreUriCase": true}"#, &[get("/Abc")], &[get("/a")]),
    (r#"{"method": {"exact": "POST"}}"#, &[post("/")], &[get("/")]),
    (r#"{"method": {"regex": "PO.*|PUT"}}"#, &[post("/")], &[get("/")]),
    (r#"{"authority": {"exact": "server:9080"}}"#, &[get("/")], &[with(&[("host", "server.default:9080")])]),
    (r#"{"authority": {"prefix": "server.def"}}"#, &[with(&[("host", "server.default:9080")])], &[get("/")]),
    // Envoy stores this header as the authority, and finds it by this name only if it is read alone.
    (r#"{"headers": {"Host": {"exact": "server:9080"}}}"#, &[get("/")], &[with(&[("host", "server.default:9080")])]),
    (
        r#"{"headers": {"a": {}, "b": {}, "c": {}, "host": {"exact": "server:9080"}}}"#,
        &[with(&[("a", "1"), ("b", "1"), ("c", "1")])],
        &[with(&[("a", "1"), ("b", "1"), ("c", "1"), ("host", "server.default:9080")])],
    ),
    (
        r#"{"headers": {"a": {}, "b": {}}, "withoutHeaders": {"HOST": {"prefix": "server:"}}}"#,
        &[with(&[("a", "1"), ("b", "1"), ("host", "server.default:9080")])],
        &[with(&[("a", "1"), ("b", "1")])],
    ),
    (r#"{"scheme": {"exact": "http"}}"#, &[get("/")], &[]),
    (r#"{"headers": {"x": {}}}"#, &[with(&[("x", "1")]), with(&[("x", "")])], &[get("/"), with(&[("y", "1")])]),
    (
        r#"{"headers": {"X": {"exact": "2"}}}"#,
        &[with(&[("x", "2")]), with(&[("x", "1"), ("x", "2")]), with(&[("x", "2"), ("x", "1")])],
        &[with(&[("x", "1")]), with(&[("x", "1,2")]), get("/")],
    ),
    (
        r#"{"headers": {"x": {"prefix": "ab"}, "y": {"regex": "\\d+"}}}"#,
        &[with(&[("x", "abc"), ("y", "12")])],
        &[with(&[("x", "abc"), ("y", "a12")]), with(&[("y", "12")])],
    ),
    (
        r#"{"withoutHeaders": {"x": {"exact": "1"}}}"#,
        &[get("/"), with(&[("x", "2")])],
        &[with(&[("x", "1")]), with(&[("x", "2"), ("x", "1")])],
    ),
    (r#"{"withoutHeaders": {"x": {}}}"#, &[get("/")], &[with(&[("x", "1")])]),
    (
        r#"{"queryParams": {"user": {"exact": "jason"}}}"#,
        &[get("/?user=jason"), get("/a?b&user=jason")],
        &[get("/"), get("/?user=bob&user=jason"), get("/?auser=jason")],
    ),
    // Istio's way to say that there is something.
    (r#"{"headers": {"x": {"regex": "*"}}}"#, &[with(&[("x", "1")]), with(&[("x", "")])], &[get("/")]),
    (r#"{"withoutHeaders": {"x": {"regex": "*"}}}"#, &[get("/")], &[with(&[("x", "1")]), with(&[("x", "")])]),
    (r#"{"queryParams": {"q": {"regex": "*"}}}"#, &[get("/?q"), get("/?q=1")], &[get("/?r"), get("/")]),
    (r#"{"method": {"regex": "*"}, "authority": {"regex": "*"}, "scheme": {"regex": "*"}}"#, &[get("/")], &[]),
    (r#"{"withoutHeaders": {"x": {"exact": ""}}}"#, &[with(&[("x", "1")])], &[get("/"), with(&[("x", "")])]),
    (r#"{"queryParams": {"debug": {}}}"#, &[get("/?debug"), get("/?debug=1")], &[get("/?debugger")]),
    // On loopback nothing redirects connections, so applications connect to the proxy's own port.
    (r#"{"port": 15001}"#, &[get("/")], &[]),
    (r#"{"port": 9080}"#, &[], &[get("/")]),
    (r#"{"routeName": {"exact": "default"}}"#, &[get("/")], &[]),
    (
        r#"{"downstreamNodes": ["a", "b"]}"#,
        &[with(&[("x-envoy-downstream-service-node", "b")])],
        &[get("/"), with(&[("x-envoy-downstream-service-node", "c")])],
    ),
    (r#"{"sourcePrincipals": [{"prefix": "spiffe://"}]}"#, &[], &[get("/")]),
    (
        r#"{"uri": {"exact": "/a"}}, {"method": {"exact": "POST"}}"#,
        &[get("/a"), post("/"), post("/a")],
        &[get("/"), get("/b")],
    ),
];

/// F13
#[test]
fn every_condition_hits_and_misses() {
    let scene = outbound("{}");
    for (matches, hits, misses) in CASES {
        let abort = r#""abort": {"httpStatus": 418, ALL}"#;
        assert_eq!(scene.push(&rule(abort, &format!(r#", "match": [{matches}]"#))), Update::Accepted);
        for (requests, expected) in [(hits, 418), (misses, 200)] {
            for (method, path, headers) in requests {
                // On a new connection: an existing one keeps the old rules.
                let request = Request::get(scene.proxy(), path).header("connection", "close");
                let mut request = request.method(method.parse().unwrap()).host(SERVER);
                for (name, value) in *headers {
                    request = request.header(name, value);
                }
                assert_eq!(scene.status(&request), expected, "{matches}: {method} {path} {headers:?}");
            }
        }
    }
}

/// A rule without a fault ends the search, as a route without one does in a `VirtualService`.
#[test]
fn a_rule_without_a_fault_exempts_those_that_it_is_for() {
    let exempt = r#"{"name": "exempt", "match": [{"headers": {"x-exempt": {"regex": "*"}}}]}"#.to_owned();
    let scene = outbound(&rules(&[exempt, named("all", r#""abort": {"httpStatus": 500, ALL}"#, "")]));
    assert_eq!(scene.status(&scene.get("/").header("x-exempt", "1")), 200);
    assert_eq!(scene.status(&scene.get("/").header("x-exempt", "")), 200);
    assert_eq!(scene.status(&scene.get("/")), 500);
    scene.expect(&[("fault_aborts_injected_total", "all 500", 1)]);
}

/// Patterns, with the `string_match` that istiod makes of them; it makes `present_match` of those without.
const PATTERNS: [(&str, Option<&str>); 8] = [
    ("{}", None),
    (r#"{"regex": "*"}"#, None),
    (r#"{"exact": ""}"#, Some("exact: ''")),
    (r#"{"exact": "v"}"#, Some("exact: v")),
    (r#"{"prefix": "v"}"#, Some("prefix: v")),
    (r#"{"regex": ".*"}"#, Some("safe_regex: { regex: '.*' }")),
    (r#"{"regex": "v?"}"#, Some("safe_regex: { regex: 'v?' }")),
    (r#"{"regex": "v"}"#, Some("safe_regex: { regex: v }")),
];

/// Envoy's own filter aborts, with 418, what a matcher of istiod's is for: `TranslateRouteMatch` and `translateHeaderMatch` in
/// Istio's `pilot/pkg/networking/core/route`.
fn by_istiod(field: &str, string_match: Option<&str>) -> String {
    let pattern = string_match.map_or("present_match: true".to_owned(), |text| format!("string_match: {{ {text} }}"));
    let inverted = match (field, string_match) {
        ("headers", _) => "",
        (_, None) => ", invert_match: true",
        (_, Some(_)) => ", invert_match: true, treat_missing_header_as_empty: true",
    };
    format!(
        "{{ applyTo: HTTP_FILTER, match: {{ context: SIDECAR_OUTBOUND, listener: {{ filterChain: {{ filter: {{
              name: envoy.filters.network.http_connection_manager,
              subFilter: {{ name: envoy.filters.http.fault }} }} }} }} }},
            patch: {{ operation: MERGE, value: {{ typed_config: {{
              '@type': type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault,
              abort: {{ http_status: 418, percentage: {{ numerator: 100 }} }},
              headers: [ {{ name: x-a, {pattern}{inverted} }} ] }} }} }} }}"
    )
}

#[test]
fn headers_match_as_in_an_envoy_that_istiod_has_configured() {
    for envoy in [tools::ENVOY_VERSION, tools::OLDEST_ENVOY] {
        let scene = Setting { envoy: Some(envoy), ..Setting::default() }.start();
        for (pattern, string_match) in PATTERNS {
            for field in ["headers", "withoutHeaders"] {
                headers_match_as_in(&scene, envoy, field, pattern, string_match);
            }
        }
    }
}

fn headers_match_as_in(scene: &Scene, envoy: &str, field: &str, pattern: &str, string_match: Option<&str>) {
    // Requests with this header are left to Envoy's filter.
    let by_envoy = r#"{"match": [{"headers": {"x-by-envoy": {}}}]}"#.to_owned();
    let matches = format!(r#", "match": [{{"{field}": {{"x-a": {pattern}}}}}]"#);
    let config = rules(&[by_envoy, named("r", r#""abort": {"httpStatus": 419, ALL}"#, &matches)]);
    let update = scene.mesh.push("client", |options| {
        options.plugins =
            vec![configured("remixer-fault-outbound", &config), configured("remixer-fault-inbound", "{}")];
        options.patches = vec![envoy_filter(ACCESS_LOG), envoy_filter(&by_istiod(field, string_match))];
    });
    assert_eq!(update.unwrap(), Update::Accepted, "{field} {pattern}");
    for values in [&[][..], &[""], &["v"], &["w"], &["vw"], &["v", "w"], &["w", "v"]] {
        // The oldest Envoy compares several lines as one text, newer ones each of them.
        if values.len() > 1 && envoy == tools::OLDEST_ENVOY {
            continue;
        }
        let request = || {
            let request = scene.get("/").header("connection", "close");
            values.iter().fold(request, |request, value| request.header("x-a", value))
        };
        let ours = scene.status(&request()) == 419;
        let envoy_s = scene.status(&request().header("x-by-envoy", "1")) == 418;
        assert_eq!(ours, envoy_s, "{envoy}: {field} {pattern} {values:?}");
    }
}

/// What RE2 takes and is refused here, a value that it matches there, and what to write instead.
const OF_RE2: [(&str, &str, &str); 11] = [
    (r"\pL", "a", "[a-zA-Z]"),
    (r"\p{Latin}", "a", "[a-zA-Z]"),
    (r"\Qa.b\E", "a.b", r"a\.b"),
    ("a{,3}", "a{,3}", r"a\{,3}"),
    ("/{id}", "/{id}", r"/\{id}"),
    ("[a[]", "[", r"[a\[]"),
    ("[a&&b]", "&", "[a&b]"),
    ("[a~~b]", "~", "[a~b]"),
    (r"\101", "A", r"\x41"),
    (r"\C", "a", "."),
    (r"\<", "<", "<"),
];

#[test]
fn what_is_told_to_be_valid_in_re2_is_so_in_envoy() {
    let mut scene = outbound("{}");
    scene.may_complain = true;
    for (regex, value, instead) in OF_RE2 {
        let ours = |regex: &str| {
            let escaped = regex.replace('\\', r"\\");
            rule(
                r#""abort": {"httpStatus": 419, ALL}"#,
                &format!(r#", "match": [{{"headers": {{"x-a": {{"regex": "{escaped}"}}}}}}]"#),
            )
        };
        let request = || scene.get("/").header("connection", "close").header("x-a", value);
        let Update::Refused(log) = scene.push(&ours(regex)) else { panic!("accepted: {regex}") };
        assert!(log.contains("` is valid in RE2, and not here: write "), "{log}");
        assert_eq!(scene.push(&ours(instead)), Update::Accepted, "{instead}");
        assert_eq!(scene.status(&request()), 419, "{instead} {value}");
        let by_envoy = by_istiod("headers", Some(&format!("safe_regex: {{ regex: '{regex}' }}")));
        let update = scene.mesh.push("client", |options| {
            options.plugins =
                vec![configured("remixer-fault-outbound", "{}"), configured("remixer-fault-inbound", "{}")];
            options.patches = vec![envoy_filter(ACCESS_LOG), envoy_filter(&by_envoy)];
        });
        assert_eq!(update.unwrap(), Update::Accepted, "{regex}");
        assert_eq!(scene.status(&request()), 418, "{regex} {value}");
    }
}

/// F13: only the first rule that matches applies.
#[test]
fn the_first_rule_that_matches_decides_even_if_it_does_nothing() {
    let abort =
        |status, percent| format!(r#""abort": {{"httpStatus": {status}, "percentage": {{"value": {percent}}}}}"#);
    let scene = outbound(&rules(&[
        named("first", &abort(501, 0), r#", "match": [{"headers": {"a": {}}}]"#),
        named("second", &abort(502, 100), r#", "match": [{"headers": {"a": {}}}, {"headers": {"b": {}}}]"#),
    ]));
    assert_eq!(scene.status(&scene.get("/").header("a", "1").header("b", "1")), 200);
    assert_eq!(scene.status(&scene.get("/").header("b", "1")), 502);
    assert_eq!(scene.status(&scene.get("/")), 200);
    scene.expect(&[("fault_aborts_injected_total", "second 502", 1)]);
}

/// F15
#[test]
fn the_source_is_the_node_on_the_way_out_and_the_peer_on_the_way_in() {
    let abort = |status, source: &str| {
        named(
            &format!("r{status}"),
            &format!(r#""abort": {{"httpStatus": {status}, ALL}}"#),
            &format!(r#", "match": [{source}]"#),
        )
    };
    let to = |path: &str, source: &str| format!(r#"{{"uri": {{"exact": "{path}"}}, {source}}}"#);
    let client = r#""sourceLabels": {"app": "client", "version": "v1"}, "sourceNamespace": "front""#;
    let outbound = rules(&[
        abort(511, &to("/out", r#""sourceLabels": {"app": "other"}"#)),
        abort(512, &to("/out", r#""sourceNamespace": "back""#)),
        abort(513, &to("/out", client)),
    ]);
    let inbound = rules(&[
        abort(521, &to("/in", r#""sourceLabels": {"app": "client", "version": "v2"}"#)),
        abort(522, &to("/in", r#""sourceNamespace": "back""#)),
        abort(523, &to("/in", client)),
        abort(
            524,
            &to(
                "/cert",
                r#""sourcePrincipals": [{"exact": "x"}, {"exact": "spiffe://cluster.local/ns/front/sa/shop-client"}]"#,
            ),
        ),
        abort(525, &to("/in", r#""sourceLabels": {"app": "server"}"#)),
    ]);
    for (envoy, exchange) in [
        (tools::ENVOY_VERSION, "separate/metadata-exchange"),
        (tools::ENVOY_VERSION, "telemetry"),
        (tools::OLDEST_ENVOY, "separate/metadata-exchange"),
        (tools::OLDEST_ENVOY, "telemetry"),
    ] {
        let scene = Setting {
            topology: PAIR,
            outbound: &outbound,
            inbound: &inbound,
            filters: &[exchange],
            envoy: Some(envoy),
            ..Setting::default()
        }
        .start_with(|options| {
            options.every_patch_must_match = false;
            options.plugins.push(configured("telemetry_inbound", r#"{"share_peers": true}"#));
        });
        for (path, status) in [("/out", 513), ("/in", 523), ("/cert", 524), ("/other", 200)] {
            assert_eq!(scene.status(&scene.get(path)), status, "{path}");
        }
        // From outside the mesh, the source is not known.
        let server = scene.mesh.sidecar("server").unwrap().inbound();
        for path in ["/in", "/cert"] {
            assert_eq!(scene.status(&Request::get(server, path)), 200, "{path}");
        }
    }
}

/// F16
#[test]
fn only_requests_for_one_version_are_aborted() {
    let topology = "
name: shop
workloads:
  - { name: client, app: client, address: 127.22.0.1, calls: [server] }
  - { name: server-v1, app: server, version: v1, address: 127.22.0.2, sidecar: false }
  - { name: server-v2, app: server, version: v2, address: 127.22.0.3, sidecar: false }
services:
  - name: server
    port: 9080
    protocol: http
    subsets: { v1: { version: v1 }, v2: { version: v2 } }
    routes: [ { to: { v1: 50, v2: 50 } } ]
";
    let abort = r#""abort": {"httpStatus": 503, ALL}"#;
    let config = rule(abort, r#", "match": [{"upstreamCluster": {"prefix": "outbound|9080|v2|"}}]"#);
    let scene = Setting { topology, outbound: &config, ..Setting::default() }.start();
    let statuses = load::send(scene.proxy(), 400, |_| load::get("/", ""));
    let [passed, aborted] = [200, 503].map(|status| statuses.get(&status).copied().unwrap_or_default());
    assert_eq!(passed + aborted, 400);
    assert!((120..=280).contains(&aborted), "{aborted}");
    let served = |version| scene.mesh.application(&format!("server-{version}")).unwrap().served();
    assert_eq!((served("v1"), served("v2")), (passed, 0));
    scene.expect(&[("fault_aborts_injected_total", "r 503", aborted)]);
}
