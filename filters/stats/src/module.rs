//! The proxy-wasm callbacks. They call [`Stats`].
//!
//! As an HTTP or network filter, the plugin has a context for each stream and reports live streams. As an HTTP access
//! logger, Envoy calls only the root context when a request ends, which costs less.

use std::cell::RefCell;
use std::rc::Rc;

use adapter::{Envoy, Live, Plugin, Root};
use labels::facts::AlreadyRead;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};

use crate::config;
use crate::stats::{ReportedConnection, ReportedRequest, Stats, Traffic};

/// Creates the root context of a plugin.
pub fn new_root() -> Box<dyn RootContext> {
    // A mistake in a label should not cost the standard metrics.
    let plugin = Plugin::with_defaults("stats", |refused| match config::envoy_shall_count(refused) {
        true => r#"{"disable_host_header_fallback":true,"envoy_counts":true}"#,
        false => r#"{"disable_host_header_fallback":true}"#,
    });
    Box::new(StatsRoot(Root::new(plugin)))
}

#[cfg(feature = "module")]
proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| {
        adapter::start();
        new_root()
    });
}}

struct StatsRoot(Root<Shared>);

/// Data shared by the streams of a root context, with the live streams.
struct Shared {
    stats: Stats,
    requests: Live<ReportedRequest>,
    connections: Live<TcpState>,
}

struct HttpStream {
    shared: Rc<RefCell<Shared>>,
    id: u32,
    request: Rc<RefCell<ReportedRequest>>,
}

struct TcpStream {
    shared: Rc<RefCell<Shared>>,
    id: u32,
    state: Rc<RefCell<TcpState>>,
}

#[derive(Default)]
struct TcpState {
    connection: ReportedConnection,
    /// A tick left its report to the connection's next callback.
    report_due: bool,
}

impl Context for StatsRoot {}

impl RootContext for StatsRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let Self(root) = self;
        let Some(stats) = root.configured(|json| Stats::new(json, &Envoy)) else {
            return true;
        };
        if let Err(error) = root.tick_every(stats.reporting_period) {
            log::warn!("stats: live streams are reported at their end only: {error}");
        }
        root.share(Shared { stats, requests: Live::default(), connections: Live::default() });
        true
    }

    fn on_tick(&mut self) {
        let Self(root) = self;
        root.on_tick(|Shared { stats, requests, connections }| {
            stats.refresh();
            requests.visit(|request| stats.on_request_tick(&Envoy, request, AlreadyRead::default()));
            connections.visit(|state| state.report_due = stats.on_connection_tick(&Envoy, &mut state.connection, true));
        });
    }

    fn on_log(&mut self) {
        let Self(root) = self;
        root.on_log(|shared| {
            shared.stats.on_request_end(&Envoy, &mut ReportedRequest::default(), AlreadyRead::default());
        });
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let Self(root) = self;
        root.request(|shared| {
            let request = shared.try_borrow_mut().map(|mut shared| shared.requests.begin(id)).unwrap_or_default();
            HttpStream { shared, id, request }
        })
    }

    fn create_stream_context(&self, id: u32) -> Option<Box<dyn StreamContext>> {
        let Self(root) = self;
        root.connection(|shared| {
            let state = shared.try_borrow_mut().map(|mut shared| shared.connections.begin(id)).unwrap_or_default();
            TcpStream { shared, id, state }
        })
    }

    fn get_type(&self) -> Option<ContextType> {
        let Self(root) = self;
        root.kind()
    }
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_log(&mut self) {
        if let (Ok(mut shared), Ok(mut request)) = (self.shared.try_borrow_mut(), self.request.try_borrow_mut()) {
            shared.requests.remove(self.id);
            shared.stats.on_request_end(&Envoy, &mut request, AlreadyRead::default());
        }
    }
}

impl Context for TcpStream {}

impl TcpStream {
    fn count(&self, count: impl FnOnce(&mut Traffic)) -> Action {
        if let Ok(mut state) = self.state.try_borrow_mut() {
            count(&mut state.connection.traffic);
            if state.report_due {
                state.report_due = false;
                if let Ok(mut shared) = self.shared.try_borrow_mut() {
                    shared.stats.on_connection_tick(&Envoy, &mut state.connection, false);
                }
            }
        }
        Action::Continue
    }
}

impl StreamContext for TcpStream {
    fn on_downstream_data(&mut self, size: usize, _end_of_stream: bool) -> Action {
        self.count(|traffic| traffic.receive(size))
    }

    fn on_upstream_data(&mut self, size: usize, _end_of_stream: bool) -> Action {
        self.count(|traffic| traffic.send(size))
    }

    fn on_log(&mut self) {
        if let (Ok(mut shared), Ok(mut state)) = (self.shared.try_borrow_mut(), self.state.try_borrow_mut()) {
            shared.connections.remove(self.id);
            shared.stats.on_connection_end(&Envoy, &mut state.connection);
        }
    }
}
