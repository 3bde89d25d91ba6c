//! The proxy-wasm callbacks, which hand over to [`Exchange`] and [`TcpExchange`].

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use adapter::{Envoy, Live, Plugin, Root};
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
    Box::new(ExchangeRoot(Root::new(Plugin::with_defaults("metadata_exchange", |_| "{}"))))
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

struct ExchangeRoot(Root<Shared>);

/// What the streams of one root context share.
struct Shared {
    http: Exchange,
    tcp: TcpExchange,
    /// The connections that hold bytes back.
    waiting: Live<ExchangeConnection>,
}

struct HttpStream {
    shared: Rc<RefCell<Shared>>,
    stream: Option<ExchangeStream>,
}

struct TcpStream {
    shared: Rc<RefCell<Shared>>,
    id: u32,
    connection: Rc<RefCell<ExchangeConnection>>,
}

impl Context for ExchangeRoot {}

impl RootContext for ExchangeRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let Self(root) = self;
        let Some(config) = root.configured(ExchangeConfig::parse) else {
            return true;
        };
        exchange::declare_peers(&Envoy);
        let local = Peer::local(&Envoy, &config.additional_labels);
        let tcp = TcpExchange::new(&local, config.introduce, &Envoy);
        let http = Exchange::new(&local, config.max_peer_cache_size, &Envoy);
        root.share(Shared { http, tcp, waiting: Live::default() });
        true
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        let Self(root) = self;
        root.request(|shared| HttpStream { shared, stream: None })
    }

    fn create_stream_context(&self, id: u32) -> Option<Box<dyn StreamContext>> {
        let Self(root) = self;
        root.connection(|shared| TcpStream { shared, id, connection: Rc::default() })
    }

    fn on_tick(&mut self) {
        let Self(root) = self;
        root.on_tick(|Shared { tcp, waiting, .. }| {
            waiting.retain(|connection| tcp.on_tick(&Envoy, connection));
            if waiting.is_empty() {
                tick_every(Duration::ZERO);
            }
        });
    }

    fn get_type(&self) -> Option<ContextType> {
        let Self(root) = self;
        root.kind()
    }
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _header_count: usize, _end_of_stream: bool) -> Action {
        if let Ok(mut shared) = self.shared.try_borrow_mut() {
            self.stream = Some(shared.http.on_request_headers(&Envoy));
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _header_count: usize, _end_of_stream: bool) -> Action {
        if let (Some(stream), Ok(mut shared)) = (&mut self.stream, self.shared.try_borrow_mut()) {
            shared.http.on_response_headers(&Envoy, stream);
        }
        Action::Continue
    }
}

impl Context for TcpStream {}

impl TcpStream {
    fn handle(&self, handle: impl FnOnce(&mut TcpExchange, &mut ExchangeConnection) -> BytesFlow) -> Action {
        let (Ok(mut shared), Ok(mut connection)) = (self.shared.try_borrow_mut(), self.connection.try_borrow_mut())
        else {
            return Action::Continue;
        };
        let flow = match handle(&mut shared.tcp, &mut connection) {
            BytesFlow::Wait if shared.waiting.is_empty() && !tick_every(TICK) => {
                shared.tcp.on_no_timer(&Envoy, &mut connection)
            }
            BytesFlow::Wait => {
                shared.waiting.insert(self.id, Rc::clone(&self.connection));
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
