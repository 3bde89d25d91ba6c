//! S24, S25, S29: loops, faults before the mirror, and changes of the rules.

use local_mesh::{envoy_filter, PluginConfig, Request, Update};

use crate::backend::Reply;
use crate::scene::{all, configured, counts, mirror, ms, wait_for, wait_until, with, Setting, ONE_PROXY};

/// S24
#[test]
fn a_mirror_that_leads_back_is_left_at_once() {
    let scene = with("{}");
    let back = format!(
        "{{ applyTo: CLUSTER, match: {{ context: SIDECAR_OUTBOUND }}, patch: {{ operation: ADD, value: {{
            name: back, type: STATIC, connect_timeout: 1s, load_assignment: {{ cluster_name: back, endpoints: [ {{
              lb_endpoints: [ {{ endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }} }} ] }} ] }} }} }} }}",
        scene.proxy().ip(),
        scene.proxy().port()
    );
    let rules = format!(
        r#"{{"http": [{{"mirrors": [{}]}}]}}"#,
        mirror("m", "back", r#""disableShadowHostSuffixAppend": true"#)
    );
    let update = scene.mesh.push("client", |options| {
        options.patches.push(envoy_filter(&back));
        options.plugins = vec![configured(&rules)];
    });
    assert_eq!(update.unwrap(), Update::Accepted);
    assert_eq!(scene.status(&scene.get("/").header("connection", "close")), 200);
    scene.expect("shadow_requests_total", &[("m", 1)]);
    scene.expect("shadow_skipped_total", &[("m loop", 1)]);
    std::thread::sleep(ms(200));
    assert_eq!(scene.server.count(), 2);
}

/// S25
#[test]
fn a_request_is_mirrored_after_its_delay_and_not_if_it_is_aborted() {
    let faults = r#"{"http": [
        {"match": [{"uri": {"exact": "/abort"}}], "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}},
        {"fault": {"delay": {"fixedDelay": "300ms", "percentage": {"value": 100}}}}]}"#;
    let rules = all("");
    let setting = Setting { rules: &rules, filters: &["fault-outbound"], ..Setting::default() };
    let scene = setting.start_with(|options| {
        options.plugins.push(PluginConfig {
            workload: None,
            plugin: "remixer-fault-outbound".to_owned(),
            configuration: faults.to_owned(),
        });
    });
    std::thread::scope(|scope| {
        let delayed = scope.spawn(|| scene.timed(&scene.get("/delay")));
        std::thread::sleep(ms(150));
        assert_eq!(scene.mirror().count(), 0);
        let (status, took) = delayed.join().unwrap();
        assert!(status == 200 && took >= ms(300));
    });
    assert_eq!(scene.mirror().only().what, "GET /delay");
    assert_eq!(scene.status(&scene.get("/abort")), 503);
    std::thread::sleep(ms(100));
    assert!(scene.mirror().take().is_empty());
    scene.expect("shadow_requests_total", &[("m", 1)]);
    // The comparison does not include the delay.
    scene.expect("shadow_compare_total", &[("m candidate match", 1)]);
}

/// S29
#[test]
fn new_rules_do_not_disturb_what_is_under_way() {
    let rules = all("");
    let scene = Setting { rules: &rules, workers: 2, ..Setting::default() }.start();
    scene.mirror().reply(Reply::after(1000));
    let fresh = || scene.get("/").header("connection", "close");
    let answers = scene.mesh.client().send_together(&vec![fresh(); 100]);
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)));
    wait_for("under way", &100, || scene.total("shadow_in_flight"));
    assert_eq!(scene.push(&all("").replace("\"m\"", "\"new\"")), Update::Accepted);
    scene.mirror().reply(Reply::default());
    assert_eq!(scene.status(&fresh()), 200);
    scene.expect("shadow_responses_total", &[("m 2xx", 100), ("new 2xx", 1)]);
    scene.expect("shadow_compare_total", &[("m candidate match", 100), ("new candidate match", 1)]);
    scene.expect("shadow_requests_total", &[("m", 100), ("new", 1)]);
    wait_until(|| scene.total("shadow_in_flight") == 0);
}

/// A replaced configuration counts the copies that it still waits for at its end.
#[test]
fn what_ends_with_its_configuration_is_counted() {
    let rules = all(r#""timeout": "60s""#);
    let scene = Setting { rules: &rules, ..Setting::default() }.start_with(|options| options.drain = 1);
    scene.mirror().reply(Reply::after(30_000));
    for _ in 0..10 {
        assert_eq!(scene.status(&scene.get("/").header("connection", "close")), 200);
    }
    wait_for("under way", &10, || scene.total("shadow_in_flight"));
    assert_eq!(scene.push("{}"), Update::Accepted);
    scene.expect("shadow_responses_total", &[("m cancelled", 10)]);
    assert_eq!(scene.total("shadow_in_flight"), 0);
    scene.expect("shadow_requests_total", &[("m", 10)]);
}

/// S30: the caller's own metadata goes to the caller's mirror, which sees the true source, and no further.
#[test]
fn the_peer_s_metadata_stays_with_the_peer() {
    let topology = ONE_PROXY.replace("address: 127.24.0.2, sidecar: false", "address: 127.24.0.2");
    let rules = all("");
    let setting = Setting { topology: &topology, rules: &rules, filters: &["shadow-inbound"], ..Setting::default() };
    let scene = setting.start_with(|options| {
        let configuration = all("").replace("\"m\"", "\"in\"");
        options.plugins.push(PluginConfig {
            workload: None,
            plugin: "remixer-shadow-inbound".to_owned(),
            configuration,
        });
    });
    // The first copy is the client's, and goes directly to the mirror.
    let request = scene.get("/").header("x-envoy-peer-metadata", "e30").header("x-envoy-peer-metadata-id", "me");
    assert_eq!(scene.status(&request), 200);
    wait_until(|| scene.mirror().count() == 2);
    for copy in scene.mirror().take() {
        let is_of_caller = copy.header("x-shadow-mirror") == "m";
        let told = [copy.header("x-envoy-peer-metadata"), copy.header("x-envoy-peer-metadata-id")];
        assert_eq!(told, if is_of_caller { ["e30", "me"] } else { ["", ""] });
        let own = if is_of_caller { "client" } else { "server" };
        let forwarded = copy.header("x-forwarded-for");
        assert!(forwarded.ends_with(&scene.mesh.sidecar(own).unwrap().ip().to_string()), "{forwarded}");
    }
    let server = scene.mesh.sidecar("server").unwrap();
    wait_for("in", &[("in candidate match".to_owned(), 1)].into(), || counts(server, "shadow_compare_total"));
}

/// The files in `envoy/` insert the filter at the correct position: right before the router, on both sides and at gateways.
#[test]
fn all_files_are_applied_before_the_router() {
    let topology = "
name: shop
workloads:
  - { name: gateway, app: gateway, address: 127.24.0.1, gateway: { port: 8080, routes: [ { prefix: /, to: server } ] } }
  - { name: client, app: client, address: 127.24.0.2, calls: [server] }
  - { name: server, app: server, address: 127.24.0.3, serve: false }
  - { name: mirror, app: mirror, address: 127.24.0.4, sidecar: false, serve: false }
services:
  - { name: server, port: 9080, protocol: http }
  - { name: mirror, port: 9080, protocol: http }
";
    let filters = ["shadow-inbound", "shadow-gateway", "telemetry", "fault-outbound", "fault-inbound", "fault-gateway"];
    let scene = Setting { topology, filters: &filters, ..Setting::default() }.start();
    for sidecar in scene.mesh.sidecars() {
        let dump = sidecar.admin("/config_dump?resource=dynamic_listeners").unwrap();
        let places: Vec<usize> = dump.match_indices("\"name\": \"remixer.shadow\"").map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "{}", sidecar.name());
        for at in places {
            let (_, rest) = dump[at..].split_once("\"name\": \"envoy.filters.http.").unwrap();
            assert!(rest.starts_with("router\""), "{}: {}", sidecar.name(), &rest[..20]);
        }
    }
    let gateway = scene.mesh.gateway("gateway").unwrap();
    assert_eq!(scene.status(&Request::get(gateway, "/")), 200);
}
