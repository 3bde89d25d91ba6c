//! S8: the percentage of mirrored requests.

use std::collections::BTreeSet;

use crate::load;
use crate::scene::{all, loud, mirror, Setting, MIRROR};

/// Requests per round.
const COUNT: usize = 4000;

/// Whether a number of hits is at most four standard deviations from the expected number.
fn is_fair(hits: usize, share: f64) -> bool {
    let expected = COUNT as f64 * share;
    (hits as f64 - expected).abs() <= 4.0 * (expected * (1.0 - share)).sqrt()
}

/// A request id. Ids also differ in digit 14, where Envoy writes the tracing decision.
fn request_id(number: usize, digit: char) -> String {
    format!("{number:08x}-5b1e-{digit}f0e-8d0a-{:012x}", number * 7919)
}

#[test]
fn shares_are_met_and_samples_are_the_same_for_a_salt() {
    // Clients inside the mesh may keep their request ids.
    let keeps_id = "{ applyTo: NETWORK_FILTER, match: { context: SIDECAR_OUTBOUND, listener: { filterChain: {
          filter: { name: envoy.filters.network.http_connection_manager } } } },
        patch: { operation: MERGE, value: { typed_config: {
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
          preserve_external_request_id: true } } } }";
    let wide = r#""limits": {"maxInFlight": 10000}"#;
    let rules = |text: &str| text.replacen('{', &format!("{{{wide}, "), 1);
    let scene = Setting { rules: "{}", patches: &[keeps_id], ..Setting::default() }.start();
    let _loud = loud();
    let round = |rules: &str| {
        scene.push(rules);
        scene.mirror().take();
        let statuses = load::send(scene.proxy(), COUNT, |number| {
            load::get("/", &format!("x-request-id: {}\r\n", request_id(number, '4')))
        });
        assert_eq!(statuses, [(200, COUNT as u64)].into());
        crate::scene::wait_until(|| scene.total("shadow_in_flight") == 0);
        std::thread::sleep(crate::scene::ms(200));
        let seen = scene.mirror().take();
        let of = |name: &str| -> BTreeSet<String> {
            seen.iter()
                .filter(|seen| seen.header("x-shadow-mirror") == name)
                .map(|seen| seen.header("x-request-id"))
                .collect()
        };
        [of("m"), of("n")]
    };
    for (percentage, share) in [
        (r#""percentage": {"value": 0}"#, 0.0),
        (r#""percentage": {"value": 25}"#, 0.25),
        (r#""percentage": {"value": 25}, "sampling": {"key": "random"}"#, 0.25),
        (r#""percentage": {"value": 100}"#, 1.0),
        ("", 1.0),
    ] {
        let [hits, _] = round(&rules(&all(percentage)));
        assert!(is_fair(hits.len(), share), "{percentage}: {}", hits.len());
    }
    let two = |salts: [&str; 2]| {
        let [one, other] = [("m", 25, salts[0]), ("n", 50, salts[1])].map(|(name, percent, salt)| {
            let more = format!(r#""percentage": {{"value": {percent}}}, "sampling": {{"salt": "{salt}"}}"#);
            mirror(name, MIRROR, &more)
        });
        rules(&format!(r#"{{"http": [{{"mirrors": [{one}, {other}]}}]}}"#))
    };
    let [quarter, half] = round(&two(["a", "a"]));
    assert!(is_fair(quarter.len(), 0.25) && is_fair(half.len(), 0.5), "{} {}", quarter.len(), half.len());
    assert!(quarter.is_subset(&half));
    let [other_quarter, other_half] = round(&two(["a", "b"]));
    assert_eq!(other_quarter, quarter, "the same requests");
    let joint = other_quarter.intersection(&other_half).count();
    assert!(is_fair(joint, 0.125), "{joint}");
    // Envoy's digit in the id does not matter.
    for number in 0..200 {
        for digit in ['4', '9', 'a'] {
            let id = request_id(number, digit);
            let head = load::get("/", &format!("x-request-id: {id}\r\nconnection: close\r\n"));
            assert!(scene.raw(head.as_bytes(), crate::scene::ms(2000)).starts_with("HTTP/1.1 200"));
        }
    }
    std::thread::sleep(crate::scene::ms(300));
    let ids: Vec<String> = scene
        .mirror()
        .take()
        .iter()
        .filter(|seen| seen.header("x-shadow-mirror") == "m")
        .map(|seen| seen.header("x-request-id"))
        .collect();
    let numbers: BTreeSet<&str> = ids.iter().map(|id| &id[..8]).collect();
    assert_eq!(ids.len(), numbers.len() * 3, "all three or none");
    assert!((25..75).contains(&numbers.len()), "{}", numbers.len());
}
