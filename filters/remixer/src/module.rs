//! The proxy-wasm callbacks of [`Telemetry`], and the selection of a filter by root id.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use adapter::{Envoy, Live, Passing, Plugin, StreamKind};
use configuration::ConfigError;
use host::property;
use host::Host;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};

use crate::filter::PluginFilter;
use crate::telemetry::{Telemetry, TelemetryRequest};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|id| {
        adapter::start();
        let root_id = Envoy.text(property::PLUGIN_ROOT_ID).unwrap_or_default();
        match PluginFilter::of_root_id(&root_id) {
            Some(PluginFilter::MetadataExchange) => metadata_exchange::new_root(),
            Some(PluginFilter::Stats) => stats::new_root(),
            Some(PluginFilter::AccessLog) => {
                // The peers of connections come from another filter.
                if !root_id.starts_with("tcp_") {
                    PEERS_ARE_WANTED.set(true);
                }
                access_log::new_root()
            }
            Some(PluginFilter::Telemetry) => {
                let plugin = Plugin::new("telemetry");
                Box::new(TelemetryRoot { plugin, shared: None, kind: StreamKind::of_root() })
            }
            Some(PluginFilter::Fault) => fault::new_root(id),
            None => Box::new(NoFilter { plugin: Plugin::new("remixer"), root_id, kind: StreamKind::of_root() }),
        }
    });
}}

thread_local! {
    /// Whether a filter in this VM reads the peers of requests from filter state.
    static PEERS_ARE_WANTED: Cell<bool> = const { Cell::new(false) };
}

struct TelemetryRoot {
    plugin: Plugin,
    shared: Option<Rc<RefCell<Shared>>>,
    kind: StreamKind,
}

/// Data shared by the requests of a root context.
struct Shared {
    telemetry: Telemetry,
    /// Those that live.
    requests: Live<TelemetryRequest>,
}

struct HttpStream {
    shared: Rc<RefCell<Shared>>,
    id: u32,
    request: Rc<RefCell<TelemetryRequest>>,
}

impl Context for TelemetryRoot {}

impl RootContext for TelemetryRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let Some(telemetry) = self.plugin.configured(|json| Telemetry::new(json, &Envoy)) else {
            return true;
        };
        if let Err(error) = Envoy.set_tick_period(telemetry.reporting_period) {
            log::warn!("telemetry: live requests are reported at their end only: {error}");
        }
        self.shared = Some(Rc::new(RefCell::new(Shared { telemetry, requests: Live::default() })));
        true
    }

    fn on_tick(&mut self) {
        self.plugin.on_tick();
        if let Some(Ok(mut shared)) = self.shared.as_ref().map(|shared| shared.try_borrow_mut()) {
            let Shared { telemetry, requests } = &mut *shared;
            telemetry.refresh();
            requests.visit(|request| telemetry.on_request_tick(&Envoy, request));
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        self.plugin.on_stream();
        let Some(shared) = self.shared.clone() else {
            return Some(Box::new(Passing));
        };
        let begin = |shared: &mut Shared| {
            if PEERS_ARE_WANTED.get() {
                shared.telemetry.share_peers();
            }
            shared.requests.begin(id)
        };
        let request = shared.try_borrow_mut().map(|mut shared| begin(&mut shared)).unwrap_or_default();
        Some(Box::new(HttpStream { shared, id, request }))
    }

    /// As a filter of TCP connections, it does nothing: it supports requests only.
    fn create_stream_context(&self, _id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Passing))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(self.kind.get())
    }
}

impl Context for HttpStream {}

impl HttpStream {
    fn handle(&self, handle: impl FnOnce(&mut Shared, &mut TelemetryRequest)) {
        if let (Ok(mut shared), Ok(mut request)) = (self.shared.try_borrow_mut(), self.request.try_borrow_mut()) {
            handle(&mut shared, &mut request);
        }
    }
}

impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _header_count: usize, _end_of_stream: bool) -> Action {
        self.handle(|shared, request| shared.telemetry.on_request_headers(&Envoy, request));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _header_count: usize, _end_of_stream: bool) -> Action {
        self.handle(|shared, request| shared.telemetry.on_response_headers(&Envoy, request));
        Action::Continue
    }

    fn on_log(&mut self) {
        self.handle(|shared, request| {
            shared.requests.remove(self.id);
            shared.telemetry.on_request_end(&Envoy, request);
        });
    }
}

/// The plugin of a root id that selects no filter: traffic passes.
struct NoFilter {
    plugin: Plugin,
    root_id: String,
    kind: StreamKind,
}

impl Context for NoFilter {}

impl RootContext for NoFilter {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        self.plugin.configured(|_| Err::<(), ConfigError>(PluginFilter::unknown(&self.root_id)));
        true
    }

    fn on_tick(&mut self) {
        self.plugin.on_tick();
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Passing))
    }

    fn create_stream_context(&self, _id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Passing))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(self.kind.get())
    }
}
