//! Waits for conditions.

use std::time::Duration;

/// Time limit for something to appear.
pub const WAIT: Duration = Duration::from_secs(10);

/// Waits until a value is as expected.
pub fn wait_for<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, seen: impl Fn() -> T) {
    local_mesh::wait_for_value(WAIT, expected, seen).expect(what);
}

/// Waits for a condition.
pub fn wait_until(condition: impl FnMut() -> bool) {
    local_mesh::wait_until(WAIT, condition).unwrap();
}

/// A duration in milliseconds.
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
