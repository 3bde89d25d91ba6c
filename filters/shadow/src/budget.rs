//! A limit on bytes held at once.

use core::cell::Cell;
use std::rc::Rc;

/// The maximum of held bytes, and the current number.
#[derive(Clone, Debug)]
pub struct Budget {
    held: Rc<Cell<usize>>,
    max: usize,
}

/// A number of held bytes. Dropping it releases them.
#[derive(Debug)]
pub struct Held {
    bytes: usize,
    of: Budget,
}

impl Budget {
    /// A budget with no bytes held.
    pub fn new(max: usize) -> Self {
        Self { held: Rc::default(), max }
    }

    /// Bytes currently held.
    pub fn held(&self) -> usize {
        self.held.get()
    }

    /// Holds `bytes`, if they fit into the budget.
    pub fn hold(&self, bytes: usize) -> Option<Held> {
        let mut held = Held { bytes: 0, of: self.clone() };
        held.grow(bytes).then_some(held)
    }
}

impl Held {
    /// Holds more bytes; false if they do not fit.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let all = self.of.held().saturating_add(bytes);
        if all > self.of.max {
            return false;
        }
        self.of.held.set(all);
        self.bytes = self.bytes.saturating_add(bytes);
        true
    }

    /// The number of bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Releases some of the bytes.
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
