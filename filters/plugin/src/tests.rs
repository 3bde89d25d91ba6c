use configuration::Problem;
use host::fake::FakeHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const GAUGE: &str = "component.fault/outbound.remixer_configuration_refused";

fn host() -> FakeHost {
    named("outbound")
}

fn named(name: &str) -> FakeHost {
    let mut host = FakeHost::new();
    host.with_text(property::PLUGIN_ROOT_ID, "fault").with_text(property::PLUGIN_NAME, name);
    host
}

/// A filter that takes any configuration but "bad".
fn make(json: &[u8]) -> Result<String, ConfigError> {
    let problem = Problem { path: "x".into(), message: "bad".into() };
    ConfigError::unless_empty(if json.starts_with(b"bad") { vec![problem] } else { Vec::new() })?;
    Ok(String::from_utf8_lossy(json).into_owned())
}

fn configure(plugin: &mut Plugin, host: &FakeHost, json: &str) -> Option<String> {
    plugin.configure(host, json.into(), make)
}

/// Another plugin of the VM, and what its filter was made of.
fn begin(plugins: &Plugins, host: &FakeHost, json: &str) -> (Plugin, Option<String>) {
    let mut plugin = Plugin::new("fault", plugins);
    let made = configure(&mut plugin, host, json);
    (plugin, made)
}

fn gauge(host: &FakeHost) -> Option<u64> {
    host.values().get(GAUGE).copied()
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

#[test]
fn a_plugin_that_was_never_refused_has_no_gauge_and_no_timer() {
    let (plugins, host) = (Plugins::default(), host());
    let (mut plugin, made) = begin(&plugins, &host, "good");
    assert_eq!((made, plugin.unsaid, gauge(&host), host.next_tick()), (text("good"), None, None, None));
    plugin.end(&host);
    assert_eq!(gauge(&host), None);
}

#[test]
fn a_refused_configuration_leaves_the_last_valid_one() {
    let (plugins, host) = (Plugins::default(), host());
    let (mut first, _) = begin(&plugins, &host, "first");
    let (mut second, _) = begin(&plugins, &host, "second");
    first.end(&host);
    let (mut bad, made) = begin(&plugins, &host, "bad");
    assert_eq!((made, bad.unsaid, gauge(&host)), (text("second"), None, Some(1)));
    // The plugin of the valid configuration ends when its streams have ended. What came after it keeps the configuration.
    second.end(&host);
    let (mut worse, made) = begin(&plugins, &host, "bad, too");
    assert_eq!((made, gauge(&host)), (text("second"), Some(1)));
    bad.end(&host);
    assert_eq!(gauge(&host), Some(1));
    let (_corrected, made) = begin(&plugins, &host, "corrected");
    assert_eq!((made, gauge(&host)), (text("corrected"), Some(0)));
    worse.end(&host);
    assert_eq!(gauge(&host), Some(0));
}

#[test]
fn without_a_valid_configuration_a_plugin_does_nothing_and_says_so_at_the_first_tick() {
    let (plugins, host) = (Plugins::default(), host());
    let (mut plugin, made) = begin(&plugins, &host, "bad");
    assert_eq!((made, gauge(&host), host.tick_period()), (None, None, SAID_AFTER));
    assert_eq!(plugin.unsaid, Some(Instead::Nothing));
    plugin.on_tick(&host);
    assert_eq!((plugin.unsaid, gauge(&host), host.tick_period()), (None, Some(1), Duration::ZERO));
    let (_corrected, made) = begin(&plugins, &host, "good");
    assert_eq!((made, gauge(&host)), (text("good"), Some(0)));
}

#[test]
fn a_filter_that_traffic_needs_has_its_defaults_and_keeps_its_timer() {
    let (plugins, host) = (Plugins::default(), host());
    let mut plugin = Plugin::new("fault", &plugins).with_defaults(|_| "safe");
    assert_eq!(configure(&mut plugin, &host, "bad"), text("safe"));
    assert_eq!(plugin.unsaid, Some(Instead::Defaults("safe")));
    plugin.on_tick(&host);
    assert_eq!(host.tick_period(), SAID_AFTER, "the filter's own");
    // Defaults are no configuration that another plugin would keep.
    assert_eq!(begin(&plugins, &host, "bad").1, None);
}

#[test]
fn what_is_to_be_said_does_not_wait_for_the_filter_s_own_timer() {
    let (plugins, host, period) = (Plugins::default(), host(), Duration::from_secs(15));
    let mut plugin = Plugin::new("fault", &plugins).with_defaults(|_| "safe");
    configure(&mut plugin, &host, "bad");
    assert_eq!((plugin.tick_every(&host, period), host.tick_period()), (Ok(()), SAID_AFTER));
    plugin.on_tick(&host);
    assert_eq!((gauge(&host), host.tick_period()), (Some(1), period));
    let (mut valid, _) = begin(&plugins, &host, "good");
    assert_eq!((valid.tick_every(&host, SAID_AFTER), host.tick_period()), (Ok(()), SAID_AFTER));
}

#[test]
fn a_plugin_that_is_configured_again_keeps_what_it_has() {
    let (plugins, host) = (Plugins::default(), host());
    let (mut plugin, _) = begin(&plugins, &host, "good");
    assert_eq!(configure(&mut plugin, &host, "bad"), None);
    assert_eq!((plugin.unsaid, gauge(&host)), (None, Some(1)));
    assert_eq!(configure(&mut plugin, &host, "better"), text("better"));
    assert_eq!((plugin.unsaid, gauge(&host)), (None, Some(0)));
    assert_eq!(begin(&plugins, &host, "bad").1, text("better"));
}

#[test]
fn plugins_of_another_name_root_id_or_vm_are_others() {
    let (plugins, host) = (Plugins::default(), host());
    let (_plugin, _) = begin(&plugins, &host, "good");
    let mut other_root = FakeHost::new();
    other_root.with_text(property::PLUGIN_ROOT_ID, "stats").with_text(property::PLUGIN_NAME, "outbound");
    for other in [named("inbound"), other_root, FakeHost::new()] {
        assert_eq!(begin(&plugins, &other, "bad").1, None);
    }
    let mut outbound = named("outbound");
    outbound.with_int(property::PLUGIN_DIRECTION, 2);
    assert_eq!(begin(&plugins, &outbound, "bad").1, None);
    assert_eq!(begin(&Plugins::default(), &host, "bad").1, None);
}

#[test]
fn the_gauge_is_of_both_directions() {
    let (plugins, mut host) = (Plugins::default(), host());
    let (mut bad, _) = begin(&plugins, &host, "bad");
    bad.on_tick(&host);
    host.with_int(property::PLUGIN_DIRECTION, 2);
    let (_good, _) = begin(&plugins, &host, "good");
    assert_eq!(gauge(&host), Some(1));
}

#[test]
fn rules_that_were_removed_do_not_come_back() {
    let (plugins, host) = (Plugins::default(), host());
    let (mut plugin, _) = begin(&plugins, &host, "good");
    plugin.end(&host);
    let (mut bad, made) = begin(&plugins, &host, "bad");
    bad.on_tick(&host);
    assert_eq!((made, gauge(&host)), (None, Some(1)));
    bad.end(&host);
    assert_eq!(gauge(&host), Some(0), "nothing is refused any more");
}

/// A stream of a plugin begins, on this connection.
fn stream(plugin: &Plugin, connection: i64) -> FakeHost {
    let mut host = host();
    host.with_int(property::CONNECTION_ID, connection);
    plugin.on_stream(&host);
    host
}

#[test]
fn a_configuration_that_was_put_back_is_the_last_one() {
    let (plugins, host) = (Plugins::default(), host());
    let (first, _) = begin(&plugins, &host, "first");
    let (second, _) = begin(&plugins, &host, "second");
    stream(&first, 4); // a connection that began before
    stream(&second, 5);
    stream(&first, 3);
    let (bad, made) = begin(&plugins, &host, "bad");
    assert_eq!(made, text("second"));
    stream(&bad, 6);
    // Envoy takes up the first one.
    for (connection, refused) in [(4, 1), (5, 1), (7, 0)] {
        let shown = stream(&first, connection);
        assert_eq!(plugins.is_refused("fault/outbound"), refused == 1);
        assert_eq!(shown.take_calls() > 1, refused == 0, "{connection}");
    }
    stream(&second, 5);
    stream(&bad, 6);
    let (_bad, made) = begin(&plugins, &host, "bad, too");
    assert_eq!(made, text("first"));
}

/// Where plugins change under a connection, as by ECDS.
#[test]
fn a_configuration_that_was_put_back_under_a_connection_is_the_last_one() {
    let (plugins, host) = (Plugins::default(), host());
    let (first, _) = begin(&plugins, &host, "first");
    let (second, _) = begin(&plugins, &host, "second");
    stream(&first, 4);
    stream(&second, 4);
    stream(&first, 4);
    assert_eq!(begin(&plugins, &host, "bad").1, text("first"));
    drop((first, second));
}

#[test]
fn a_plugin_without_others_of_its_name_asks_for_no_connection() {
    let (plugins, host) = (Plugins::default(), host());
    let (plugin, _) = begin(&plugins, &host, "good");
    let (_other, _) = begin(&plugins, &named("inbound"), "good");
    let (mut update, _) = begin(&plugins, &host, "better");
    assert_eq!(stream(&plugin, 1).take_calls(), 1);
    update.end(&host);
    assert_eq!(stream(&plugin, 2).take_calls(), 0);
}

#[test]
fn a_configuration_that_is_valid_no_more_is_not_kept() {
    let (plugins, host) = (Plugins::default(), host());
    let (_plugin, _) = begin(&plugins, &host, "good");
    let mut bad = Plugin::new("fault", &plugins);
    let made: Option<()> = bad.configure(&host, b"bad".to_vec(), |_| make(b"bad").map(drop));
    assert_eq!((made, bad.unsaid), (None, Some(Instead::Nothing)));
}

#[test]
fn the_label_names_the_filter_where_there_is_no_root_id() {
    let (plugins, host) = (Plugins::default(), FakeHost::new());
    begin(&plugins, &host, "bad").0.on_tick(&host);
    assert!(host.values().contains_key("component.fault.remixer_configuration_refused"), "{:?}", host.values());
}
