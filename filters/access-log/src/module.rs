//! The proxy-wasm callbacks. They call [`AccessLog`].

use std::cell::RefCell;
use std::rc::Rc;

use adapter::{Envoy, Live, Plugin, Root};
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};

use crate::access_log::{AccessLog, LoggedConnection};

/// Creates the root context of a plugin.
pub fn new_root() -> Box<dyn RootContext> {
    // No defaults: they would write lines that the operator may have left out, such as paths with secrets.
    Box::new(AccessLogRoot(Root::new(Plugin::new("access_log"))))
}

#[cfg(feature = "module")]
proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| {
        adapter::start();
        new_root()
    });
}}

struct AccessLogRoot(Root<Shared>);

/// Data shared by the streams of a root context.
struct Shared {
    access_log: AccessLog,
    /// The connections that live, if they have lines before they end.
    connections: Live<LoggedConnection>,
}

struct HttpStream {
    shared: Rc<RefCell<Shared>>,
}

struct TcpStream {
    shared: Rc<RefCell<Shared>>,
    id: u32,
    connection: Rc<RefCell<LoggedConnection>>,
}

impl Context for AccessLogRoot {}

impl RootContext for AccessLogRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let Self(root) = self;
        let Some(access_log) = root.configured(|json| AccessLog::new(json, &Envoy)) else {
            return true;
        };
        if let Err(error) = root.tick_every(access_log.tick_period()) {
            log::warn!("access_log: connections have a line at their end only: {error}");
        }
        root.share(Shared { access_log, connections: Live::default() });
        true
    }

    fn on_tick(&mut self) {
        let Self(root) = self;
        root.on_tick(|Shared { access_log, connections }| {
            access_log.refresh();
            connections.visit(|connection| access_log.on_connection_tick(&Envoy, connection));
        });
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        let Self(root) = self;
        root.request(|shared| HttpStream { shared })
    }

    fn create_stream_context(&self, id: u32) -> Option<Box<dyn StreamContext>> {
        let Self(root) = self;
        root.connection(|shared| TcpStream { shared, id, connection: Rc::default() })
    }

    fn get_type(&self) -> Option<ContextType> {
        let Self(root) = self;
        root.kind()
    }
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_log(&mut self) {
        if let Ok(mut shared) = self.shared.try_borrow_mut() {
            shared.access_log.on_request_end(&Envoy, None);
        }
    }
}

impl Context for TcpStream {}

impl StreamContext for TcpStream {
    fn on_new_connection(&mut self) -> Action {
        if let (Ok(mut shared), Ok(mut connection)) = (self.shared.try_borrow_mut(), self.connection.try_borrow_mut()) {
            if shared.access_log.has_live_lines() {
                shared.connections.insert(self.id, Rc::clone(&self.connection));
                shared.access_log.on_connection_open(&Envoy, &mut connection);
            }
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if let (Ok(mut shared), Ok(mut connection)) = (self.shared.try_borrow_mut(), self.connection.try_borrow_mut()) {
            shared.connections.remove(self.id);
            shared.access_log.on_connection_end(&Envoy, &mut connection);
        }
    }
}
