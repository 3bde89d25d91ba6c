//! The streams that live, for a timer that is about all of them.

use core::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;
use host::Host;

use crate::envoy::Envoy;

/// What is remembered of each live stream of a root context, by its context id.
pub struct Live<T> {
    streams: HashMap<u32, Rc<RefCell<T>>>,
}

impl<T> Default for Live<T> {
    fn default() -> Self {
        Self { streams: HashMap::new() }
    }
}

impl<T> Live<T> {
    /// A stream has begun, and is to be visited from now on.
    pub fn begin(&mut self, id: u32) -> Rc<RefCell<T>>
    where
        T: Default,
    {
        let stream = Rc::default();
        self.insert(id, Rc::clone(&stream));
        stream
    }

    /// A stream is to be visited from now on.
    pub fn insert(&mut self, id: u32, stream: Rc<RefCell<T>>) {
        self.streams.insert(id, stream);
    }

    /// A stream has ended.
    pub fn remove(&mut self, id: u32) {
        self.streams.remove(&id);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Visits each stream, with host calls being about it. One that is gone for Envoy is not kept.
    pub fn visit(&mut self, mut visit: impl FnMut(&mut T)) {
        self.retain(|stream| {
            visit(stream);
            true
        });
    }

    /// Visits each stream, with host calls being about it, and keeps those for which `visit` returns true. One that is gone
    /// for Envoy is not kept.
    pub fn retain(&mut self, mut visit: impl FnMut(&mut T) -> bool) {
        self.streams.retain(|id, stream| match (Envoy.set_context(*id), stream.try_borrow_mut()) {
            (Ok(()), Ok(mut stream)) => visit(&mut stream),
            (Ok(()), Err(_)) => true,
            (Err(_), _) => false,
        });
    }
}
