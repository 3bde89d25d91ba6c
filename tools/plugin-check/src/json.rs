//! Where the values of a JSON text stand.

use envoy_filter::yaml::{Kind, Node, Position};

/// As deep as the modules read.
const MAX_DEPTH: usize = 64;

/// The values of `text` at the positions that `place` gives for their offsets. Numbers and words are null: they are only looked for.
/// Of a text that is not JSON, it is what comes before that is seen.
pub(crate) fn tree(text: &str, place: &dyn Fn(usize) -> Position) -> Node {
    Scanner { text, at: 0, place }.value(0)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    place: &'a dyn Fn(usize) -> Position,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, signs: &[u8]) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || signs.contains(&byte)) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Node {
        self.skip(b"");
        let position = (self.place)(self.at);
        let kind = match self.peek() {
            Some(b'{') if depth < MAX_DEPTH => Kind::Map(self.fields(depth)),
            Some(b'[') if depth < MAX_DEPTH => Kind::List(self.items(depth)),
            Some(b'"') => Kind::String(self.string()),
            _ => {
                while self.peek().is_some_and(|byte| !byte.is_ascii_whitespace() && !b",]}".contains(&byte)) {
                    self.at += 1;
                }
                Kind::Null
            }
        };
        Node { position, kind }
    }

    fn fields(&mut self, depth: usize) -> Vec<(String, Node)> {
        let mut fields = Vec::new();
        self.at += 1;
        loop {
            self.skip(b",");
            if self.peek() != Some(b'"') {
                break;
            }
            let name = self.string();
            self.skip(b":");
            fields.push((name, self.value(depth + 1)));
        }
        self.close(b'}');
        fields
    }

    fn items(&mut self, depth: usize) -> Vec<Node> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.skip(b",");
            let before = self.at;
            if matches!(self.peek(), None | Some(b']')) {
                break;
            }
            items.push(self.value(depth + 1));
            if self.at == before {
                break;
            }
        }
        self.close(b']');
        items
    }

    fn close(&mut self, end: u8) {
        if self.peek() == Some(end) {
            self.at += 1;
        }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == b'"' && !escaped {
                break;
            }
            escaped = byte == b'\\' && !escaped;
        }
        let written = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(written).unwrap_or_else(|_| written.trim_matches('"').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::find;

    fn offset(text: &str, path: &str) -> u64 {
        let place = |offset: usize| Position { line: 1, column: u64::try_from(offset).unwrap() };
        find(&tree(text, &place), path).position.column
    }

    #[test]
    fn values_are_found_at_their_offsets() {
        let text = r#" {"a": [1, {"b\u0063": "d"},], "e": {"f": -1.5e3, "g": [[], {}, true]}, "h":null}"#;
        for (path, expected) in [
            ("", "{\"a\""),
            ("a[0]", "1,"),
            ("a[1].bc", "\"d\""),
            ("e.f", "-1.5"),
            ("e.g[1]", "{}"),
            ("e.g[2]", "true"),
            ("h", "null"),
        ] {
            assert_eq!(offset(text, path), u64::try_from(text.find(expected).unwrap()).unwrap(), "{path}");
        }
    }

    #[test]
    fn what_is_no_json_ends_the_search_and_nothing_else() {
        for text in [
            "",
            "{",
            "{\"a",
            "{\"a\":",
            "[",
            "[1",
            "[}",
            "{]",
            "\"",
            "{\"a\" 1}",
            "{,,,}",
            "]",
            "{\"a\":[}]}",
            "\u{e9}",
        ] {
            offset(text, "a[0].b");
        }
        offset(&"[{\"a\":".repeat(50_000), "[0].a");
    }
}
