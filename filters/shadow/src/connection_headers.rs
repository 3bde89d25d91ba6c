//! Headers of a connection. A copy has its own.

/// Headers of a connection, or headers that would be wrong on the copy.
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

/// Whether a header belongs to the connection or is a body's length. The copy has its own.
pub fn is_of_connection(name: &[u8]) -> bool {
    DROPPED.contains(&name) || name == b"content-length" || name == b"te"
}
