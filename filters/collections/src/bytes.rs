//! Bytes that one filter read and another may use, and keys to find them in a cache.

use core::hash::{Hash, Hasher};
use core::ops::Deref;
use std::rc::Rc;

use hashbrown::Equivalent;

/// Bytes that may be shared with a cache.
///
/// Two `Kept` values are equal only if they are the same memory, which is much faster to compare. So a cache must keep each
/// value once.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// Read for one stream.
    Read(Vec<u8>),
    /// Shared with a cache.
    Kept(Rc<[u8]>),
}

impl Bytes {
    /// Bytes of a `Read` value; 0 for a shared one.
    pub fn own_len(&self) -> usize {
        match self {
            Self::Read(bytes) => bytes.len(),
            Self::Kept(_) => 0,
        }
    }
}

/// A lookup key for [`Bytes::Read`] values.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a>(pub &'a [u8]);

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Kept(bytes) => bytes,
        }
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Read(bytes), Self::Read(others)) => equal(bytes, others),
            (Self::Kept(bytes), Self::Kept(others)) => Rc::ptr_eq(bytes, others),
            _ => false,
        }
    }
}

impl Eq for Bytes {}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Read(bytes) => Key(bytes).hash(state),
            Self::Kept(bytes) => Rc::as_ptr(bytes).cast::<u8>().hash(state),
        }
    }
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.0.len());
        state.write(self.0);
    }
}

impl Equivalent<Bytes> for Key<'_> {
    fn equivalent(&self, key: &Bytes) -> bool {
        matches!(key, Bytes::Read(bytes) if equal(self.0, bytes))
    }
}

/// Whether two values are equal. In WebAssembly, the standard library compares byte by byte, which is slower.
fn equal(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    one.len() == other.len()
        && words.iter().zip(other_words).all(|(word, other)| u64::from_le_bytes(*word) == u64::from_le_bytes(*other))
        && rest == other_rest
}

#[cfg(test)]
mod tests {
    use hashbrown::HashMap;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn values_are_equal_if_each_byte_is() {
        let value: Vec<u8> = (0..100).collect();
        for length in 0..value.len() {
            let one: Vec<u8> = value.iter().copied().take(length).collect();
            assert!(equal(&one, &one.clone()));
            assert!(!equal(&one, &value), "{length}");
            for index in 0..length {
                let mut other = one.clone();
                other[index] ^= 1;
                assert!(!equal(&one, &other), "{length} {index}");
            }
        }
    }

    #[test]
    fn what_was_read_is_found_by_its_bytes_and_what_is_kept_by_its_place() {
        let kept: Rc<[u8]> = Rc::from(b"peer".as_slice());
        let mut map = HashMap::new();
        map.insert(Bytes::Read(b"peer".to_vec()), 1);
        map.insert(Bytes::Kept(Rc::clone(&kept)), 2);
        assert_eq!(map.get(&Key(b"peer")), Some(&1));
        assert_eq!(map.get(&Bytes::Read(b"peer".to_vec())), Some(&1));
        assert_eq!(map.get(&Bytes::Kept(kept)), Some(&2));
        assert_eq!(map.get(&Bytes::Kept(Rc::from(b"peer".as_slice()))), None);
        assert_eq!(map.get(&Key(b"pear")), None);
    }
}
