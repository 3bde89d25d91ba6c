//! The values of literals.

use super::{duration::parse_duration, error::short, value::Value};

/// The value of a number.
pub(super) fn number(text: &str) -> Result<Value, String> {
    let hexadecimal = text.len() > 1
        && text.starts_with('0')
        && text.as_bytes().get(1).is_some_and(|b| b.is_ascii_alphabetic() && !b.eq_ignore_ascii_case(&b'e'));
    if hexadecimal {
        return Err(format!("{} is not a decimal number, and Mixer takes no others", short(text)));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        if text.len() > 1 && text.starts_with('0') && text.contains(['8', '9']) {
            return Err(format!("{} begins with 0 and has a digit that is not octal; leave the 0 out", short(text)));
        }
        return text.parse().map(Value::Int64).map_err(|_| format!("{} does not fit into 64 bits", short(text)));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')) {
        if let Ok(number) = text.parse::<f64>() {
            if number.is_finite() {
                return Ok(Value::Double(number));
            }
        }
    }
    Err(format!("{} is not a number", short(text)))
}

/// The value of a quoted text. As in Mixer, a text in the form of a duration is a duration.
pub(super) fn text(literal: &str) -> Result<Value, String> {
    let text = match literal.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        Some(raw) => raw.replace('\r', ""),
        None => unescape(literal)?,
    };
    if literal.starts_with('\'') && text.chars().count() != 1 {
        return Err(format!("{} is not one character; put texts into double quotes", short(literal)));
    }
    Ok(parse_duration(&text).map_or_else(|| Value::String(text), Value::Duration))
}

/// The text of a literal with Go's escapes.
fn unescape(literal: &str) -> Result<String, String> {
    let quote = literal.chars().next().unwrap_or('"');
    let inner = literal.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let bad = || "there is a backslash that Go does not know as an escape".to_owned();
        let escape = rest.next().ok_or_else(bad)?;
        let mut code = |length: usize, radix: u32, first: Option<char>| -> Result<u32, String> {
            let digits: String = first.into_iter().chain(rest.by_ref()).take(length).collect();
            let is_code = digits.chars().count() == length && digits.chars().all(|digit| digit.is_digit(radix));
            if is_code {
                u32::from_str_radix(&digits, radix).map_err(|_| bad())
            } else {
                Err(bad())
            }
        };
        let mut push = |character: char| bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        match escape {
            'a' => push('\u{7}'),
            'b' => push('\u{8}'),
            'f' => push('\u{c}'),
            'n' => push('\n'),
            'r' => push('\r'),
            't' => push('\t'),
            'v' => push('\u{b}'),
            '\\' => push('\\'),
            _ if escape == quote => push(quote),
            'u' => push(char::from_u32(code(4, 16, None)?).ok_or_else(bad)?),
            'U' => push(char::from_u32(code(8, 16, None)?).ok_or_else(bad)?),
            // In texts, these are bytes; in single quotes, a character.
            'x' | '0'..='7' => {
                let code = if escape == 'x' { code(2, 16, None)? } else { code(3, 8, Some(escape))? };
                let byte = u8::try_from(code).map_err(|_| bad())?;
                if quote == '\'' {
                    push(char::from(byte));
                } else {
                    bytes.push(byte);
                }
            }
            _ => return Err(bad()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "the escapes do not make a text in UTF-8".into())
}
