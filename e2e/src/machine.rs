//! Who may fill the machine, and who takes times.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Lets cases that need the machine for themselves run alone: they take the lock for writing, those whose times matter
/// for reading.
static MACHINE: RwLock<()> = RwLock::new(());

/// While this is held, nobody fills the machine.
pub fn quiet() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// While this is held, no times are taken.
pub fn loud() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}
