//! How a request is aborted.

/// How a request is aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortKind {
    /// An answer with this status.
    Http(u16),
    /// An answer with this gRPC status.
    Grpc(u8),
    /// No answer: the stream is reset.
    Reset,
}
