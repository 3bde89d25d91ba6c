//! Coordinates tests that load the machine with tests that measure times.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Tests that load the machine take the lock for writing, and so run alone. Tests that measure times take it for reading.
static MACHINE: RwLock<()> = RwLock::new(());

/// While this is held, no test loads the machine.
pub fn quiet() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// While this is held, no test measures times.
pub fn loud() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}
