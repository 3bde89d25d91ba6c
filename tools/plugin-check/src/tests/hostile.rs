//! Texts that are meant to do harm give mistakes, and nothing worse.

use super::{check, shipped};

/// Numbers without order, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

const PIECES: [&str; 24] = [
    "{", "}", "[", "]", "\"", "'", ":", ",", "\n", "  ", "|", ">", "&a ", "*a", "!!str ", "---\n", "\\", "\\u12",
    "\u{e9}", "\0", "\t", "- ", "null", "1e999",
];

#[test]
fn changed_files_never_crash_it() {
    let mut random = Random(7);
    let json = "|\n                {\"http\": [{\"name\": \"a\", \"fault\": {\"abort\":\n                  {\"httpStatus\": 99, \"percentage\": {\"value\": 1}}}}]}";
    let files = [
        shipped("fault-outbound.yaml").replace("'{\"http\": []}'", json),
        shipped("kubernetes/wasm-plugin/telemetry.yaml"),
        shipped("separate/stats-logger.yaml"),
    ];
    for round in 0..300 {
        let mut text: Vec<char> = files[round % files.len()].chars().collect();
        for _ in 0..=random.below(4) {
            let at = random.below(text.len());
            let until = (at + random.below(6)).min(text.len());
            let piece = PIECES[random.below(PIECES.len())];
            text.splice(at..until, piece.chars());
        }
        let text: String = text.into_iter().collect();
        let report = check(&text);
        let lines = u64::try_from(text.split('\n').count()).unwrap();
        assert!(report.mistakes.iter().all(|mistake| mistake.position.line <= lines + 1), "{text}\n{}", report.text());
    }
}

const PLUGIN: &str =
    "{kind: EnvoyFilter, spec: {configPatches: [{patch: {operation: ADD, value: {root_id: fault, vm_config: {vm_id: remixer}}}}]}}";

#[test]
fn depth_and_size_are_bounded() {
    let deep = |open: &str, close: &str, count: usize| format!("{}{}", open.repeat(count), close.repeat(count));
    let fault = |json: &str| shipped("fault-outbound.yaml").replace("{\"http\": []}", json);
    for text in [
        deep("[", "]", 100_000),
        deep("{\"a\":", "}", 10_000),
        "kind: List\nitems:\n- ".repeat(10_000),
        format!(
            "a: &a [{}]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b, *b, *b]\n",
            "x,".repeat(2_000)
        ),
        fault(&deep("[", "]", 10_000)),
        fault(&deep("{\"http\":", "}", 10_000)),
        fault(&format!("{}1{}", "{\"http\":".repeat(100), "}".repeat(100))),
        fault(&format!("{{\"http\": [{}]}}", "{},".repeat(20_000))),
        fault(&format!("{{\"{}\": 1}}", "n".repeat(200_000))),
        format!("kind: List\nitems:\n{}", format!("- {PLUGIN}\n").repeat(2_000)),
        "\u{feff}".to_owned(),
        "\0".to_owned(),
    ] {
        let report = check(&text);
        assert!(report.text().ends_with('\n'));
    }
}
