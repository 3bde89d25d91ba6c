//! The open streams of a root context, for its timer.

use core::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;
use host::Host;

use crate::envoy::Envoy;

/// State of each open stream of a root context, by context id.
pub struct Live<T> {
    streams: HashMap<u32, Rc<RefCell<T>>>,
}

impl<T> Default for Live<T> {
    fn default() -> Self {
        Self { streams: HashMap::new() }
    }
}

impl<T> Live<T> {
    /// Adds a new stream with default state.
    pub fn begin(&mut self, id: u32) -> Rc<RefCell<T>>
    where
        T: Default,
    {
        let stream = Rc::default();
        self.insert(id, Rc::clone(&stream));
        stream
    }

    /// Adds a stream.
    pub fn insert(&mut self, id: u32, stream: Rc<RefCell<T>>) {
        self.streams.insert(id, stream);
    }

    /// Removes a stream that has ended.
    pub fn remove(&mut self, id: u32) {
        self.streams.remove(&id);
    }

    /// Whether no stream is open.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Visits each stream; host calls then apply to it. Removes streams that Envoy no longer has.
    pub fn visit(&mut self, mut visit: impl FnMut(&mut T)) {
        self.retain(|stream| {
            visit(stream);
            true
        });
    }

    /// Visits each stream; host calls then apply to it. Removes streams for which `visit` returns false, and those that
    /// Envoy no longer has.
    pub fn retain(&mut self, mut visit: impl FnMut(&mut T) -> bool) {
        self.streams.retain(|id, stream| match (Envoy.set_context(*id), stream.try_borrow_mut()) {
            (Ok(()), Ok(mut stream)) => visit(&mut stream),
            (Ok(()), Err(_)) => true,
            (Err(_), _) => false,
        });
    }
}
