//! Where the characters of a YAML text stand in its file.
//!
//! A configuration is JSON inside a YAML scalar: plain, quoted, or a block. Whatever the style, its characters other than white space
//! stand in the file in the same order, but for escapes. So both are followed together. Where they differ, nothing is claimed.

use std::iter::Peekable;
use std::str::Chars;

use envoy_filter::yaml::Position;

/// The positions of the characters of a scalar that are no white space, by their offsets in its value.
#[derive(Debug)]
pub(crate) struct Places(Vec<(usize, Position)>);

impl Places {
    /// Those of a scalar with this value, which begins at `start` in `source`.
    pub(crate) fn of(source: &str, start: Position, value: &str) -> Option<Self> {
        let mut cursor = Cursor::at(source, start)?;
        let quote = cursor.peek().filter(|sign| matches!(sign, '\'' | '"') && !value.trim_start().starts_with(*sign));
        if quote.is_some() {
            cursor.next();
        }
        let mut places = Vec::new();
        for (offset, sign) in value.char_indices().filter(|(_, sign)| !sign.is_whitespace()) {
            let position = cursor.find(quote, sign)?;
            places.push((offset, position));
        }
        Some(Self(places))
    }

    /// Whether a scalar with this value is written without quotes.
    pub(crate) fn plain(source: &str, start: Position, value: &str) -> bool {
        Cursor::at(source, start).is_some_and(|mut cursor| cursor.peek() == value.chars().next())
    }

    /// The position of the character at an offset, or of the last one before it.
    pub(crate) fn get(&self, offset: usize) -> Option<Position> {
        let after = self.0.partition_point(|(start, _)| *start <= offset);
        self.0.get(after.saturating_sub(1)).map(|(_, position)| *position)
    }
}

struct Cursor<'s> {
    signs: Peekable<Chars<'s>>,
    position: Position,
}

impl<'s> Cursor<'s> {
    fn at(source: &'s str, start: Position) -> Option<Self> {
        let lines = usize::try_from(start.line).ok()?.checked_sub(1)?;
        let columns = usize::try_from(start.column).ok()?.checked_sub(1)?;
        let before: usize = source.split_inclusive('\n').take(lines).map(str::len).sum();
        let rest = source.get(before..)?;
        let (inset, _) = rest.char_indices().nth(columns)?;
        Some(Self { signs: rest.get(inset..)?.chars().peekable(), position: start })
    }

    fn peek(&mut self) -> Option<char> {
        self.signs.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        let sign = self.signs.next()?;
        if sign == '\n' {
            self.position = Position { line: self.position.line + 1, column: 1 };
        } else {
            self.position.column += 1;
        }
        Some(sign)
    }

    /// Goes behind the next character that is no white space, which must be this one. Gives its position.
    fn find(&mut self, quote: Option<char>, wanted: char) -> Option<Position> {
        loop {
            let position = self.position;
            let sign = match (self.next()?, quote) {
                ('\'', Some('\'')) => self.next().filter(|second| *second == '\'')?,
                ('"', Some('"')) => return None,
                ('\\', Some('"')) => self.escape()?,
                (sign, _) => sign,
            };
            if sign == wanted {
                return Some(position);
            }
            if !sign.is_whitespace() {
                return None;
            }
        }
    }

    /// The character of an escape of a text in double quotes; white space for a line that goes on.
    fn escape(&mut self) -> Option<char> {
        let digits = match self.next()? {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            '0' => return Some('\0'),
            'a' => return Some('\x07'),
            'b' => return Some('\x08'),
            'v' | 'f' | 'n' | 'r' | 't' | 'N' | '_' | 'L' | 'P' | ' ' | '\t' | '\n' | '\r' => return Some(' '),
            'e' => return Some('\x1b'),
            sign => return Some(sign),
        };
        let number: String = (0..digits).filter_map(|_| self.next()).collect();
        char::from_u32(u32::from_str_radix(&number, 16).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_filter::yaml;

    /// The line and column of the first `mark` in the value of `v`.
    fn place(text: &str, mark: &str) -> (u64, u64) {
        let document = &yaml::documents(text).unwrap()[0];
        let node = document.get("v").unwrap();
        let value = node.as_text().unwrap();
        let places = Places::of(text, node.position, value).expect(text);
        let position = places.get(value.find(mark).expect(text)).unwrap();
        (position.line, position.column)
    }

    #[test]
    fn characters_are_found_in_scalars_of_every_style() {
        for (text, expected) in [
            ("v: '{\"a\": 1}'\n", (1, 11)),
            ("u: 0\nv: '{\"it''s\": \"é\",\n\n  \"a\":\n   1}'\n", (5, 4)),
            ("v: \"{\\\"a\\\": 1}\"\n", (1, 13)),
            ("v: \"{\\\"b\\\": 2,\\n\\\n   \\\"a\\\": 1}\"\n", (2, 11)),
            ("v: \"\\x7b\\u0022a\\U00000022: 1}\"\n", (1, 28)),
            ("v: |\n  {\n    \"a\":\n      1\n  }\n", (4, 7)),
            ("v: |2-  # why\n\n     {\n    \"a\": 1\n  }\n", (4, 10)),
            ("v: >-\n  {\n  \"a\":\n    1}\n", (4, 5)),
            ("v: &anchor\n  |\n  {\"a\": 1}\n", (3, 9)),
            ("v: !!str '{\"a\": 1}'\n", (1, 17)),
            ("v:\n  xé\n  1\n", (3, 3)),
            ("v: |\r\n  {\r\n    \"a\": 1\r\n  }\r\n", (3, 10)),
        ] {
            assert_eq!(place(text, "1"), expected, "{text}");
        }
    }

    #[test]
    fn where_text_and_value_differ_nothing_is_claimed() {
        for (text, position, value) in [
            ("v: *alias\n", Position { line: 1, column: 4 }, "{}"),
            ("v: 'a'\n", Position { line: 1, column: 4 }, "ab"),
            ("v: \"a\"\n", Position { line: 1, column: 4 }, "ab"),
            ("v: a\n", Position { line: 9, column: 4 }, "a"),
            ("v: a\n", Position { line: 1, column: 90 }, "a"),
            ("v: a\n", Position::default(), "a"),
            ("v: \"\\uzzzz\"\n", Position { line: 1, column: 4 }, "a"),
        ] {
            assert!(Places::of(text, position, value).is_none(), "{text}");
        }
    }
}
