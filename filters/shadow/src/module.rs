//! The proxy-wasm module: callbacks that hand over to [`Mirroring`].

use std::cell::RefCell;
use std::rc::Rc;

use adapter::{Envoy, Plugin, Root};
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};

use crate::mirroring::Mirroring;
use crate::outcome::Counts;
use crate::request::MirroredRequest;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|id| {
        adapter::start();
        Box::new(ShadowRoot { root: Root::of_requests(Plugin::new("shadow")), id })
    });
}}

struct ShadowRoot {
    root: Root<Mirroring>,
    id: u32,
}

struct HttpStream {
    mirroring: Rc<RefCell<Mirroring>>,
    request: MirroredRequest,
}

impl Context for ShadowRoot {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, trailers: usize) {
        self.root.with(|mirroring| mirroring.on_call_response(&Envoy, token, Counts { headers, body, trailers }));
    }
}

impl RootContext for ShadowRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let Self { root, id } = self;
        let Some(mirroring) = root.configured(|json| Mirroring::new(json, &Envoy, *id)) else {
            return true;
        };
        for (is_warning, remark) in mirroring.remarks(&Envoy) {
            log::log!(if is_warning { log::Level::Warn } else { log::Level::Info }, "shadow: {remark}");
        }
        root.share(mirroring);
        true
    }

    fn on_tick(&mut self) {
        self.root.on_tick(|mirroring| mirroring.on_tick(&Envoy));
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        self.root.request(|mirroring| HttpStream { mirroring, request: MirroredRequest::default() })
    }

    fn create_stream_context(&self, _id: u32) -> Option<Box<dyn StreamContext>> {
        self.root.no_connection()
    }

    fn get_type(&self) -> Option<ContextType> {
        self.root.kind()
    }
}

impl Drop for ShadowRoot {
    fn drop(&mut self) {
        self.root.with(|mirroring| mirroring.on_end(&Envoy));
    }
}

impl HttpStream {
    /// For a request that is mirrored.
    fn handle(&mut self, handle: impl FnOnce(&mut Mirroring, &mut MirroredRequest)) {
        if !self.request.is_mirrored() {
            return;
        }
        if let Ok(mut mirroring) = self.mirroring.try_borrow_mut() {
            handle(&mut mirroring, &mut self.request);
        }
    }
}

impl Context for HttpStream {}

/// Whatever happens here, the request goes on.
impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _header_count: usize, is_all: bool) -> Action {
        if let Ok(mut mirroring) = self.mirroring.try_borrow_mut() {
            self.request = mirroring.on_request_headers(&Envoy, is_all);
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, is_last: bool) -> Action {
        self.handle(|mirroring, request| mirroring.on_request_body(&Envoy, request, size, is_last));
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _trailer_count: usize) -> Action {
        self.handle(|mirroring, request| mirroring.on_request_trailers(&Envoy, request));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _header_count: usize, is_all: bool) -> Action {
        self.handle(|mirroring, request| mirroring.on_response_headers(&Envoy, request, is_all));
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, is_last: bool) -> Action {
        self.handle(|mirroring, request| mirroring.on_response_body(&Envoy, request, size, is_last));
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _trailer_count: usize) -> Action {
        self.handle(|mirroring, request| mirroring.on_response_trailers(&Envoy, request));
        Action::Continue
    }
}

/// The end of the request: attributes can still be read, and a callback of its own would be called for every request.
impl Drop for HttpStream {
    fn drop(&mut self) {
        self.handle(|mirroring, request| mirroring.on_request_end(&Envoy, request));
    }
}
