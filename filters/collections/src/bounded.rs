//! Maps with a bounded size, for keys that clients choose.

use core::hash::Hash;
use core::mem;

use hashbrown::{Equivalent, HashMap};

/// A cache of at most `capacity` entries, or one more. It evicts approximately the least recently used entries.
///
/// Entries are in two generations. A hit in the old generation moves the entry to the young one. When the young generation
/// has half the capacity, it becomes the old one, and the previous old one is dropped. So a lookup is one hash, and an
/// eviction costs nothing per request. A flood of new keys cannot evict entries that are used again before half the capacity
/// of new keys has arrived.
pub struct BoundedCache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation: usize,
}

impl<K: Hash + Eq, V: Clone> BoundedCache<K, V> {
    /// An empty cache; `capacity` 0 stores nothing.
    pub fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation: capacity.div_ceil(2) }
    }

    /// The value of `key`.
    pub fn get<Q>(&mut self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    /// Stores `value`, and may evict entries.
    pub fn insert(&mut self, key: K, value: V) {
        if self.generation == 0 {
            return;
        }
        if self.young.len() >= self.generation {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_thousand_keys_stay_within_the_capacity() {
        let mut cache = BoundedCache::new(100);
        for key in 0..1000 {
            cache.insert(key, key);
            assert!(cache.len() <= 100);
        }
        assert_eq!(cache.get(&999), Some(999));
        assert_eq!(cache.get(&0), None);
    }

    #[test]
    fn what_is_used_survives_what_is_not() {
        let mut cache = BoundedCache::new(10);
        cache.insert("kept".to_string(), 1);
        for key in 0..100 {
            cache.insert(key.to_string(), 0);
            assert_eq!(cache.get("kept"), Some(1));
        }
    }

    #[test]
    fn capacity_zero_keeps_nothing() {
        let mut cache = BoundedCache::new(0);
        cache.insert(1, 1);
        assert_eq!(cache.get(&1), None);
        assert!(cache.is_empty());
    }
}
