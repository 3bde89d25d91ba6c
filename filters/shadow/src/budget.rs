//! How many bytes may be held at once.

use core::cell::Cell;
use std::rc::Rc;

/// Bytes that may be held, and how many are.
#[derive(Clone, Debug)]
pub struct Budget {
    held: Rc<Cell<usize>>,
    max: usize,
}

/// Bytes that are held. They are given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    bytes: usize,
    of: Budget,
}

impl Budget {
    /// One of which nothing is held.
    pub fn new(max: usize) -> Self {
        Self { held: Rc::default(), max }
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.held.get()
    }

    /// Holds so many bytes, if they fit in.
    pub fn hold(&self, bytes: usize) -> Option<Held> {
        let mut held = Held { bytes: 0, of: self.clone() };
        held.grow(bytes).then_some(held)
    }
}

impl Held {
    /// Holds so many more bytes; false if they do not fit in.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let all = self.of.held().saturating_add(bytes);
        if all > self.of.max {
            return false;
        }
        self.of.held.set(all);
        self.bytes = self.bytes.saturating_add(bytes);
        true
    }

    /// How many bytes these are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives so many back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.of.held.set(self.of.held().saturating_sub(bytes));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn no_more_is_held_than_may_be() {
        let budget = Budget::new(100);
        let mut first = budget.hold(60).expect("it is free");
        assert!(budget.hold(41).is_none());
        let second = budget.hold(40).expect("it is free");
        assert!(!first.grow(1));
        assert_eq!(budget.held(), 100);
        first.shrink(10);
        assert!(first.grow(10));
        drop(first);
        assert_eq!(budget.held(), 40);
        drop(second);
        assert_eq!(budget.held(), 0);
        assert!(budget.hold(usize::MAX).is_none());
    }
}
