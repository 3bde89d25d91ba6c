//! A cache of peers and clusters, by the bytes that describe them.

use std::rc::Rc;

use collections::bounded::BoundedCache;
use collections::bytes::Bytes;

use crate::counters::Rejection;

/// One type for both: each takes 3 KB of code.
pub(crate) type LearnedCache = BoundedCache<Bytes, Learned>;

/// The result for some bytes.
#[derive(Clone)]
pub(crate) enum Learned {
    /// From a header that tells of a peer.
    Peer(Result<Rc<UnderstoodPeer>, Rejection>),
    /// From a cluster's name: whether the cluster is inside the mesh.
    IsInside(bool),
}

/// A peer whose metadata was decoded.
pub(crate) struct UnderstoodPeer {
    pub namespace: String,
    /// In the form of the filter state.
    pub state: Rc<[u8]>,
}
