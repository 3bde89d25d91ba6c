//! For any input, the parser returns soon and never panics. The seeds are fixed, so that a failure can be repeated.

use std::time::Duration;

use super::{compile, evaluate, vectors::Report};
use crate::tests::within;

const SIZE: usize = 64 << 10;
const PIECES: [&str; 48] = [
    "s",
    "absent",
    "m",
    "i",
    "b",
    "true",
    "\"x\"",
    "\"0ms\"",
    "'a'",
    "`r`",
    "1",
    "08",
    "1.5e3",
    "0x1p-2",
    "|",
    "||",
    "&&",
    "==",
    "<",
    "+",
    "-",
    "!",
    "(",
    ")",
    "[",
    "]",
    ".",
    ",",
    " ",
    "\n",
    "conditional(",
    "match(",
    ".matches(",
    "size(",
    "// c",
    "/*",
    "*/",
    "\\",
    "\"",
    "'",
    "`",
    "\u{e9}",
    "\u{0}",
    "request.headers",
    ";",
    "...",
    "type",
    "_",
];

/// A small generator of pseudo-random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

/// Parses `text`, and evaluates it if it is an expression, in less than a second.
fn answer(text: &str) -> bool {
    within(Duration::from_secs(1), text, |text| {
        let compiled = compile(text, &Report);
        match &compiled {
            Ok(expression) => drop(evaluate(expression, &Report)),
            Err(error) => {
                assert!(error.with_caret(text).len() < 2_000, "{} bytes", error.with_caret(text).len());
                assert!(error.column(text) <= text.chars().count() + 1);
            }
        }
        compiled.is_ok()
    })
}

#[test]
fn anything_is_answered_within_a_second() {
    for piece in PIECES.into_iter().chain([
        "((",
        "[(",
        "m[",
        "-!",
        "s|",
        "s+",
        "s&&",
        "f(",
        "s.",
        "a,",
        "\"\\",
        "b==",
        "conditional(b,",
        "true||",
        "s.matches(",
    ]) {
        answer(&piece.repeat(SIZE / piece.len()));
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..40 {
        let mut text = String::new();
        while text.len() < SIZE {
            text.push_str(PIECES[random.below(PIECES.len())]);
        }
        answer(&text);
        let bytes: Vec<u8> = (0..SIZE).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        answer(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn changed_expressions_are_answered() {
    let vectors = include_str!("../../testdata/expressions.txt");
    let texts: Vec<String> =
        vectors.lines().filter_map(|line| serde_json::from_str(line.split_once('\t')?.0).ok()).collect();
    let mut random = Random(42);
    let mut valid = 0;
    for _ in 0..60_000 {
        let mut text: Vec<char> = texts[random.below(texts.len())].chars().collect();
        for _ in 0..=random.below(3) {
            let at = random.below(text.len() + 1);
            match random.below(4) {
                0 if at < text.len() => drop(text.remove(at)),
                1 => text.splice(at..at, PIECES[random.below(PIECES.len())].chars()).for_each(drop),
                2 => text.splice(at..at, texts[random.below(texts.len())].chars()).for_each(drop),
                _ => text.truncate(at.max(1)),
            }
        }
        valid += usize::from(answer(&text.into_iter().collect::<String>()));
    }
    assert!(valid > 1_000, "{valid}: the changes are too wild to reach what comes after the parser");
}

#[test]
fn as_deep_as_allowed_is_read_and_deeper_is_refused() {
    let nested = |depth: usize| format!("{}s{}", "(".repeat(depth), ")".repeat(depth));
    assert!(answer(&nested(150)));
    assert!(!answer(&nested(250)));
    assert!(answer(&format!("s{}", " | s".repeat(150))));
    assert!(!answer(&format!("s{}", " | s".repeat(250))));
}
