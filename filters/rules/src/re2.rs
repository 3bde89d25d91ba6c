//! RE2, whose regular expressions Istio has: what they have that is refused here, or would mean something else.

/// The first such thing in an expression, and what to write instead. Byte by byte: what is searched for by the library would be
/// several KB of code.
pub fn foreign(pattern: &str) -> Option<(&str, &'static str)> {
    let bytes = pattern.as_bytes();
    let mut is_class = false;
    let mut at = 0_usize;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (mut length, mut instead) = (1, "");
        match *rest {
            [b'\\', b'p' | b'P', ..] => {
                // With the name, unless that would spoil the line.
                let name = braces(rest, 2).unwrap_or(1);
                let named = rest.get(2..).and_then(|rest| rest.get(..name));
                let is_name = named.is_some_and(|name| name.iter().all(u8::is_ascii_graphic));
                (length, instead) =
                    (if is_name { name.saturating_add(2) } else { 2 }, "the letters themselves, as in [a-zA-Z]");
            }
            [b'\\', b'Q', ..] if !is_class => (length, instead) = (2, "a backslash before each sign that is text"),
            [b'\\', b'C', ..] if !is_class => (length, instead) = (2, "."),
            [b'\\', b'0', ..] | [b'\\', b'1'..=b'7', b'0'..=b'7', ..] => {
                (length, instead) = (2, "\\x and two hexadecimal digits");
            }
            [b'\\', b'<' | b'>', ..] => (length, instead) = (2, "it without the backslash"),
            // A character by its number.
            [b'\\', b'x' | b'u' | b'U', b'{', ..] => length = braces(rest, 2).unwrap_or_default().saturating_add(2),
            [b'\\', ..] => length = 2,
            [b'[', b':', ..] if is_class => {
                let end = rest.windows(2).position(|two| two == b":]");
                length = end.unwrap_or_default().saturating_add(2);
            }
            [b'[', ..] if is_class => instead = "\\[ within brackets",
            [b'&', b'&', ..] | [b'~', b'~', ..] if is_class => (length, instead) = (2, "it once"),
            // A bracket that closes nothing yet is itself.
            [b'[', b'^', b']', ..] => (length, is_class) = (3, true),
            [b'[', b'^' | b']', ..] => (length, is_class) = (2, true),
            [b'[', ..] => is_class = true,
            [b']', ..] => is_class = false,
            [b'{', ..] if !is_class => match braces(rest, 0) {
                Some(end) if is_repetition(rest, end) => length = end,
                Some(end) if is_most(rest, end) => {
                    (length, instead) = (end, "\\{ for a brace, as RE2 reads it, or {0,…} to repeat");
                }
                _ => instead = "\\{",
            },
            _ => {}
        }
        let end = at.saturating_add(length);
        if !instead.is_empty() {
            return Some((pattern.get(at..end).unwrap_or_default(), instead));
        }
        at = end;
    }
    None
}

/// The length of what stands in braces after so many bytes, with them.
fn braces(rest: &[u8], at: usize) -> Option<usize> {
    let braces = rest.get(at..).filter(|rest| rest.first() == Some(&b'{'))?;
    braces.iter().position(|byte| *byte == b'}').map(|end| end.saturating_add(1))
}

/// Whether braces with this length are `{,3}`.
fn is_most(rest: &[u8], length: usize) -> bool {
    rest.get(1) == Some(&b',') && rest.iter().take(length.saturating_sub(1)).skip(2).all(u8::is_ascii_digit)
}

/// Whether braces with this length are `{2}`, `{2,}` or `{2,3}`.
fn is_repetition(rest: &[u8], length: usize) -> bool {
    let mut commas = 0_u32;
    let is_number = |(index, byte): (usize, &u8)| {
        commas = commas.saturating_add(u32::from(*byte == b','));
        byte.is_ascii_digit() || *byte == b',' && index > 0
    };
    length > 2 && rest.iter().take(length.saturating_sub(1)).skip(1).enumerate().all(is_number) && commas < 2
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn what_only_re2_has_is_found() {
        for (pattern, expected) in [
            (r"/a/\pL+", r"\pL"),
            (r"\p", r"\p"),
            ("\\pü", r"\p"),
            ("\\p{a\n}", r"\p"),
            (r"/[\d\PN]", r"\PN"),
            (r"/\p{Greek}+", r"\p{Greek}"),
            (r"/\p{^Greek}+", r"\p{^Greek}"),
            (r"\Q/a.b\E", r"\Q"),
            (r"a\C", r"\C"),
            (r"a\0", r"\0"),
            (r"a\101", r"\1"),
            (r"/a{,3}", "{,3}"),
            ("/a{x}", "{"),
            ("{id}", "{"),
            ("/a{", "{"),
            ("a{ 2 }", "{"),
            ("a{2,x}", "{"),
            (r"a\b{start}", "{"),
            ("[a[b]", "["),
            ("[[]", "["),
            ("[a&&b]", "&&"),
            ("[a~~b]", "~~"),
            (r"a\<b\>", r"\<"),
            (r"[^]]\pL", r"\pL"),
            (r"[[:alpha:]\]]\pL", r"\pL"),
        ] {
            assert_eq!(foreign(pattern).map(|found| found.0), Some(expected), "{pattern}");
        }
    }

    #[test]
    fn what_both_have_is_left_alone() {
        for pattern in [
            "",
            "/a|/b",
            "a{2}b{2,}c{2,3}?",
            r"\{,3} \[ \\p \\Q \. \/ \x{41}\x41",
            "[{,}] [}{] [^]a] []a] [a-z&~] [[:alpha:]_] a&&b ~~ ]",
            r"[\]\[{] [\\] \d\D\s\S\w\W\b\B\A\z\a\f\t\n\r\v",
            "(?i)a(?:b)(?P<n>c)(?<m>d)(?s:.)",
            "ü[äö]{2}",
            r"\",
            "[",
            "[^",
            "[[:",
            r"\1",
        ] {
            assert_eq!(foreign(pattern), None, "{pattern}");
        }
    }
}
