//! What the suites of faults and of mirrors have in common.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

#[allow(dead_code)] // the faults need more of it
pub mod load;

/// The longest that something may take to appear.
pub const WAIT: Duration = Duration::from_secs(10);

/// Lets cases that need the machine for themselves run alone: they take the lock for writing, those whose times matter
/// for reading.
static MACHINE: RwLock<()> = RwLock::new(());

/// While this is held, nobody fills the machine.
#[allow(dead_code)] // only the faults take times so closely
pub fn quiet() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// While this is held, no times are taken.
pub fn loud() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until something has a value.
pub fn wait_for<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, seen: impl Fn() -> T) {
    local_mesh::wait_for_value(WAIT, expected, seen).expect(what);
}

/// Waits for a condition.
pub fn wait_until(condition: impl FnMut() -> bool) {
    local_mesh::wait_until(WAIT, condition).unwrap();
}

/// So many milliseconds.
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
