//! A rate limit.

use core::time::Duration;

/// A maximum per second.
#[derive(Clone, Debug)]
pub struct PerSecond {
    max: u64,
    second: u64,
    count: u64,
}

impl PerSecond {
    /// At most `max` per second.
    pub fn new(max: u64) -> Self {
        Self { max, second: 0, count: 0 }
    }

    /// Whether it may happen now. If so, counts it.
    pub fn admit(&mut self, now: Duration) -> bool {
        if now.as_secs() != self.second {
            self.second = now.as_secs();
            self.count = 0;
        }
        let is_free = self.count < self.max;
        self.count = self.count.saturating_add(is_free.into());
        is_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn each_second_has_its_number() {
        let mut rate = PerSecond::new(3);
        for second in 0..10 {
            let admitted = (0..100).filter(|ms| rate.admit(Duration::from_millis(second * 1000 + ms * 10))).count();
            assert_eq!(admitted, 3);
        }
        assert!(!PerSecond::new(0).admit(Duration::ZERO));
    }
}
