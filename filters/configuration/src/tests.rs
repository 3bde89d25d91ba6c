use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn read(json: &str) -> Result<(bool, u64, Duration, Vec<String>), String> {
    parse(json.as_bytes(), |section| {
        section.ignore(&["debug"]);
        (
            section.boolean("disable_host_header_fallback", false),
            section.integer("max_series", 1..=100, 50),
            section.duration("period", Duration::from_millis(100)..=Duration::from_secs(3600), Duration::from_secs(15)),
            section.texts("names", 2),
        )
    })
    .map_err(|error| error.to_string())
}

#[test]
fn nothing_is_the_defaults() {
    for json in ["", "  \n", "{}"] {
        assert_eq!(read(json), Ok((false, 50, Duration::from_secs(15), vec![])));
    }
}

#[test]
fn both_spellings_and_quoted_scalars_are_read() {
    let expected = Ok((true, 7, Duration::from_millis(90_500), vec!["a".to_string()]));
    for json in [
        r#"{"disable_host_header_fallback": true, "max_series": 7, "period": "1m30.5s", "names": ["a"]}"#,
        r#"{"disableHostHeaderFallback": "true", "maxSeries": "7", "period": "90500ms", "names": ["a"]}"#,
    ] {
        assert_eq!(read(json), expected, "{json}");
    }
}

#[test]
fn the_trailing_commas_of_istio_1_5_are_forgiven() {
    assert_eq!(read("{\"debug\": \"false\",\n}"), read("{}"));
    assert_eq!(read(r#"{"names": ["a,]", "\",}" , ] , }"#).map(|read| read.3), Ok(vec!["a,]".into(), "\",}".into()]));
    assert!(read("{,}").is_err());
}

#[test]
fn every_wrong_field_is_named_with_value_and_what_is_allowed() {
    let json =
        r#"{"disable_host_header_fallback": "maybe", "max_series": 0, "period": "soon", "names": [1], "max_serie": 3}"#;
    assert_eq!(
        read(json),
        Err("configuration refused, 5 problems: \
             disable_host_header_fallback: \"maybe\" is not allowed, must be true or false; \
             max_series: 0 is not allowed, must be a whole number from 1 to 100; \
             period: \"soon\" is not allowed, must be a duration such as \"15s\" or \"500ms\", from 100ms to 3600s; \
             names: [1] is not allowed, must be a list of at most 2 texts, none empty; \
             max_serie: unknown field (value 3), known are debug, disable_host_header_fallback, max_series, names, period; \
             did you mean `max_series`?"
            .into())
    );
}

#[test]
fn what_is_no_object_is_refused() {
    for (json, message) in [
        ("{\"a\": ", "not valid JSON: EOF while parsing a value at line 1 column 6"),
        ("[]", "[] is not allowed, must be a JSON object"),
        ("\"{}\"", "\"{}\" is not allowed, must be a JSON object"),
        ("\n\u{1c}\n\u{12}", "configuration is not JSON text: use google.protobuf.StringValue"),
        ("\u{fffd}", "not valid JSON: expected value at line 1 column 1"),
    ] {
        assert_eq!(read(json), Err(format!("configuration refused, 1 problem: {message}")), "{json}");
    }
}

#[test]
fn a_field_in_both_spellings_is_refused() {
    assert_eq!(
        read(r#"{"max_series": 1, "maxSeries": 2}"#),
        Err("configuration refused, 1 problem: max_series: given twice, also as maxSeries".into())
    );
}

#[test]
fn each_known_field_is_named_once_however_often_it_was_asked_for() {
    let error = parse(br#"{"a": 1, "c": 2}"#, |section| {
        section.ignore(&["b_c", "a", "b_c"]);
        section.any_text_such_as("b_c", "");
        section.ignore(&["a"]);
    });
    let told = error.expect_err("refused").to_string();
    assert_eq!(told, "configuration refused, 1 problem: c: unknown field (value 2), known are a, b_c");
}

#[test]
fn a_field_that_is_none_any_more_is_refused_by_either_spelling_and_not_known() {
    for name in ["old_name", "oldName"] {
        let mut is_given = (false, false);
        let error = parse(format!("{{\"{name}\": 1, \"zz\": 2}}").as_bytes(), |section| {
            section.ignore(&["new"]);
            is_given =
                (section.refuse_if_given("old_name", "deprecated, use new"), section.refuse_if_given("older", ""));
        });
        let told = error.expect_err("refused").to_string();
        let unknown = "zz: unknown field (value 2), known are new";
        assert_eq!(told, format!("configuration refused, 2 problems: {name}: deprecated, use new; {unknown}"));
        assert_eq!(is_given, (true, false));
    }
}

#[test]
fn a_field_that_is_given_twice_is_refused_wherever_it_is() {
    let json = r#"{"a": 1, "b": [{"c": "x\"}", "d": {}}, {"c": [1, 2], "d": {"e": 1, "f": true, "e": 2}, "c": []}], "a": {"a": 1}}"#;
    let error = parse(json.as_bytes(), |section| section.ignore(&["a", "b"])).expect_err("refused").to_string();
    assert_eq!(
        error,
        "configuration refused, 3 problems: \
         b[1].d.e: duplicate field; b[1].c: duplicate field; a: duplicate field"
    );
    assert!(parse(br#"{"a": "\\", "b": {"a": 1}, "c": [{"a": 1}, {"a": 2}],}"#, |section| {
        section.ignore(&["a", "b", "c"]);
    })
    .is_ok());
}

#[test]
fn texts_are_read_and_what_is_refused_is_quoted_as_written() {
    let json = "{ \"names\" : [ \"\\u00fc \\\"\" ], \"max_series\" : { \"a b\" :\n [ 1.50, \"\\\" :\" ] } }";
    assert_eq!(
        read(json),
        Err("configuration refused, 1 problem: max_series: {\"a b\":[1.50,\"\\\" :\"]} is not allowed, \
             must be a whole number from 1 to 100"
            .into())
    );
    assert_eq!(read(r#"{"names": ["\u00fc \""]}"#).map(|read| read.3), Ok(vec!["ü \"".to_string()]));
    for number in ["1.0", "-1", "1e1", "18446744073709551616", "1e999", "true", "\"+ 1\""] {
        assert!(read(&format!("{{\"max_series\": {number}}}")).is_err(), "{number}");
    }
}

#[test]
fn escapes_without_meaning_and_deep_nesting_are_refused() {
    let error = |json: &str| parse(json.as_bytes(), |section| section.ignore(&["a"])).expect_err("refused").to_string();
    assert_eq!(
        error(r#"{"a": [1, "\ud800"]}"#),
        "configuration refused, 1 problem: a[1]: not valid JSON: an escape that stands for no character, or too large a number"
    );
    assert_eq!(
        error(r#"{"a": {"\udfff": 1}}"#),
        "configuration refused, 1 problem: a: not valid JSON: an escape that stands for no character, or too large a number"
    );
    let nested = |depth| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(60).as_bytes(), |section| section.ignore(&["a"])).is_ok());
    assert!(error(&nested(100_000)).ends_with(": nested too deeply"));
}

#[test]
fn texts_are_what_serde_json_reads() {
    let escapes = [
        "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0000", "\\u00E9", "\\uffff", "\\ud83d",
        "\\ude00", "ü", "u", "0",
    ];
    for one in escapes {
        for two in escapes {
            for three in escapes {
                let json = format!("\"{one}{two}{three}\"");
                let expected = serde_json::from_str::<String>(&json).ok();
                let read = parse(format!("{{\"a\": {json}}}").as_bytes(), |section| section.any_text("a"));
                assert_eq!(read.ok().flatten(), expected, "{json}");
            }
        }
    }
}

#[test]
fn numbers_that_no_float_holds_are_refused() {
    for (number, is_read) in [
        ("1e308", true),
        ("-123.5E+3", true),
        ("0e999", true),
        ("1e-99999999999999999999", true),
        ("1e309", false),
        ("-1e999", false),
        ("1e99999999999999999999", false),
        (&"1".repeat(309), true),
        (&"1".repeat(310), false),
    ] {
        let read = parse(format!("{{\"a\": [{number}]}}").as_bytes(), |section| section.ignore(&["a"]));
        assert_eq!(read.is_ok(), is_read, "{number}");
        assert_eq!(serde_json::from_str::<f64>(number).is_ok(), is_read, "{number}");
    }
}

#[test]
fn values_are_found_between_any_white_space() {
    let json = "\t{ \"a\" :\r\n[ ] ,\"b\":{\"c\":[true,{\"d\":\"}\\\\\"},null,-1.5e3 ]} , \"e\":\"\"}\n";
    let read = parse(json.as_bytes(), |section| {
        let inner = section.object("b", |section| {
            section.refuse("c", section.has("c").to_string());
            section.ignore(&["c"]);
        });
        (section.texts("a", 1), inner, section.any_text("e"))
    });
    assert_eq!(read.map_err(|error| error.to_string()), Err("configuration refused, 1 problem: b.c: true".into()));
    let error = read_any(&json.replace("\"b\"", "\"f\""));
    assert_eq!(error, "configuration refused, 1 problem: f: unknown field (value {\"c\":[true,{\"d\":\"}\\\\\"},null,-1.5e3]}), known are a, e");
}

fn read_any(json: &str) -> String {
    parse(json.as_bytes(), |section| section.ignore(&["a", "e"])).expect_err("refused").to_string()
}

#[test]
fn what_stands_within_objects_is_read_and_named() {
    let read = |json: &str| {
        parse(json.as_bytes(), |section| {
            let inner = section.object("inner", |section| {
                section.scalar("even", |text| match text.parse::<u64>() {
                    Ok(number) if number % 2 == 0 => Ok(number),
                    _ => Err("is not an even number".into()),
                })
            });
            let map = section.object_map("map", |name, section| (name.to_string(), section.any_text("text")));
            (section.has("limit"), section.optional_integer("limit", 1..=9), inner.flatten(), map)
        })
        .map_err(|error| error.to_string())
    };
    assert_eq!(read("{}"), Ok((false, None, None, vec![])));
    assert_eq!(
        read(r#"{"limit": 2, "inner": {"even": "4"}, "map": {"a b": {"text": ""}}}"#),
        Ok((true, Some(2), Some(4), vec![("a b".to_string(), Some(String::new()))]))
    );
    assert_eq!(
        read(r#"{"limit": 0, "inner": {"even": 5, "odd": 1}, "map": {"a b": {"text": 1}}}"#),
        Err("configuration refused, 4 problems: \
             inner.even: 5 is not an even number; \
             inner.odd: unknown field (value 1), known are even; \
             map[\"a b\"].text: expected string, got number 1; \
             limit: 0 is not in range 1-9"
            .into())
    );
    for (limit, message) in [
        ("10", "10 is not in range 1-9"),
        ("-1", "-1 is not in range 1-9"),
        ("\"12\"", "\"12\" is not in range 1-9"),
        ("99999999999999999999999", "99999999999999999999999 is not in range 1-9"),
        ("1.5", "expected integer, got number 1.5, must be in range 1-9"),
        ("\"x\"", "expected integer, got string \"x\", must be in range 1-9"),
        ("true", "expected integer, got boolean true, must be in range 1-9"),
        ("null", "expected integer, got null, must be in range 1-9"),
        ("{}", "expected integer, got object {}, must be in range 1-9"),
        ("[1]", "expected integer, got array [1], must be in range 1-9"),
    ] {
        let told = read(&format!("{{\"limit\": {limit}}}"));
        assert_eq!(told, Err(format!("configuration refused, 1 problem: limit: {message}")));
    }
    assert_eq!(
        read(r#"{"inner": {"even": false}}"#),
        Err("configuration refused, 1 problem: inner.even: false is not allowed, must be a text".into())
    );
    assert_eq!(
        read(r#"{"inner": [], "map": {"a": 1}}"#),
        Err("configuration refused, 2 problems: \
             inner: [] is not allowed, must be an object; \
             map: {\"a\":1} is not allowed, must be an object of objects"
            .into())
    );
}

#[test]
fn durations_are_read_as_go_and_protobuf_write_them() {
    for (text, expected) in [
        ("1s", Some(1_000)),
        ("0.5s", Some(500)),
        ("1m30s", Some(90_000)),
        ("2h", Some(7_200_000)),
        ("", None),
        ("15", None),
        ("-1s", None),
        ("1x", None),
        ("s", None),
        ("1.2.3s", None),
        ("99999999999999999999999s", None),
    ] {
        assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
    }
}

#[test]
fn thousands_of_problems_are_not_all_told() {
    let fields: Vec<String> = (0..1000).map(|index| format!("\"field{index}\": 1")).collect();
    let error = read(&format!("{{{}}}", fields.join(","))).expect_err("refused");
    assert!(
        error.starts_with("configuration refused, 1000 problems: ") && error.ends_with("; and 950 more"),
        "{error}"
    );
}

#[test]
fn texts_and_names_are_cut_between_characters() {
    let long = "ü\"".repeat(50);
    assert_eq!(Quoted("a \"ü\"\n").to_string(), r#""a \"ü\"\n""#);
    assert_eq!(Quoted(&long).to_string(), format!("{:?}…", "ü\"".repeat(40)));
    assert_eq!(Cut("a \"ü\"").to_string(), "a \"ü\"");
    assert_eq!(Cut(&long).to_string(), format!("{}…", "ü\"".repeat(40)));
    assert_eq!(Cut(&"x".repeat(80)).to_string(), "x".repeat(80));
}

#[test]
fn an_error_is_a_line_of_20_kilobytes_at_most() {
    let problem = |bytes: usize| Problem { path: "a".into(), message: "ü".repeat(bytes) };
    for (problems, told) in [(vec![problem(1_000_000)], 1), (vec![problem(700); 60], 11), (vec![problem(1); 60], 50)] {
        let count = problems.len();
        let error = ConfigError::unless_empty(problems).expect_err("refused").to_string();
        assert!(error.len() <= 20_000, "{}", error.len());
        assert_eq!(error.matches(": ").count(), told + 1, "{error}");
        assert_eq!(error.ends_with(&format!("; and {} more", count - told)), count > told, "{error}");
    }
}

#[test]
fn long_names_are_cut_in_paths() {
    let name = "n".repeat(1_000_000);
    let cut = "n".repeat(80);
    for (json, expected) in [
        (format!(r#"{{"{name}": 1}}"#), format!("{cut}…: unknown field (value 1), known are map")),
        (
            format!(r#"{{"{name}": 1, "{name}": 1}}"#),
            format!("{cut}…: duplicate field; {cut}…: unknown field (value 1), known are map"),
        ),
        (
            format!(r#"{{"map": {{"{name}": {{"a": 1, "a": 2}}}}}}"#),
            format!("map.{cut}….a: duplicate field; map[\"{cut}\"…].a: unknown field (value 1), known are "),
        ),
    ] {
        let error =
            parse(json.as_bytes(), |section| section.object_map("map", |_, _| ())).expect_err("refused").to_string();
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn long_values_are_cut_when_quoted() {
    let json = format!(r#"{{"max_series": "{}"}}"#, "ü".repeat(500));
    assert!(read(&json).expect_err("refused").len() < 300);
}
