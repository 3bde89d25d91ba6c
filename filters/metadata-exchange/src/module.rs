//! The proxy-wasm module: callbacks that hand over to [`Exchange`] and [`TcpExchange`].

use std::cell::RefCell;
use std::rc::Rc;

use mesh_common::peer::Peer;
use mesh_host::{Envoy, StreamKind};
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};

use crate::config::Config;
use crate::connection::{Connection, Flow, TcpExchange};
use crate::exchange::{self, Exchange, Stream};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| {
        mesh_host::start();
        Box::new(ExchangeRoot { kind: StreamKind::of_root(), ..ExchangeRoot::default() })
    });
}}

#[derive(Default)]
struct ExchangeRoot {
    http: Option<Rc<RefCell<Exchange>>>,
    tcp: Option<Rc<RefCell<TcpExchange>>>,
    kind: StreamKind,
}

struct HttpStream {
    exchange: Rc<RefCell<Exchange>>,
    stream: Option<Stream>,
}

struct TcpStream {
    exchange: Rc<RefCell<TcpExchange>>,
    connection: Connection,
}

impl Context for ExchangeRoot {}

impl RootContext for ExchangeRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let config = match Config::parse(&mesh_host::plugin_configuration()) {
            Ok(config) => config,
            Err(error) => {
                log::error!("metadata_exchange: {error}");
                return false;
            }
        };
        exchange::declare_peers(&Envoy);
        let local = Peer::local(&Envoy, &config.additional_labels);
        self.tcp = Some(Rc::new(RefCell::new(TcpExchange::new(&local, config.introduce, &Envoy))));
        self.http = Some(Rc::new(RefCell::new(Exchange::new(&local, config.max_peer_cache_size, &Envoy))));
        true
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(HttpStream { exchange: Rc::clone(self.http.as_ref()?), stream: None }))
    }

    fn create_stream_context(&self, _context_id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(TcpStream { exchange: Rc::clone(self.tcp.as_ref()?), connection: Connection::default() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(self.kind.get())
    }
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _header_count: usize, _end_of_stream: bool) -> Action {
        if let Ok(mut exchange) = self.exchange.try_borrow_mut() {
            self.stream = Some(exchange.on_request_headers(&Envoy));
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _header_count: usize, _end_of_stream: bool) -> Action {
        if let (Some(stream), Ok(mut exchange)) = (&self.stream, self.exchange.try_borrow_mut()) {
            exchange.on_response_headers(&Envoy, stream);
        }
        Action::Continue
    }
}

impl Context for TcpStream {}

impl StreamContext for TcpStream {
    fn on_downstream_data(&mut self, size: usize, end_of_stream: bool) -> Action {
        match self.exchange.try_borrow_mut() {
            Ok(mut exchange) => action(exchange.on_downstream_data(&Envoy, &mut self.connection, size, end_of_stream)),
            Err(_) => Action::Continue,
        }
    }

    fn on_upstream_data(&mut self, size: usize, end_of_stream: bool) -> Action {
        match self.exchange.try_borrow_mut() {
            Ok(mut exchange) => action(exchange.on_upstream_data(&Envoy, &mut self.connection, size, end_of_stream)),
            Err(_) => Action::Continue,
        }
    }
}

fn action(flow: Flow) -> Action {
    match flow {
        Flow::Pass => Action::Continue,
        Flow::Wait => Action::Pause,
    }
}
