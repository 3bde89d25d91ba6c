//! The proxy-wasm module: callbacks that hand over to [`Stats`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use mesh_common::host::Host;
use mesh_host::Envoy;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};

use crate::config::Config;
use crate::stats::{Connection, Stats};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| {
        mesh_host::start();
        Box::new(StatsRoot { shared: None, network_filter: mesh_host::is_network_filter() })
    });
}}

struct StatsRoot {
    shared: Option<Rc<RefCell<Shared>>>,
    network_filter: bool,
}

/// What the streams of one root context share.
struct Shared {
    stats: Stats,
    connections: BTreeMap<u32, Rc<RefCell<Connection>>>,
}

struct HttpStream {
    shared: Rc<RefCell<Shared>>,
}

struct TcpStream {
    shared: Rc<RefCell<Shared>>,
    id: u32,
    connection: Rc<RefCell<Connection>>,
}

impl Context for StatsRoot {}

impl RootContext for StatsRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let config = match Config::parse(&mesh_host::plugin_configuration()) {
            Ok(config) => config,
            Err(error) => {
                log::error!("stats: {error}");
                return false;
            }
        };
        if self.network_filter {
            if let Err(error) = mesh_host::set_tick_period(config.tcp_reporting_duration) {
                log::warn!("stats: TCP connections are reported at their end only: {error}");
            }
        }
        let shared = Shared { stats: Stats::new(&config, &Envoy), connections: BTreeMap::new() };
        self.shared = Some(Rc::new(RefCell::new(shared)));
        true
    }

    fn on_tick(&mut self) {
        let Some(Ok(mut shared)) = self.shared.as_ref().map(|shared| shared.try_borrow_mut()) else {
            return;
        };
        let Shared { stats, connections } = &mut *shared;
        for (id, connection) in connections {
            if let (Ok(()), Ok(mut connection)) = (Envoy.set_context(*id), connection.try_borrow_mut()) {
                stats.on_connection_tick(&Envoy, &mut connection);
            }
        }
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(HttpStream { shared: Rc::clone(self.shared.as_ref()?) }))
    }

    fn create_stream_context(&self, id: u32) -> Option<Box<dyn StreamContext>> {
        let shared = Rc::clone(self.shared.as_ref()?);
        let connection = Rc::default();
        if let Ok(mut shared) = shared.try_borrow_mut() {
            shared.connections.insert(id, Rc::clone(&connection));
        }
        Some(Box::new(TcpStream { shared, id, connection }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(if self.network_filter { ContextType::StreamContext } else { ContextType::HttpContext })
    }
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_log(&mut self) {
        if let Ok(mut shared) = self.shared.try_borrow_mut() {
            shared.stats.on_request_end(&Envoy);
        }
    }
}

impl Context for TcpStream {}

impl StreamContext for TcpStream {
    fn on_downstream_data(&mut self, size: usize, _end_of_stream: bool) -> Action {
        if let Ok(mut connection) = self.connection.try_borrow_mut() {
            connection.traffic.receive(size);
        }
        Action::Continue
    }

    fn on_upstream_data(&mut self, size: usize, _end_of_stream: bool) -> Action {
        if let Ok(mut connection) = self.connection.try_borrow_mut() {
            connection.traffic.send(size);
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if let (Ok(mut shared), Ok(mut connection)) = (self.shared.try_borrow_mut(), self.connection.try_borrow_mut()) {
            shared.connections.remove(&self.id);
            shared.stats.on_connection_end(&Envoy, &mut connection);
        }
    }
}
