//! What the root contexts of all filters have in common.

use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::rc::Rc;

use configuration::ConfigError;
use host::HostError;
use proxy_wasm::traits::{HttpContext, StreamContext};
use proxy_wasm::types::ContextType;

use crate::passing::Passing;
use crate::plugin::Plugin;
use crate::stream_kind::StreamKind;

/// The plugin of a root context with what its streams share: a `T`, once there is a configuration.
///
/// Streams that begin before pass.
#[derive(Debug)]
pub struct Root<T> {
    plugin: Plugin,
    kind: StreamKind,
    shared: Option<Rc<RefCell<T>>>,
    is_said: Cell<bool>,
}

impl<T> Root<T> {
    /// A filter of requests and connections.
    pub fn new(plugin: Plugin) -> Self {
        Self { kind: StreamKind::of_root(), ..Self::of_requests(plugin) }
    }

    /// A filter that is for requests only, whatever its VM is named.
    pub fn of_requests(plugin: Plugin) -> Self {
        Self { plugin, kind: StreamKind::default(), shared: None, is_said: Cell::new(false) }
    }

    /// What a filter makes of the plugin's configuration, or of the last valid one. `None`: what there was before stays, and
    /// if there was nothing, traffic passes. Envoy's log says why. Envoy must be told that the configuration is taken.
    pub fn configured<C>(&mut self, make: impl FnMut(&[u8]) -> Result<C, ConfigError>) -> Option<C> {
        self.plugin.configured(make)
    }

    /// Streams share this from now on.
    pub fn share(&mut self, shared: T) {
        self.shared = Some(Rc::new(RefCell::new(shared)));
    }

    /// Sets the timer, of a filter that keeps it.
    pub fn tick_every(&mut self, period: Duration) -> Result<(), HostError> {
        self.plugin.tick_every(period)
    }

    /// The timer has fired.
    pub fn on_tick(&mut self, tick: impl FnOnce(&mut T)) {
        self.plugin.on_tick();
        self.with(tick);
    }

    /// A request of which only the root context is told ends.
    pub fn on_log(&self, log: impl FnOnce(&mut T)) {
        // Of a connection, an access logger does not see enough.
        if !self.kind.is_known_as_tcp() {
            self.plugin.on_stream();
            self.with(log);
        }
    }

    /// Hands over what streams share, if there is a configuration.
    pub fn with(&self, handle: impl FnOnce(&mut T)) {
        if let Some(Ok(mut shared)) = self.shared.as_ref().map(|shared| shared.try_borrow_mut()) {
            handle(&mut shared);
        }
    }

    /// The context of a request that begins.
    pub fn request<S: HttpContext + 'static>(
        &self,
        begin: impl FnOnce(Rc<RefCell<T>>) -> S,
    ) -> Option<Box<dyn HttpContext>> {
        Some(match self.begun() {
            Some(shared) => Box::new(begin(shared)),
            None => Box::new(Passing),
        })
    }

    /// The context of a connection that begins.
    pub fn connection<S: StreamContext + 'static>(
        &self,
        begin: impl FnOnce(Rc<RefCell<T>>) -> S,
    ) -> Option<Box<dyn StreamContext>> {
        Some(match self.begun() {
            Some(shared) => Box::new(begin(shared)),
            None => Box::new(Passing),
        })
    }

    /// A stream begins. What it shares with others, if there is a configuration.
    fn begun(&self) -> Option<Rc<RefCell<T>>> {
        self.plugin.on_stream();
        self.shared.clone()
    }

    /// The context of a connection, for a filter that is for requests only.
    pub fn no_connection(&self) -> Option<Box<dyn StreamContext>> {
        if !self.is_said.replace(true) {
            let filter = self.plugin.filter();
            log::warn!("{filter}: this filter is for HTTP only, but attached as a network filter: connections pass");
        }
        Some(Box::new(Passing))
    }

    /// The kind of the stream that is about to begin.
    pub fn kind(&self) -> Option<ContextType> {
        Some(self.kind.get())
    }
}
