//! The proxy-wasm callbacks, which hand over to [`Injector`].

use std::cell::RefCell;
use std::rc::Rc;

use adapter::{Envoy, Plugin, Root};
use labels::response_flags::Mark;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};

use crate::injector::{Injector, RequestFlow};

/// What a plugin of this filter begins with; `id` is that of its context.
pub fn new_root(id: u32) -> Box<dyn RootContext> {
    Box::new(FaultRoot { root: Root::of_requests(Plugin::new("fault")), id })
}

#[cfg(feature = "module")]
proxy_wasm::main! {{
    proxy_wasm::set_root_context(|id| {
        adapter::start();
        new_root(id)
    });
}}

struct FaultRoot {
    root: Root<Injector>,
    id: u32,
}

struct HttpStream {
    id: u32,
    injector: Rc<RefCell<Injector>>,
    waits: bool,
    /// There if the request is delayed or aborted.
    mark: Option<Mark>,
}

impl Context for FaultRoot {}

impl RootContext for FaultRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let Self { root, id } = self;
        let Some(injector) = root.configured(|json| Injector::new(json, &Envoy, *id)) else {
            return true;
        };
        for (is_warning, remark) in injector.remarks(&Envoy) {
            log::log!(if is_warning { log::Level::Warn } else { log::Level::Info }, "fault: {remark}");
        }
        root.share(injector);
        true
    }

    fn on_tick(&mut self) {
        self.root.on_tick(|injector| injector.on_tick(&Envoy));
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        self.root.request(|injector| HttpStream { id, injector, waits: false, mark: None })
    }

    fn create_stream_context(&self, _id: u32) -> Option<Box<dyn StreamContext>> {
        self.root.no_connection()
    }

    fn get_type(&self) -> Option<ContextType> {
        self.root.kind()
    }
}

impl Drop for FaultRoot {
    fn drop(&mut self) {
        self.root.with(|injector| injector.on_end(&Envoy));
    }
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _header_count: usize, _end_of_stream: bool) -> Action {
        let Ok(mut injector) = self.injector.try_borrow_mut() else {
            return Action::Continue;
        };
        let flow = injector.on_request(&Envoy, self.id);
        if flow == RequestFlow::Pass {
            return Action::Continue;
        }
        self.waits = flow == RequestFlow::Wait;
        self.mark = Some(Mark::new());
        Action::Pause
    }
}

impl Drop for HttpStream {
    fn drop(&mut self) {
        if !self.waits {
            return;
        }
        if let Ok(mut injector) = self.injector.try_borrow_mut() {
            injector.on_request_gone(&Envoy, self.id);
        }
    }
}
