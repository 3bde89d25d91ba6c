//! The statuses of the ABI.

/// All is well.
pub const OK: u32 = 0;
/// What was asked for is not there.
pub const NOT_FOUND: u32 = 1;
/// An argument is wrong, or the call is not for this moment.
pub const BAD_ARGUMENT: u32 = 2;
/// The value has no form as bytes.
pub const SERIALIZATION_FAILURE: u32 = 3;
/// It could not be done.
pub const INTERNAL_FAILURE: u32 = 10;
/// The largest status.
pub const LAST: u32 = 12;
