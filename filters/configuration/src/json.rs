//! Values, read from where they are written when they are asked for.
//!
//! No value is turned into a tree, and no number into a float: what is refused is quoted as the operator wrote it.

use collections::names::Names;

use crate::quote::{joined, MAX_QUOTED};
use crate::scan::Span;

/// No number has more digits before its point.
const MAX_DIGITS: i64 = 309;

/// A value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<'a> {
    /// The whole text.
    text: &'a str,
    /// Where in it the value is, then those within it.
    spans: &'a [Span],
}

/// An object's fields, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    names: Names,
    values: Vec<Json<'a>>,
    /// Names that are there more than once.
    pub(super) twice: Vec<String>,
}

impl<'a> Json<'a> {
    /// The value that `text` is; its places are `spans`.
    pub(super) fn new(text: &'a str, spans: &'a [Span]) -> Self {
        Self { text, spans }
    }

    /// As it is written.
    pub(super) fn source(self) -> &'a str {
        self.spans.first().and_then(|span| self.text.get(span.start..span.end)).unwrap_or_default()
    }

    /// The sign that it begins with, which says what it is.
    pub(super) fn first(self) -> Option<u8> {
        self.source().bytes().next()
    }

    /// What is said of it where a value of the type `expected` should be: its type, which `null` tells itself, and the value.
    #[inline(never)]
    pub(super) fn instead_of(self, expected: &str) -> String {
        let kind = match self.first() {
            Some(b'"') => "string ",
            Some(b'{') => "object ",
            Some(b'[') => "array ",
            Some(b't' | b'f') => "boolean ",
            Some(b'n') => "",
            _ => "number ",
        };
        joined(&["expected ", expected, ", got ", kind, &self.quote()], "")
    }

    /// The text that it is.
    #[inline(never)]
    pub(super) fn text(self) -> Option<String> {
        unescaped(self.source().strip_prefix('"')?.strip_suffix('"')?)
    }

    /// The number that it is, as it is written.
    pub(super) fn number(self) -> Option<&'a str> {
        Some(self.source()).filter(|source| source.starts_with(|first: char| first == '-' || first.is_ascii_digit()))
    }

    /// The text that it is, or else what is written there.
    pub(super) fn text_or_source(self) -> String {
        self.text().unwrap_or_else(|| self.source().into())
    }

    /// The values of the list that it is.
    pub(super) fn list(self) -> Option<Vec<Self>> {
        (self.first() == Some(b'[')).then(|| self.within().collect())
    }

    /// The object that it is.
    #[inline(never)]
    pub(super) fn object(self) -> Option<Object<'a>> {
        if self.first() != Some(b'{') {
            return None;
        }
        let mut object = Object::default();
        let mut within = self.within();
        while let Some((name, value)) = within.next().zip(within.next()) {
            let name = name.text()?;
            match object.names.add(&name) {
                (_, true) => object.values.push(value),
                (_, false) => object.twice.push(name),
            }
        }
        Some(object)
    }

    /// The values in it, without those in these.
    fn within(self) -> impl Iterator<Item = Self> {
        let mut rest = self.spans.get(1..).unwrap_or_default();
        core::iter::from_fn(move || {
            let (spans, after) = rest.split_at_checked(rest.first()?.count)?;
            rest = after;
            Some(Self { spans, ..self })
        })
    }

    /// On one line, cut if it is long.
    pub(super) fn quote(self) -> String {
        quote(self.source())
    }
}

impl<'a> Object<'a> {
    /// The field's value.
    pub(super) fn get(&self, name: &str) -> Option<Json<'a>> {
        self.values.get(self.names.get(name)?).copied()
    }

    /// The fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, Json<'a>)> {
        self.names.iter().map(String::as_str).zip(self.values.iter().copied())
    }
}

/// `json` on one line, cut if it is long.
#[inline(never)]
pub(super) fn quote(json: &str) -> String {
    let mut quoted = String::new();
    let mut in_text = false;
    let mut escaped = false;
    let mut length = 0_usize;
    for sign in json.chars() {
        if !in_text && sign.is_ascii_whitespace() {
            continue;
        }
        if length == MAX_QUOTED {
            quoted.push('…');
            break;
        }
        length = length.saturating_add(1);
        in_text = if sign == '"' && !escaped { !in_text } else { in_text };
        escaped = sign == '\\' && !escaped;
        quoted.push(sign);
    }
    quoted
}

/// A text without its escapes; `None` if one of them stands for no character.
fn unescaped(text: &str) -> Option<String> {
    let mut output = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        output.push(match byte {
            b'\\' => match bytes.next()? {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'u' => {
                    let character = character(&mut bytes)?;
                    output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
                itself => itself,
            },
            byte => byte,
        });
    }
    String::from_utf8(output).ok()
}

/// The character of an escape, or of two that are the halves of one.
fn character(bytes: &mut core::str::Bytes) -> Option<char> {
    let first = unit(bytes);
    if first & 0xfc00 != 0xd800 {
        return char::from_u32(first);
    }
    let (Some(b'\\'), Some(b'u')) = (bytes.next(), bytes.next()) else {
        return None;
    };
    let second = Some(unit(bytes)).filter(|second| second & 0xfc00 == 0xdc00)?;
    char::from_u32(((first & 0x3ff) << 10 | second & 0x3ff).saturating_add(0x1_0000))
}

/// The number of four hexadecimal digits.
fn unit(bytes: &mut core::str::Bytes) -> u32 {
    // Letters follow 0x40 or 0x60, digits 0x30.
    let digit = |byte: u8| u32::from(byte & 0xf).saturating_add(if byte > b'9' { 9 } else { 0 });
    bytes.by_ref().take(4).fold(0, |unit, byte| unit << 4 | digit(byte))
}

/// Whether a number is larger than a float can be.
pub(super) fn is_too_large(number: &str) -> bool {
    let (mut digits, mut exponent, mut is_zero, mut is_negative) = (0_i64, None, true, false);
    let mut is_whole = true;
    for byte in number.bytes() {
        match (byte, &mut exponent) {
            (b'0'..=b'9', Some(exponent)) => {
                *exponent = i64::from(byte & 0xf).saturating_add(i64::saturating_mul(*exponent, 10));
            }
            (b'0'..=b'9', None) => {
                is_zero &= byte == b'0';
                digits = digits.saturating_add(i64::from(is_whole && !is_zero));
            }
            (b'-', Some(_)) => is_negative = true,
            (b'.', _) => is_whole = false,
            (b'e' | b'E', _) => exponent = Some(0),
            _ => {}
        }
    }
    let exponent = exponent.unwrap_or_default();
    let exponent = if is_negative { exponent.saturating_neg() } else { exponent };
    !is_zero && digits.saturating_add(exponent) > MAX_DIGITS
}
