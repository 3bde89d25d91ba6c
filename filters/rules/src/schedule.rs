//! The deadlines of requests, and the only timer of a root context.
//!
//! Envoy restarts the timer whenever its period is set. If each request set it, it would never fire while requests arrive.
//! So it is set only to an earlier time than the current one.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

/// Longest period of the timer. For a later deadline, the timer is set again.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Deadlines by the monotonic clock, each with its context id.
#[derive(Debug, Default)]
pub struct Schedule {
    deadlines: BinaryHeap<Reverse<(Duration, u32)>>,
    /// Time when the timer will fire.
    armed: Option<Duration>,
}

impl Schedule {
    /// Adds a deadline.
    pub fn push(&mut self, deadline: Duration, id: u32) {
        self.deadlines.push(Reverse((deadline, id)));
    }

    /// Period for the timer, so that it fires at the next deadline or at `also`; `None` if it need not be set. In whole
    /// milliseconds, never zero.
    pub fn arm(&mut self, now: Duration, also: Option<Duration>) -> Option<Duration> {
        let next = self.deadlines.peek().map(|Reverse((deadline, _))| *deadline);
        let next = [next, also].into_iter().flatten().min()?.min(now.saturating_add(LONGEST));
        if self.armed.is_some_and(|armed| armed <= next) {
            return None;
        }
        self.armed = Some(next);
        let milliseconds = next.saturating_sub(now).as_nanos().div_ceil(1_000_000).max(1);
        Some(Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX)))
    }

    /// The timer has fired, or could not be set.
    pub fn disarm(&mut self) {
        self.armed = None;
    }

    /// Removes and returns a deadline that has passed, with its context.
    pub fn take_due(&mut self, now: Duration) -> Option<(Duration, u32)> {
        let Reverse((deadline, _)) = self.deadlines.peek()?;
        if *deadline > now {
            return None;
        }
        self.deadlines.pop().map(|Reverse(due)| due)
    }

    /// Removes the deadlines of contexts that no longer wait, if more than about half are such.
    pub fn forget(&mut self, waiting: usize, waits: impl Fn(u32) -> bool) {
        if self.deadlines.len() > waiting.saturating_mul(2).saturating_add(64) {
            self.deadlines.retain(|Reverse((_, id))| waits(*id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_timer_is_set_only_for_what_comes_earlier() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.arm(ms(0), None), None);
        schedule.push(ms(2000), 1);
        assert_eq!(schedule.arm(ms(0), None), Some(ms(2000)));
        schedule.push(ms(2001), 2);
        assert_eq!(schedule.arm(ms(1), None), None, "it fires earlier than that");
        schedule.push(ms(200), 3);
        assert_eq!(schedule.arm(ms(100), None), Some(ms(100)));
        schedule.disarm();
        assert_eq!(schedule.take_due(ms(200)), Some((ms(200), 3)));
        assert_eq!(schedule.take_due(ms(200)), None);
        assert_eq!(schedule.arm(ms(200), None), Some(ms(1800)));
    }

    #[test]
    fn nothing_is_due_early_and_the_timer_has_whole_milliseconds() {
        let mut schedule = Schedule::default();
        schedule.push(Duration::from_nanos(10_000_001), 1);
        assert_eq!(schedule.arm(ms(0), None), Some(ms(11)));
        schedule.disarm();
        assert_eq!(schedule.take_due(ms(10)), None);
        assert_eq!(schedule.arm(ms(10), None), Some(ms(1)), "never zero, which would stop it");
        schedule.disarm();
        assert_eq!(schedule.take_due(ms(11)).map(|due| due.1), Some(1));
        schedule.push(ms(5), 2);
        assert_eq!(schedule.arm(ms(20), None), Some(ms(1)), "what is overdue, too");
    }

    #[test]
    fn what_else_is_due_counts_and_what_is_far_ahead_is_looked_at_daily() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.arm(ms(0), Some(ms(300))), Some(ms(300)));
        schedule.disarm();
        assert_eq!(schedule.arm(ms(300), Some(Duration::MAX)), Some(LONGEST));
    }

    #[test]
    fn those_that_left_are_forgotten() {
        let mut schedule = Schedule::default();
        for id in 0..1000 {
            schedule.push(ms(1000), id);
            schedule.forget(1, |waiting| waiting == 7);
            assert!(schedule.deadlines.len() <= 66);
        }
        assert_eq!(schedule.take_due(ms(1000)).map(|due| due.1), Some(7));
    }
}
