//! The proxy-wasm callbacks, which hand over to [`Exchange`] and [`TcpExchange`].

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use adapter::{Envoy, Live, Passing, Plugin, StreamKind};
use host::Host;
use labels::peer::Peer;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};

use crate::config::ExchangeConfig;
use crate::connection::{BytesFlow, ExchangeConnection, TcpExchange};
use crate::exchange::{self, Exchange, ExchangeStream};

/// What a plugin of this filter begins with.
pub fn new_root() -> Box<dyn RootContext> {
    // Without the filter, what a peer says of itself would reach the application, over TCP as a frame before its data.
    let plugin = Plugin::with_defaults("metadata_exchange");
    Box::new(ExchangeRoot { plugin, http: None, tcp: None, kind: StreamKind::of_root() })
}

#[cfg(feature = "module")]
proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| {
        adapter::start();
        new_root()
    });
}}

/// How often connections that hold bytes back are looked at; there is no timer while none does.
const TICK: Duration = Duration::from_millis(500);

struct ExchangeRoot {
    plugin: Plugin,
    http: Option<Rc<RefCell<Exchange>>>,
    tcp: Option<Rc<RefCell<Tcp>>>,
    kind: StreamKind,
}

struct HttpStream {
    exchange: Rc<RefCell<Exchange>>,
    stream: Option<ExchangeStream>,
}

/// What the connections of one root context share.
struct Tcp {
    exchange: TcpExchange,
    /// Those that hold bytes back.
    waiting: Live<ExchangeConnection>,
}

struct TcpStream {
    tcp: Rc<RefCell<Tcp>>,
    id: u32,
    connection: Rc<RefCell<ExchangeConnection>>,
}

impl Context for ExchangeRoot {}

impl RootContext for ExchangeRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let Some(config) = self.plugin.configured(ExchangeConfig::parse) else {
            return true;
        };
        exchange::declare_peers(&Envoy);
        let local = Peer::local(&Envoy, &config.additional_labels);
        let exchange = TcpExchange::new(&local, config.introduce, &Envoy);
        self.tcp = Some(Rc::new(RefCell::new(Tcp { exchange, waiting: Live::default() })));
        self.http = Some(Rc::new(RefCell::new(Exchange::new(&local, config.max_peer_cache_size, &Envoy))));
        true
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        self.plugin.on_stream();
        let Some(exchange) = self.http.clone() else {
            return Some(Box::new(Passing));
        };
        Some(Box::new(HttpStream { exchange, stream: None }))
    }

    fn create_stream_context(&self, id: u32) -> Option<Box<dyn StreamContext>> {
        self.plugin.on_stream();
        let Some(tcp) = self.tcp.clone() else {
            return Some(Box::new(Passing));
        };
        Some(Box::new(TcpStream { tcp, id, connection: Rc::default() }))
    }

    fn on_tick(&mut self) {
        self.plugin.on_tick();
        let Some(Ok(mut tcp)) = self.tcp.as_ref().map(|tcp| tcp.try_borrow_mut()) else {
            return;
        };
        let Tcp { exchange, waiting } = &mut *tcp;
        waiting.retain(|connection| exchange.on_tick(&Envoy, connection));
        if waiting.is_empty() {
            tick_every(Duration::ZERO);
        }
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
        if let (Some(stream), Ok(mut exchange)) = (&mut self.stream, self.exchange.try_borrow_mut()) {
            exchange.on_response_headers(&Envoy, stream);
        }
        Action::Continue
    }
}

impl Context for TcpStream {}

impl TcpStream {
    fn handle(&self, handle: impl FnOnce(&mut TcpExchange, &mut ExchangeConnection) -> BytesFlow) -> Action {
        let (Ok(mut tcp), Ok(mut connection)) = (self.tcp.try_borrow_mut(), self.connection.try_borrow_mut()) else {
            return Action::Continue;
        };
        let flow = match handle(&mut tcp.exchange, &mut connection) {
            BytesFlow::Wait if tcp.waiting.is_empty() && !tick_every(TICK) => {
                tcp.exchange.on_no_timer(&Envoy, &mut connection)
            }
            BytesFlow::Wait => {
                tcp.waiting.insert(self.id, Rc::clone(&self.connection));
                BytesFlow::Wait
            }
            BytesFlow::Pass => BytesFlow::Pass,
        };
        match flow {
            BytesFlow::Pass => Action::Continue,
            BytesFlow::Wait => Action::Pause,
        }
    }
}

impl StreamContext for TcpStream {
    fn on_downstream_data(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.handle(|exchange, connection| exchange.on_downstream_data(&Envoy, connection, size, end_of_stream))
    }

    fn on_upstream_data(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.handle(|exchange, connection| exchange.on_upstream_data(&Envoy, connection, size, end_of_stream))
    }
}

fn tick_every(period: Duration) -> bool {
    let set = Envoy.set_tick_period(period);
    if let Err(error) = set {
        log::warn!("metadata_exchange: no timer: {error}");
    }
    set.is_ok()
}
