//! Istio's `StringMatch`, over bytes: header values need not be UTF-8.

use regex_lite::{Regex, RegexBuilder};

use configuration::{joined, Section};

use crate::re2;

/// Most bytes of a regular expression.
pub const MAX_REGEX: usize = 1024;

/// No regular expression matches a longer value. Each byte may cost as many steps as the expression is long, and the client
/// chooses the value.
pub const MAX_REGEX_VALUE: usize = 8192;

/// Most bytes of a compiled expression; repetitions multiply its size.
const MAX_COMPILED: usize = 256 * 1024;

/// A condition on a text.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// The text exists, with any value.
    Present,
    /// This text.
    Exact(String),
    /// This text, ignoring ASCII case.
    ExactAnyCase(String),
    /// A text with this prefix.
    Prefix(String),
    /// A text with this prefix, ignoring ASCII case.
    PrefixAnyCase(String),
    /// The expression matches the whole text.
    Regex(Regex),
    /// One of these texts.
    OneOf(Vec<String>),
}

impl Pattern {
    /// Reads a pattern that must not be empty.
    pub fn required(section: &mut Section) -> Option<Self> {
        let count = count(section);
        let pattern = Self::read(section);
        if count != 1 {
            section.refuse_all("exactly one of exact, prefix, regex is required".into());
        }
        pattern
    }

    /// Reads a pattern; an empty one matches any value.
    pub fn or_present(section: &mut Section) -> Option<Self> {
        let count = count(section);
        let pattern = Self::read(section);
        match count {
            0 => Some(Self::Present),
            1 => pattern,
            _ => {
                section.refuse_all("exactly one of exact, prefix, regex is required".into());
                None
            }
        }
    }

    fn read(section: &mut Section) -> Option<Self> {
        let exact = section.any_text("exact").map(Self::Exact);
        let prefix = section.any_text("prefix").map(Self::Prefix);
        let regex = section.any_text("regex").and_then(|pattern| match compile(&pattern) {
            // No regular expression, but Istio's way to say that there must be something.
            _ if pattern == "*" => Some(Self::Present),
            Ok(regex) => Some(Self::Regex(regex)),
            Err(message) => {
                section.refuse("regex", message);
                None
            }
        });
        exact.or(prefix).or(regex)
    }

    /// The same pattern, ignoring case, for the kinds where Istio supports this.
    pub fn any_case(self) -> Self {
        match self {
            Self::Exact(text) => Self::ExactAnyCase(text),
            Self::Prefix(text) => Self::PrefixAnyCase(text),
            other => other,
        }
    }

    /// Whether the text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        let begins = |prefix: &String| text.get(..prefix.len());
        match self {
            Self::Present => true,
            Self::Exact(exact) => text == exact.as_bytes(),
            Self::ExactAnyCase(exact) => text.eq_ignore_ascii_case(exact.as_bytes()),
            Self::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            Self::PrefixAnyCase(prefix) => {
                begins(prefix).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            }
            Self::Regex(regex) => {
                text.len() <= MAX_REGEX_VALUE && core::str::from_utf8(text).is_ok_and(|text| regex.is_match(text))
            }
            Self::OneOf(texts) => texts.iter().any(|one| one.as_bytes() == text),
        }
    }
}

fn count(section: &Section) -> usize {
    ["exact", "prefix", "regex"].iter().filter(|field| section.has(field)).count()
}

fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_REGEX {
        return Err(format!("longer than {MAX_REGEX} bytes"));
    }
    if let Some((construct, instead)) = re2::foreign(pattern) {
        return Err(joined(&["`", construct, "` is valid in RE2, and not here: write ", instead], ""));
    }
    // First without parentheses: `a)(b` would be valid within them.
    let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
    let whole = build(pattern).and_then(|_| build(&["^(?:", pattern, ")$"].concat()));
    whole.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use configuration;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn pattern(json: &str) -> Result<Pattern, String> {
        let read = configuration::parse(json.as_bytes(), Pattern::required);
        read.map(|pattern| pattern.expect("a pattern")).map_err(|error| error.to_string())
    }

    #[test]
    fn texts_match_as_in_istio() {
        for (json, hits, misses) in [
            (r#"{"exact": "/a"}"#, &["/a"][..], &["", "/a/", "/A"][..]),
            (r#"{"exact": ""}"#, &[""], &["a"]),
            (r#"{"prefix": "/a"}"#, &["/a", "/ab"], &["", "/", "/A"]),
            (r#"{"regex": "/a"}"#, &["/a"], &["/ab", "x/a", "/a\n"]),
            (r#"{"regex": "a|bc"}"#, &["a", "bc"], &["ac", "ab", "abc"]),
            (r#"{"regex": ".*jason.*"}"#, &["jason", "my jason"], &["Jason"]),
            (r#"{"regex": "(?i)jason"}"#, &["Jason"], &["json"]),
        ] {
            let pattern = pattern(json).expect(json);
            for hit in hits {
                assert!(pattern.matches(hit.as_bytes()), "{json} {hit}");
            }
            for miss in misses {
                assert!(!pattern.matches(miss.as_bytes()), "{json} {miss}");
            }
        }
    }

    #[test]
    fn an_asterisk_alone_is_any_value_as_for_istio() {
        for text in ["", "a", "\n"] {
            assert!(pattern(r#"{"regex": "*"}"#).expect("a pattern").matches(text.as_bytes()), "{text:?}");
        }
        assert!(pattern(r#"{"regex": "*"}"#).expect("a pattern").matches(b"\xfc"));
    }

    #[test]
    fn what_is_valid_in_re2_alone_is_told_with_what_to_write() {
        for (regex, told) in [
            (r"/a/\\pL+", r"`\pL` is valid in RE2, and not here: write the letters themselves, as in [a-zA-Z]"),
            (
                r"\\p{Greek}+",
                r"`\p{Greek}` is valid in RE2, and not here: write the letters themselves, as in [a-zA-Z]",
            ),
            (r"\\Q/a.b\\E", r"`\Q` is valid in RE2, and not here: write a backslash before each sign that is text"),
            (
                "/a{,3}",
                "`{,3}` is valid in RE2, and not here: write \\{ for a brace, as RE2 reads it, or {0,…} to repeat",
            ),
            ("/a/{id}", "`{` is valid in RE2, and not here: write \\{"),
        ] {
            let expected = Err(format!("configuration refused, 1 problem: regex: {told}"));
            assert_eq!(pattern(&format!(r#"{{"regex": "{regex}"}}"#)).map(drop), expected, "{regex}");
        }
    }

    #[test]
    fn case_is_ignored_where_istio_does() {
        for (json, hit, miss) in [
            (r#"{"exact": "/Ab"}"#, "/aB", "/aBc"),
            (r#"{"prefix": "/Ab"}"#, "/aBc", "/a"),
            (r#"{"regex": "/a"}"#, "/a", "/A"),
        ] {
            let pattern = pattern(json).expect(json).any_case();
            assert!(pattern.matches(hit.as_bytes()) && !pattern.matches(miss.as_bytes()), "{json}");
        }
    }

    #[test]
    fn bytes_and_long_values_do_no_harm() {
        let regex = pattern(r#"{"regex": ".*"}"#).expect("valid");
        assert!(regex.matches("ü".as_bytes()) && !regex.matches(b"\xfc"));
        assert!(regex.matches(&[b'a'; MAX_REGEX_VALUE]) && !regex.matches(&[b'a'; MAX_REGEX_VALUE + 1]));
        let prefix = pattern(r#"{"prefix": "M"}"#).expect("valid");
        assert!(prefix.matches(b"M\xfcller") && !prefix.clone().any_case().matches(b""));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let expected = |message: &str| Err(format!("configuration refused, 1 problem: {message}"));
        let one = "exactly one of exact, prefix, regex is required";
        for json in ["{}", r#"{"exact": "a", "prefix": "b"}"#] {
            assert_eq!(pattern(json).map(drop), expected(one), "{json}");
        }
        let long = format!(r#"{{"regex": "{}"}}"#, "a".repeat(1025));
        assert_eq!(pattern(&long).map(drop), expected("regex: longer than 1024 bytes"));
        for regex in ["(", "a)(b", "[z-a]", "(?<n", "**", "+", "a{100000}{100000}", "((a{99}){99}){99}"] {
            let told = pattern(&format!(r#"{{"regex": "{regex}"}}"#)).map(drop).expect_err(regex);
            assert!(told.starts_with("configuration refused, 1 problem: regex: "), "{told}");
        }
    }
}
