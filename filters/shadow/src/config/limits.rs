//! `limits`: most bytes and copies at once.

use configuration::Section;

pub(super) const MEBIBYTE: u64 = 1024 * 1024;

/// Limits of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorLimits {
    /// `maxRequestBytes`: larger bodies are not mirrored, unless the mirror says otherwise.
    pub max_request_bytes: usize,
    /// `maxBufferedBytes`: bytes of all copied heads and bodies together.
    pub max_buffered_bytes: usize,
    /// `maxInFlight`: copies in the queue, or waiting for an answer.
    pub max_in_flight: usize,
    /// `maxPairs`: comparisons that wait for one of the answers.
    pub max_pairs: usize,
}

impl MirrorLimits {
    /// Reads `limits`.
    pub(super) fn read(section: &mut Section) -> Self {
        let mut bytes = |name, range, default| {
            usize::try_from(section.optional_integer(name, range).unwrap_or(default)).unwrap_or_default()
        };
        let max_buffered_bytes = bytes("maxBufferedBytes", 1..=256 * MEBIBYTE, 16 * MEBIBYTE);
        let max_request_bytes = bytes("maxRequestBytes", 0..=16 * MEBIBYTE, MEBIBYTE);
        let limits = Self {
            max_request_bytes: max_request_bytes.min(max_buffered_bytes),
            max_buffered_bytes,
            max_in_flight: bytes("maxInFlight", 1..=10_000, 256),
            max_pairs: bytes("maxPairs", 1..=65_536, 4096),
        };
        if section.has("maxRequestBytes") {
            refuse_over_buffered(section, max_request_bytes, max_buffered_bytes);
        }
        limits
    }
}

/// Rejects a body limit above the limit for all bytes together.
pub(super) fn refuse_over_buffered(section: &mut Section, bytes: usize, buffered: usize) {
    if bytes > buffered {
        section.refuse("maxRequestBytes", format!("{bytes} > limits.maxBufferedBytes {buffered}"));
    }
}
