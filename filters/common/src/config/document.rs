//! From bytes to a JSON object.

use serde_json::{Map, Value};

use super::{quote, Problem};

/// The object in `bytes`; an empty one if there is none, or none that can be read.
pub(super) fn read(bytes: &[u8], problems: &mut Vec<Problem>) -> Map<String, Value> {
    let (document, twice) = parse(bytes).unwrap_or_else(|message| {
        problems.push(Problem { path: String::new(), message });
        Default::default()
    });
    problems.extend(twice.into_iter().map(|path| Problem { path, message: "duplicate field".into() }));
    document
}

/// The object, with the paths of fields that are given twice.
fn parse(bytes: &[u8]) -> Result<(Map<String, Value>, Vec<String>), String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Default::default());
    }
    // No text has control characters, and every google.protobuf.Struct has one, which is what plugins are given where
    // the operator did not say StringValue.
    if bytes.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
        return Err("configuration is not JSON text: use google.protobuf.StringValue".into());
    }
    let forgiven = without_trailing_commas(bytes);
    match serde_json::from_slice(bytes).or_else(|error| serde_json::from_slice(&forgiven).map_err(|_| error)) {
        Ok(Value::Object(object)) => {
            let mut fields = Fields { rest: &forgiven, twice: Vec::new() };
            fields.value("");
            Ok((object, fields.twice))
        }
        Ok(other) => Err(format!("{} is not allowed, must be a JSON object", quote(&other))),
        Err(error) => Err(format!("not valid JSON: {error}")),
    }
}

/// `json` with the commas blanked out that stand, but for white space, before a closing bracket.
fn without_trailing_commas(json: &[u8]) -> Vec<u8> {
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

/// Goes through JSON that is known to be valid, since the parser keeps the last of two fields and does not tell.
struct Fields<'a> {
    rest: &'a [u8],
    twice: Vec<String>,
}

impl<'a> Fields<'a> {
    fn value(&mut self, path: &str) {
        match self.next() {
            Some(b'{') => self.object(path),
            Some(b'[') => self.list(path),
            Some(b'"') => {
                self.text();
            }
            _ => {
                let end = self.rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}'));
                self.skip(end.unwrap_or(self.rest.len()));
            }
        }
    }

    fn object(&mut self, path: &str) {
        let mut names: Vec<&[u8]> = Vec::new();
        loop {
            self.skip(1);
            if self.next() != Some(b'"') {
                break self.skip(1);
            }
            let name = self.text();
            self.next();
            self.skip(1);
            let separator = if path.is_empty() { "" } else { "." };
            let inner = [path, separator, &String::from_utf8_lossy(name)].concat();
            if names.contains(&name) {
                self.twice.push(inner);
                self.value("");
            } else {
                names.push(name);
                self.value(&inner);
            }
            if self.next() != Some(b',') {
                break self.skip(1);
            }
        }
    }

    fn list(&mut self, path: &str) {
        for index in 0_usize.. {
            self.skip(1);
            if self.next() == Some(b']') {
                break;
            }
            self.value(&format!("{path}[{index}]"));
            if self.next() != Some(b',') {
                break;
            }
        }
        self.skip(1);
    }

    /// What stands between the quotes; escapes as they are.
    fn text(&mut self) -> &'a [u8] {
        self.skip(1);
        let mut escaped = false;
        let end = self.rest.iter().position(|byte| {
            let ends = !escaped && *byte == b'"';
            escaped = !escaped && *byte == b'\\';
            ends
        });
        let text = self.rest.get(..end.unwrap_or(self.rest.len())).unwrap_or_default();
        self.skip(text.len().saturating_add(1));
        text
    }

    fn next(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}
