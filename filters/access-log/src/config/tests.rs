#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn read(json: &str) -> Result<Config, String> {
    Config::parse(json.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn everything_has_a_default() {
    let expected = Config {
        preset: Preset::Istio,
        format: Format::Json,
        text_format: String::new(),
        fields: vec![],
        only_fields: vec![],
        remove_fields: vec![],
        rename_fields: TextMap::default(),
        omit_absent: false,
        ascii: false,
        max_line: 16_000,
        max_value: 4_000,
        policy: Policy::ALL,
        instance: None,
        level: "info",
        open_line: false,
        period: None,
        disable_host_header_fallback: false,
        fault_flags: false,
    };
    assert_eq!(read(""), Ok(expected.clone()));
    assert_eq!(read("{\"policy\": {}}"), Ok(expected));
}

#[test]
fn policies_are_read() {
    for (json, rule, always_errors) in [
        (r#"{"log": "ERRORS"}"#, Rule::Errors, false),
        (r#"{"log": "PERCENTAGE", "percentage": 12.5, "always_errors": true}"#, Rule::Percentage(12_500), true),
        (r#"{"log": "PERCENTAGE", "percentage": 0.001}"#, Rule::Percentage(1), false),
        (r#"{"log": "PERCENTAGE", "percentage": 100}"#, Rule::Percentage(100_000), false),
        (r#"{"log": "FIRST_IN_WINDOW"}"#, Rule::Window(DEFAULT_WINDOW, 500), true),
        (
            r#"{"log": "FIRST_IN_WINDOW", "window": "1m", "max_peers": 7, "always_errors": false}"#,
            Rule::Window(Duration::from_secs(60), 7),
            false,
        ),
    ] {
        let policy = read(&format!("{{\"policy\": {json}}}")).expect(json).policy;
        assert_eq!(policy, Policy { rule, condition: None, always_errors }, "{json}");
    }
}

#[test]
fn every_wrong_field_is_named() {
    let error = read(
        r#"{
            "preset": "mixer",
            "format": "JSON",
            "text_format": "%PROTOCOL%",
            "fields": [
                {"name": "a", "value": "request.id", "field": "path", "as": "SHOUTED"},
                {"name": "a", "fallback": [""], "type": "MAP"},
                {"value": "1", "max_length": -1}
            ],
            "only_fields": "path",
            "rename_fields": {"path": 1},
            "max_line_length": 10,
            "policy": {"log": "SOME", "percentage": 101, "window": "1h", "matches": "true"},
            "tcp_reporting_duration": "10ms",
            "level": "debug"
        }"#,
    )
    .expect_err("refused");
    for problem in [
        "preset: \"mixer\" is not allowed, must be \"ISTIO\" or \"MIXER\"; ",
        "text_format: \"%PROTOCOL%\" has no effect, must be left out or format be \"TEXT\"; ",
        "fields[0].field: given beside value, must be one of them; ",
        "fields[0].as: \"SHOUTED\" is not allowed, must be \"TEXT\" or \"NUMBER\" or ",
        "fields[1].name: \"a\" is given twice, must be another; ",
        "fields[1].value: missing; ",
        "fields[1].fallback: [\"\"] is not allowed, must be a list of at most 200 texts, none empty; ",
        "fields[1].type: \"MAP\" is not allowed, must be \"TEXT\" or ",
        "fields[2].name: missing; ",
        "fields[2].max_length: -1 is not allowed, must be a whole number from 0 to 1000000; ",
        "only_fields: \"path\" is not allowed, must be a list of at most 200 texts, none empty; ",
        "rename_fields: {\"path\":1} is not allowed, must be an object of texts; ",
        "max_line_length: 10 is not allowed, must be a whole number from 200 to 1000000; ",
        "policy.log: \"SOME\" is not allowed, must be \"ALL\" or \"ERRORS\" or \"PERCENTAGE\" or \"FIRST_IN_WINDOW\"; ",
        "policy.percentage: 101 is not allowed, must be a number from 0 to 100 with at most three decimals; ",
        "policy.percentage: 101 has no effect, must be left out or log be \"PERCENTAGE\"; ",
        "policy.window: \"1h\" has no effect, must be left out or log be \"FIRST_IN_WINDOW\"; ",
        "policy.matches: unknown field (value \"true\"), known are ",
        "tcp_reporting_duration: is too short, must be at least 100ms, or 0s for never; ",
        "level: \"debug\" is not allowed, must be \"info\" or \"warn\" or \"error\"",
    ] {
        assert!(error.contains(problem), "{problem} in {error}");
    }
}

#[test]
fn a_percentage_that_is_needed_is_asked_for() {
    let error = read(r#"{"policy": {"log": "PERCENTAGE"}}"#).expect_err("refused");
    assert_eq!(error, "configuration refused, 1 problem: policy.percentage: missing");
}

#[test]
fn what_has_no_effect_is_refused() {
    const JSON: &str = "format be \"JSON\"";
    const MIXER: &str = "format be \"JSON\" and preset be \"MIXER\"";
    const LINES: &str = "format be \"JSON\" or \"TEXT\"";
    for (json, problems) in [
        (
            r#"{"format": "TEXT", "fields": [{"name": "a", "field": "path"}]}"#,
            &[("fields", "[{\"name\":\"a\",\"field\":\"path\"}]", JSON)][..],
        ),
        (r#"{"text_format": "%PROTOCOL%", "onlyFields": ["path"]}"#, &[("only_fields", "[\"path\"]", JSON)]),
        (
            r#"{"format": "NONE", "remove_fields": [], "rename_fields": {"path": "url"}, "omit_absent": true}"#,
            &[
                ("remove_fields", "[]", JSON),
                ("rename_fields", "{\"path\":\"url\"}", JSON),
                ("omit_absent", "true", JSON),
            ],
        ),
        (
            r#"{"format": "TEXT", "preset": "MIXER", "level": "warn"}"#,
            &[("preset", "\"MIXER\"", JSON), ("level", "\"warn\"", MIXER)],
        ),
        (r#"{"format": "TEXT", "instance": "newlog"}"#, &[("instance", "\"newlog\"", MIXER)]),
        (r#"{"text_format": "%PROTOCOL%", "level": "warn"}"#, &[("level", "\"warn\"", MIXER)]),
        (
            r#"{"instance": "newlog", "level": "info"}"#,
            &[("instance", "\"newlog\"", MIXER), ("level", "\"info\"", MIXER)],
        ),
        (
            r#"{"format": "NONE", "ascii": true, "max_line_length": 500, "max_value_length": 100}"#,
            &[("ascii", "true", LINES), ("max_line_length", "500", LINES), ("max_value_length", "100", LINES)],
        ),
    ] {
        let error = read(json).expect_err(json);
        let told: Vec<String> = problems
            .iter()
            .map(|(field, value, condition)| format!("{field}: {value} has no effect, must be left out or {condition}"))
            .collect();
        let count = if told.len() == 1 { "1 problem".into() } else { format!("{} problems", told.len()) };
        assert_eq!(error, format!("configuration refused, {count}: {}", told.join("; ")), "{json}");
    }
}

#[test]
fn what_has_an_effect_is_accepted() {
    for json in [
        r#"{"text_format": "%PROTOCOL%", "ascii": true, "max_line_length": 500, "max_value_length": 100}"#,
        r#"{"format": "JSON", "text_format": "", "omit_absent": false}"#,
        r#"{"preset": "MIXER", "instance": "newlog", "level": "warn", "only_fields": ["latency"]}"#,
        r#"{"format": "NONE", "policy": {"log": "ERRORS"}, "tcp_open_line": true, "fault_flags": true}"#,
    ] {
        assert!(read(json).is_ok(), "{json}");
    }
}

#[test]
fn a_plugin_for_requests_has_no_fields_of_connections() {
    let read = |json: &str| {
        configuration::parse(json.as_bytes(), Config::read_for_requests).map_err(|error| error.to_string())
    };
    assert_eq!(read("{}"), Config::parse(b"{}").map_err(|error| error.to_string()));
    assert_eq!(
        read(r#"{"tcp_open_line": true, "tcpReportingDuration": "1s"}"#).expect_err("refused"),
        "configuration refused, 2 problems: tcp_open_line: true has no effect, must be left out or root_id be \
         \"tcp_access_log\"; tcp_reporting_duration: \"1s\" has no effect, must be left out or root_id be \"tcp_access_log\""
    );
}
