//! Waiting for what takes its time.

use std::time::{Duration, Instant};

use anyhow::{ensure, Result};

/// How often the condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Waits until `condition` holds; an error if it does not within `limit`.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + limit;
    while !condition() {
        ensure!(Instant::now() < end, "it did not come to be within {limit:?}");
        std::thread::sleep(POLL);
    }
    Ok(())
}
