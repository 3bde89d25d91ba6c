//! Bytes that one filter read and another may use, without a copy.

use core::hash::{Hash, Hasher};
use core::ops::Deref;
use std::rc::Rc;

/// Bytes of which somebody else may have a copy. Equal if the bytes are.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// Read for one stream.
    Read(Vec<u8>),
    /// Kept by somebody.
    Kept(Rc<[u8]>),
}

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
        **self == **other
    }
}

impl Eq for Bytes {}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
