//! What is remembered of peers and of clusters, by the bytes that tell of them.

use std::rc::Rc;

use collections::bounded::BoundedCache;
use collections::bytes::Bytes;

use crate::counters::Rejection;

/// One type for both: each takes 3 KB of code.
pub(crate) type LearnedCache = BoundedCache<Bytes, Learned>;

/// What followed from some bytes.
#[derive(Clone)]
pub(crate) enum Learned {
    /// From a header that tells of a peer.
    Peer(Result<Rc<UnderstoodPeer>, Rejection>),
    /// From a cluster's name: whether it leads to peers that may know who we are.
    IsInside(bool),
}

/// A peer that was understood.
pub(crate) struct UnderstoodPeer {
    pub namespace: String,
    /// As it is put into filter state.
    pub state: Rc<[u8]>,
}
