//! Headers that are about one connection, so that no copy of a request takes them over.

/// Headers that are about a connection, or would be wrong on the copy.
pub const DROPPED: [&[u8]; 12] = [
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authorization",
    b"proxy-authenticate",
    b"transfer-encoding",
    b"trailer",
    b"upgrade",
    b"http2-settings",
    b"expect",
    b":protocol",
    b"host",
];

/// Whether a header is about the connection or the length of a body, which are the copy's own.
pub fn is_of_connection(name: &[u8]) -> bool {
    DROPPED.contains(&name) || name == b"content-length" || name == b"te"
}
