//! The proxy-wasm callbacks of [`Telemetry`], and the selection of a filter by root id.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use adapter::{Envoy, Live, Passing, Plugin, Root};
use configuration::ConfigError;
use host::property;
use host::Host;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};
use stats::config::envoy_shall_count;

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
                Box::new(TelemetryRoot(Root::of_requests(Plugin::with_defaults("telemetry", defaults))))
            }
            Some(PluginFilter::Fault) => fault::new_root(id),
            None => Box::new(NoFilter { root: Root::new(Plugin::new("remixer")), root_id }),
        }
    });
}}

/// Without metadata exchange, what peers say of themselves would reach applications, at gateways what strangers say. A mistake
/// should not cost the standard metrics either. The Host header could make series without end where nobody asked for it.
fn defaults(refused: &[u8]) -> &'static str {
    match envoy_shall_count(refused) {
        true => r#"{"stats":{"disable_host_header_fallback":true,"envoy_counts":true}}"#,
        false => r#"{"stats":{"disable_host_header_fallback":true}}"#,
    }
}

thread_local! {
    /// Whether a filter in this VM reads the peers of requests from filter state.
    static PEERS_ARE_WANTED: Cell<bool> = const { Cell::new(false) };
}

struct TelemetryRoot(Root<Shared>);

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
        let Self(root) = self;
        let Some(telemetry) = root.configured(|json| Telemetry::new(json, &Envoy)) else {
            return true;
        };
        if let Err(error) = root.tick_every(telemetry.reporting_period) {
            log::warn!("telemetry: live requests are reported at their end only: {error}");
        }
        root.share(Shared { telemetry, requests: Live::default() });
        true
    }

    fn on_tick(&mut self) {
        let Self(root) = self;
        root.on_tick(|Shared { telemetry, requests }| {
            telemetry.refresh();
            requests.visit(|request| telemetry.on_request_tick(&Envoy, request));
        });
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let begin = |shared: &mut Shared| {
            if PEERS_ARE_WANTED.get() {
                shared.telemetry.share_peers();
            }
            shared.requests.begin(id)
        };
        let Self(root) = self;
        root.request(|shared| {
            let request = shared.try_borrow_mut().map(|mut shared| begin(&mut shared)).unwrap_or_default();
            HttpStream { shared, id, request }
        })
    }

    fn create_stream_context(&self, _id: u32) -> Option<Box<dyn StreamContext>> {
        let Self(root) = self;
        root.no_connection()
    }

    fn get_type(&self) -> Option<ContextType> {
        let Self(root) = self;
        root.kind()
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
    root: Root<Infallible>,
    root_id: String,
}

impl Context for NoFilter {}

impl RootContext for NoFilter {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let Self { root, root_id } = self;
        root.configured(|_| Err::<Infallible, ConfigError>(PluginFilter::unknown(root_id)));
        true
    }

    fn on_tick(&mut self) {
        self.root.on_tick(|_| {});
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        self.root.request(|_| Passing)
    }

    fn create_stream_context(&self, _id: u32) -> Option<Box<dyn StreamContext>> {
        self.root.connection(|_| Passing)
    }

    fn get_type(&self) -> Option<ContextType> {
        self.root.kind()
    }
}
