//! Escapes texts of any bytes as in JSON, and cuts long ones.

/// Replaces bytes that are not valid UTF-8.
const REPLACEMENT: char = '\u{fffd}';
/// Marks where a text was cut.
const CUT: char = '…';
const HEX: &[u8; 16] = b"0123456789abcdef";

/// How texts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaping {
    /// Whether to write non-ASCII characters as `\uXXXX`, for access loggers that cannot handle other bytes.
    pub ascii: bool,
    /// Longest text, in bytes; longer ones are cut.
    pub max: usize,
}

impl Escaping {
    /// Writes `text` as the inside of a JSON string. Returns whether it was cut.
    pub fn write(self, output: &mut Vec<u8>, text: &[u8]) -> bool {
        let end = boundary(text, self.max);
        let (mut rest, cut) = (text.get(..end).unwrap_or(text), end < text.len());
        while !rest.is_empty() {
            let plain = rest.iter().take_while(|byte| is_plain(**byte)).count();
            let (head, tail) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
            output.extend_from_slice(head);
            rest = match tail.first() {
                Some(&byte) if byte.is_ascii() => {
                    escape(output, byte);
                    tail.get(1..).unwrap_or_default()
                }
                Some(_) => self.write_characters(output, tail),
                None => &[],
            };
        }
        if cut {
            self.character(output, CUT);
        }
        cut
    }

    /// Writes the non-ASCII characters at the beginning of `text`. Returns the rest.
    fn write_characters<'a>(self, output: &mut Vec<u8>, text: &'a [u8]) -> &'a [u8] {
        let length = text.iter().take_while(|byte| !byte.is_ascii()).count();
        let (run, rest) = text.split_at_checked(length).unwrap_or((text, &[]));
        for chunk in run.utf8_chunks() {
            match self.ascii {
                true => chunk.valid().chars().for_each(|character| self.character(output, character)),
                false => output.extend_from_slice(chunk.valid().as_bytes()),
            }
            if !chunk.invalid().is_empty() {
                self.character(output, REPLACEMENT);
            }
        }
        rest
    }

    fn character(self, output: &mut Vec<u8>, character: char) {
        if self.ascii && !character.is_ascii() {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escape_unit(output, *unit);
            }
        } else {
            output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Where to cut so that at most `max` bytes remain and no character is split.
pub fn boundary(text: &[u8], max: usize) -> usize {
    if text.len() <= max {
        return text.len();
    }
    // The bytes of a character after its first one, at most three.
    let within = text.get(..=max).unwrap_or_default().iter().rev().take(4).take_while(|byte| **byte & 0xc0 == 0x80);
    match within.count() {
        count @ 0..=3 => max.saturating_sub(count),
        _ => max,
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7f) && byte != b'"' && byte != b'\\'
}

fn escape(output: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => output.extend_from_slice(&[b'\\', byte]),
        b'\n' => output.extend_from_slice(b"\\n"),
        b'\r' => output.extend_from_slice(b"\\r"),
        b'\t' => output.extend_from_slice(b"\\t"),
        _ => escape_unit(output, u16::from(byte)),
    }
}

fn escape_unit(output: &mut Vec<u8>, unit: u16) {
    output.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        output.extend(HEX.get(usize::from(unit >> shift & 15)));
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn written(text: &[u8], escaping: Escaping) -> String {
        let mut output = Vec::new();
        escaping.write(&mut output, text);
        String::from_utf8(output).expect("UTF-8")
    }

    const WHOLE: Escaping = Escaping { ascii: false, max: usize::MAX };

    #[test]
    fn what_json_cannot_hold_is_escaped() {
        for (text, expected) in [
            (&b"plain <&> \x7f"[..], "plain <&> \u{7f}"),
            (b"a\"b\\c", r#"a\"b\\c"#),
            (b"\n\r\t\x00\x1f", r"\n\r\t\u0000\u001f"),
            ("grüße 🦀".as_bytes(), "grüße 🦀"),
            (b"\xff\xfe!", "\u{fffd}\u{fffd}!"),
            (b"a\xc3", "a\u{fffd}"),
            (b"\xf0\x9f\xa6", "\u{fffd}"),
            (b"", ""),
        ] {
            assert_eq!(written(text, WHOLE), expected);
        }
        assert_eq!(written("ü🦀\u{2028}".as_bytes(), Escaping { ascii: true, ..WHOLE }), r"\u00fc\ud83e\udd80\u2028");
    }

    #[test]
    fn json_reads_back_what_was_written() {
        let every_byte: Vec<u8> = (0..=255).collect();
        for ascii in [false, true] {
            let json = format!("\"{}\"", written(&every_byte, Escaping { ascii, ..WHOLE }));
            let read: String = serde_json::from_str(&json).expect("JSON");
            assert_eq!(read, String::from_utf8_lossy(&every_byte));
        }
    }

    #[test]
    fn a_cut_divides_no_character() {
        for (text, max, expected) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 3, "abc…"),
            ("aü", 2, "a…"),
            ("aü", 3, "aü"),
            ("🦀🦀", 7, "🦀…"),
            ("🦀🦀", 3, "…"),
        ] {
            assert_eq!(written(text.as_bytes(), Escaping { ascii: false, max }), expected, "{text} {max}");
        }
        assert_eq!(boundary(&[0x80; 9], 5), 5, "what is no text is cut anywhere");
    }
}
