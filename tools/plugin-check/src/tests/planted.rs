//! One mistake of each kind in files that are right.

use super::{check, lines, shipped};

/// The only mistake in a file; its line is the one with `mark`.
fn told(text: &str, mark: &str) -> String {
    let found = lines(&check(text));
    assert_eq!(found.len(), 1, "{found:#?}");
    let line = text.lines().position(|line| line.contains(mark)).unwrap_or_else(|| panic!("{mark}: {text}")) + 1;
    let (place, rest) = found[0].split_once(": ").unwrap();
    assert!(place.starts_with(&format!("a.yaml:{line}")), "{mark} is in line {line}: {}", found[0]);
    rest.to_owned()
}

/// A fault plugin with this scalar as its configuration.
fn fault(scalar: &str) -> String {
    let text = shipped("fault-outbound.yaml");
    assert!(text.contains("'{\"http\": []}'"));
    text.replace("'{\"http\": []}'", scalar)
}

const OF_FAULT: &str = " [EnvoyFilter/istio-system/remixer-fault-outbound, plugin fault]";

#[test]
fn a_wrong_field_is_told_with_its_line_in_every_style_of_text() {
    let json = "{\"http\": [\n{\"fault\":\n  {\"abort\": {\n    \"httpStatus\": 99}}}]}";
    let indented = |lines: &str| lines.replace('\n', "\n                ");
    for scalar in [
        format!("|{}", indented(&format!("\n{json}"))),
        format!("|-{}", indented(&format!("\n\n{json}"))),
        format!("|+2 # JSON{}", indented(&format!("\n{json}"))),
        format!(">{}", indented(&format!("\n{json}"))),
        format!("'{}'", indented(json)),
        format!("\"{}\"", indented(&json.replace('"', "\\\""))),
        format!("&rules !!str{}", indented(&format!("\n|\n{json}"))),
    ] {
        let text = fault(&scalar);
        let rest = told(&text, "httpStatus");
        assert_eq!(rest, format!("http[0].fault.abort.httpStatus: 99 is not in range 200-599{OF_FAULT}"), "{text}");
    }
    let rest = told(&fault(&indented(&format!("\n{json}"))), "{\"http\": [");
    assert!(
        rest.contains("configuration.value: is a mapping; a text is needed: JSON in quotes, or below `value: |`"),
        "{rest}"
    );
}

#[test]
fn text_that_is_no_json_is_told_where_it_breaks() {
    let rest = told(&fault("|\n                {\"http\": [\n                  {\"fault\" {}}]}"), "{\"fault\" {}}");
    assert_eq!(rest, format!("not valid JSON: expected `:`{OF_FAULT}"));
    let rest = told(&fault("'{\"http\": ['"), "{\"http\": [");
    assert_eq!(rest, format!("not valid JSON: EOF while parsing a list{OF_FAULT}"));
}

#[test]
fn what_is_missing_is_told_where_it_should_be() {
    let rest = told(&fault("|\n                {\"http\": [\n                {\"fault\": {\"delay\": {}}}]}"), "delay");
    assert!(rest.starts_with("http[0].fault.delay: one of fixedDelay, headerControlled is required"), "{rest}");
}

#[test]
fn every_mistake_is_told() {
    let text = fault(
        "|\n                {\"htp\": 1, \"http\": [\n                {\"fault\": {\"abrot\": {}}}], \"enabled\": 7}",
    );
    let found = lines(&check(&text));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found.iter().any(|line| line.contains("did you mean `abort`?")), "{found:#?}");
}

#[test]
fn what_is_told_of_one_configuration_is_bounded() {
    let fields: Vec<String> = (0..5_000).map(|index| format!("\"f{index}\": 1")).collect();
    let found = lines(&check(&fault(&format!("'{{{}}}'", fields.join(", ")))));
    assert_eq!(found.len(), 101);
    assert!(found.iter().any(|line| line.contains(": 4900 more mistakes in this configuration [")), "{}", found[0]);
}

#[test]
fn a_root_id_that_no_module_has_is_told() {
    for (wrong, end) in [
        ("root_id: telemtry_inbound", "did you mean `telemetry_inbound`? allowed: telemetry, telemetry_inbound, telemetry_outbound, metadata_exchange, "),
        ("root_id: Telemetry_Inbound", "did you mean `telemetry_inbound`? "),
        ("root_id: other", "is the root id of no filter; allowed: telemetry, "),
        ("rootd: a", "is missing; allowed: telemetry, "),
    ] {
        let text = shipped("telemetry.yaml").replacen("root_id: telemetry_inbound", wrong, 1);
        let mark = if wrong.starts_with("root_id") { wrong } else { "rootd" };
        let rest = told(&text, mark);
        assert!(rest.starts_with("spec.configPatches[0].patch.value.typed_config.config.root_id: "), "{rest}");
        assert!(rest.contains(end) && rest.ends_with(" [EnvoyFilter/istio-system/remixer-telemetry]"), "{rest}");
    }
}

#[test]
fn a_module_that_does_not_have_the_filter_is_told() {
    let text = shipped("fault-outbound.yaml").replace("remixer/remixer.wasm", "remixer/stats.wasm");
    assert!(told(&text, "root_id: fault")
        .contains("root_id: \"fault\" is not in stats.wasm, but in remixer.wasm and fault.wasm"));
    let text = shipped("shadow.yaml").replace("remixer/shadow.wasm", "remixer/remixer.wasm");
    assert!(told(&text, "root_id: shadow").contains("root_id: \"shadow\" is not in remixer.wasm, but in shadow.wasm"));
    let text = shipped("shadow.yaml").replace("remixer/shadow.wasm", "remixer/shadwo.wasm");
    assert!(told(&text, "shadwo")
        .contains("filename: \"shadwo.wasm\" is no module; did you mean `shadow.wasm`? allowed: remixer.wasm, "));
    // Files may be renamed for an upgrade.
    let text = shipped("shadow.yaml").replace("remixer/shadow.wasm", "remixer/shadow-0.2.0.wasm");
    assert_eq!(lines(&check(&text)), [""; 0]);
}

#[test]
fn a_filter_where_it_does_nothing_is_told() {
    let text = shipped("fault-outbound.yaml").replace("filters.http.wasm", "filters.network.wasm");
    assert!(
        told(&text, "root_id: fault").contains("root_id: fault does nothing as network filter; allowed: HTTP filter")
    );
}

#[test]
fn a_root_id_for_the_other_direction_is_told() {
    let text = shipped("tcp-metadata-exchange-inbound.yaml").replace("exchange_inbound", "exchange_outbound");
    let rest = told(&text, "root_id");
    assert!(rest.contains("\"tcp_metadata_exchange_outbound\" is for the other direction: this is inbound traffic; did you mean `tcp_metadata_exchange_inbound`?"), "{rest}");
    let text = shipped("telemetry.yaml").replacen("root_id: telemetry_inbound", "root_id: telemetry_outbound", 1);
    let rest = told(&text, "root_id: telemetry_outbound");
    assert!(rest.contains("\"telemetry_outbound\" is for the other direction: this is inbound traffic; did you mean `telemetry_inbound`?"), "{rest}");
}

#[test]
fn fields_that_istio_does_not_take_are_told() {
    for (file, right, wrong, expected) in [
        (
            "fault-outbound.yaml",
            "applyTo: HTTP_FILTER",
            "applyTo: HTP_FILTER",
            "spec.configPatches[0].applyTo: \"HTP_FILTER\" is not known; did you mean `HTTP_FILTER`?",
        ),
        (
            "fault-outbound.yaml",
            "context: SIDECAR_OUTBOUND",
            "contxt: SIDECAR_OUTBOUND",
            "spec.configPatches[0].match.contxt: is not a known field; did you mean `context`?",
        ),
        (
            "fault-outbound.yaml",
            "  configPatches:",
            "  configPatchs:",
            "spec.configPatchs: is not a known field; did you mean `configPatches`?",
        ),
        (
            "stats-bootstrap.yaml",
            "applyTo: BOOTSTRAP",
            "applyTo: BOOTSTRP",
            "spec.configPatches[0].applyTo: \"BOOTSTRP\" is not known; did you mean `BOOTSTRAP`?",
        ),
        (
            "fault-outbound.yaml",
            "kind: EnvoyFilter",
            "kind: EnvoyFilters",
            "kind: \"EnvoyFilters\" is not known; did you mean `EnvoyFilter`?",
        ),
        (
            "kubernetes/wasm-plugin/telemetry.yaml",
            "failStrategy: FAIL_OPEN",
            "failStrategy: OPEN",
            "spec.failStrategy: \"OPEN\" is not known; ",
        ),
    ] {
        let text = shipped(file).replacen(right, wrong, 1);
        let found = lines(&check(&text));
        let line = text.lines().position(|line| line.contains(wrong)).unwrap() + 1;
        // Of a list without its name, the first item is the place.
        let lines = [format!("a.yaml:{line}"), format!("a.yaml:{}", line + 1)];
        let is_told = |told: &String| lines.iter().any(|line| told.starts_with(line)) && told.contains(expected);
        assert!(found.iter().any(is_told), "{found:#?}");
    }
}

#[test]
fn a_configuration_in_another_form_is_told() {
    let right = "\"@type\": type.googleapis.com/google.protobuf.StringValue\n              value: '{\"http\": []}'";
    for (wrong, mark, expected) in [
        (
            "\"@type\": type.googleapis.com/google.protobuf.Struct\n              value: {http: []}",
            "protobuf.Struct",
            "reaches the module in binary form; allowed: type.googleapis.com/google.protobuf.StringValue",
        ),
        ("value: '{}'", "value: '{}'", "configuration.@type: is missing; allowed: "),
        (
            "\"@type\": type.googleapis.com/google.protobuf.StringVal\n              value: '{}'",
            "StringVal",
            "did you mean `type.googleapis.com/google.protobuf.StringValue`?",
        ),
    ] {
        let text = shipped("fault-outbound.yaml").replace(right, wrong);
        let rest = told(&text, mark);
        assert!(rest.contains(expected), "{rest}");
    }
    let text = shipped("fault-outbound.yaml").replace(&format!("\n              {right}"), " '{}'");
    assert!(told(&text, "configuration: '{}'")
        .contains("configuration: is \"{}\"; a mapping with @type and value is needed"));
}

#[test]
fn a_patch_that_changes_a_configuration_alone_is_read() {
    let text = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: rules, namespace: shop}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: remixer.fault}}}}
    patch:
      operation: MERGE
      value:
        name: remixer.fault
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
          config:
            configuration:
              '@type': type.googleapis.com/google.protobuf.StringValue
              value: '{\"http\": []}'
";
    assert_eq!((lines(&check(text)), check(text).plugins), (Vec::new(), 1));
    assert!(told(&text.replace("\"http\"", "\"htp\""), "htp").starts_with("htp: unknown field"));
    assert_eq!(check(&text.replace("remixer.fault", "another.fault")).plugins, 0);
}

#[test]
fn a_digest_that_is_none_is_told() {
    let local = "local:\n                  filename: /var/local/remixer/remixer.wasm";
    let remote = "remote:\n                  http_uri: {uri: 'http://example.com/remixer.wasm', cluster: _, timeout: 10s}\n                  sha256: ";
    let digest = "ab".repeat(32);
    for (given, is_right) in [(digest.as_str(), true), (&digest.to_uppercase(), false), (&digest[1..], false)] {
        let text = shipped("fault-outbound.yaml").replace(local, &format!("{remote}{given}"));
        match is_right {
            true => assert_eq!(lines(&check(&text)), [""; 0]),
            false => assert!(told(&text, "sha256").contains("is no SHA-256: 64 digits of 0-9 and a-f are needed")),
        }
    }
}

const EXTENSION: &str = "
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: {name: faults, namespace: shop}
spec:
  match: [{mode: SERVER}]
  wasm:
    url: oci://registry.example.com/remixer:0.1.0
    failStrategy: FAIL_OPEN
    pluginName: fault
    pluginConfig:
      enabled: yes
      maxActiveFaults: 2.0
      http:
      - name: slow
        fault:
          delay: {fixedDelay: 1s, percentage: {value: 100}}
";

#[test]
fn a_configuration_of_istio_s_own_resources_is_read_from_its_fields() {
    assert_eq!(lines(&check(EXTENSION)), [""; 0]);
    assert_eq!(check(EXTENSION).plugins, 1);
    let plugin = EXTENSION.replace("TrafficExtension", "WasmPlugin").replace("  wasm:\n", "").replace("\n    ", "\n  ");
    assert_eq!((lines(&check(&plugin)), check(&plugin).plugins), (Vec::new(), 1));
    for (text, kind) in [(EXTENSION, "TrafficExtension"), (&plugin, "WasmPlugin")] {
        let rest = told(&text.replace("enabled: yes", "enabld: yes"), "enabld");
        assert!(rest.starts_with("enabld: unknown field (value true), known are "), "{rest}");
        assert!(rest.ends_with(&format!("; did you mean `enabled`? [{kind}/shop/faults, plugin fault]")), "{rest}");
    }
    let rest = told(&EXTENSION.replace("pluginName: fault", "pluginName: falt"), "pluginName: falt");
    let expected = "spec.wasm.pluginName: \"falt\" is the root id of no filter; did you mean `fault`? allowed: ";
    assert!(rest.starts_with(expected), "{rest}");
}
