//! HTTP/1.1 responses, read as far as a load generator must: where they end, and their status.

use anyhow::{bail, ensure, Context, Result};

/// More than this before the body is refused.
const MAX_HEAD: usize = 64 * 1024;

/// A response that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Bytes up to the body.
    pub head: usize,
    /// Bytes altogether, the body included.
    pub total: usize,
}

/// The response that `bytes` begin with; None as long as some of it is missing.
pub fn parse(bytes: &[u8]) -> Result<Option<Response>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        ensure!(bytes.len() <= MAX_HEAD, "a response without an end of its headers");
        return Ok(None);
    };
    let head = end + 4;
    let mut lines = bytes.get(..end).unwrap_or_default().split(|byte| *byte == b'\n');
    let status = lines.next().and_then(status).context("not an HTTP/1.1 response")?;
    let mut length = None;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value.get(1..).unwrap_or_default()).unwrap_or_default();
            length = Some(text.trim().parse::<usize>().context("content-length is no number")?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            bail!("a response in chunks: the bench expects a content-length");
        }
    }
    let total = head + length.context("a response without content-length")?;
    Ok((bytes.len() >= total).then_some(Response { status, head, total }))
}

/// A header's value in the bytes before the body; the name in lower case.
pub fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    let mut pairs = head.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
}

fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ")?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-a: b: c\r\n\r\nhello";

    #[test]
    fn a_response_ends_where_its_length_says() {
        let expected = Response { status: 200, head: 49, total: 54 };
        assert_eq!(parse(OK).unwrap(), Some(expected));
        let two = [OK, b"HTTP/1.1 404"].concat();
        assert_eq!(parse(&two).unwrap(), Some(expected));
    }

    #[test]
    fn part_of_a_response_is_none_wherever_it_is_cut() {
        for length in 0..OK.len() {
            assert_eq!(parse(&OK[..length]).unwrap(), None, "{length}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_an_endless_wait() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..], "chunks"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "without content-length"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "no number"),
            (b"SSH-2.0\r\n\r\n", "not an HTTP/1.1"),
        ] {
            let error = format!("{:#}", parse(bytes).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
        assert!(parse(&vec![b'a'; MAX_HEAD + 1]).is_err());
    }

    #[test]
    fn headers_are_found_whatever_their_case() {
        let head = std::str::from_utf8(OK).unwrap();
        assert_eq!(header(head, "content-length"), Some("5"));
        assert_eq!(header(head, "x-a"), Some("b: c"));
        assert_eq!(header(head, "x-none"), None);
    }
}
