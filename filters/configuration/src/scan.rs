//! Where in a text of JSON its values are.

/// Where a value is.
#[derive(Debug)]
pub(super) struct Span {
    /// Where it begins in the text.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// How many values it is, with those within it. The names of an object's fields are values, too.
    pub(super) count: usize,
}

/// Finds the values of `json`, which is valid, each before those within it.
pub(super) fn spans(json: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut open = Vec::new();
    let mut start = 0_usize;
    while let Some((byte, rest)) = json.as_bytes().get(start..).and_then(<[u8]>::split_first) {
        let mut end = start.saturating_add(1);
        match byte {
            b'{' | b'[' => {
                open.push(spans.len());
                spans.push(Span { start, end, count: 1 });
            }
            b'}' | b']' => {
                let after = spans.len();
                if let Some((place, span)) = open.pop().and_then(|place| Some((place, spans.get_mut(place)?))) {
                    span.end = end;
                    span.count = after.saturating_sub(place);
                }
            }
            b',' | b':' => {}
            _ if byte.is_ascii_whitespace() => {}
            _ => {
                let length = if *byte == b'"' { text_length(rest) } else { word_length(rest) };
                end = end.saturating_add(length);
                spans.push(Span { start, end, count: 1 });
            }
        }
        start = end;
    }
    spans
}

/// The length of a text behind its first quote, with its last one.
fn text_length(rest: &[u8]) -> usize {
    let mut escaped = false;
    let is_end = |byte: &u8| {
        let is_end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        is_end
    };
    rest.iter().position(is_end).map_or(rest.len(), |end| end.saturating_add(1))
}

/// The length of a number, or of a word such as `true`, behind its first sign.
fn word_length(rest: &[u8]) -> usize {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}');
    rest.iter().position(is_end).unwrap_or(rest.len())
}

/// `json` with the commas blanked out that stand, but for white space, before a closing bracket.
pub(super) fn without_trailing_commas(json: &[u8]) -> Vec<u8> {
    let mut output: Vec<u8> = Vec::with_capacity(json.len());
    let mut in_text = false;
    let mut escaped = false;
    let mut comma = None;
    let mut before = b'[';
    for &byte in json {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            match byte {
                b',' if !matches!(before, b'{' | b'[' | b',') => comma = Some(output.len()),
                b'}' | b']' => {
                    if let Some(blank) = comma.take().and_then(|position| output.get_mut(position)) {
                        *blank = b' ';
                    }
                }
                _ if byte.is_ascii_whitespace() => {}
                _ => {
                    comma = None;
                    in_text = byte == b'"';
                }
            }
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
        output.push(byte);
    }
    output
}
