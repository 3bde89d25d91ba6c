//! The ways in which a request can be ended.

/// One end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortKind {
    /// An answer with this status.
    Http(u16),
    /// An answer with this status of gRPC.
    Grpc(u8),
    /// No answer.
    Reset,
}
