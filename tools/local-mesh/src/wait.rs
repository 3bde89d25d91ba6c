//! Waits for conditions.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

/// How often to check the condition.
const POLL: Duration = Duration::from_millis(20);

/// Waits until `condition` holds; an error after `limit`.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    wait_for(limit, || condition().then_some(()))
}

/// Waits until `look` finds something; an error after `limit`.
pub fn wait_for<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "it did not come to be within {limit:?}");
        std::thread::sleep(POLL);
    }
}

/// Waits until `seen` returns `expected`. After `limit`, an error with the last value.
pub fn wait_for_value<T: PartialEq + Debug>(limit: Duration, expected: &T, mut seen: impl FnMut() -> T) -> Result<()> {
    let mut last = None;
    let is_it = || {
        let now = seen();
        let is_it = now == *expected;
        last = Some(now);
        is_it
    };
    wait_until(limit, is_it).with_context(|| format!("{last:?} instead of {expected:?}"))
}
