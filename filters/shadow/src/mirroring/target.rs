//! The mirrors of all rules, with their counters and rate limits.

use core::time::Duration;

use host::Host;

use crate::config::Mirror;
use crate::metrics::{self, MirrorCounters, Skip};
use crate::rate::PerSecond;

/// A mirror with its counters and rate limits.
pub(super) struct Target {
    pub mirror: Mirror,
    pub counters: MirrorCounters,
    pub rate: Option<PerSecond>,
    pub log_rate: PerSecond,
    pub warned_at: Option<Duration>,
}

impl Target {
    /// `prefix` is the prefix of its metric names.
    pub fn new(mirror: Mirror, prefix: &str) -> Self {
        Self {
            counters: MirrorCounters::new(prefix, &mirror.name),
            rate: (mirror.max_per_second > 0).then(|| PerSecond::new(mirror.max_per_second)),
            log_rate: PerSecond::new(mirror.compare.map_or(0, |compare| compare.log_per_second)),
            warned_at: None,
            mirror,
        }
    }

    /// Counts a request that the mirror does not get.
    pub fn skip(&mut self, host: &impl Host, why: Skip) {
        self.counters.count(host, metrics::SKIPPED, [why.name(), ""]);
    }
}

/// Skips the mirrors whose limit for bodies is smaller than `length`. Returns whether none remains.
pub(super) fn skip_too_large(
    targets: &mut [Target],
    waiting: &mut Vec<usize>,
    host: &impl Host,
    length: usize,
) -> bool {
    waiting.retain(|index| {
        let Some(target) = targets.get_mut(*index) else { return false };
        let is_small = length <= target.mirror.max_request_bytes;
        if !is_small {
            target.skip(host, Skip::BodyTooLarge);
        }
        is_small
    });
    waiting.is_empty()
}

/// Skips all mirrors.
pub(super) fn skip_all(targets: &mut [Target], waiting: &mut Vec<usize>, host: &impl Host, why: Skip) {
    for index in core::mem::take(waiting) {
        if let Some(target) = targets.get_mut(index) {
            target.skip(host, why);
        }
    }
}

/// The largest body limit of these mirrors.
pub(super) fn largest(targets: &[Target], waiting: &[usize]) -> usize {
    let sizes = waiting.iter().filter_map(|index| targets.get(*index));
    sizes.map(|target| target.mirror.max_request_bytes).max().unwrap_or_default()
}
