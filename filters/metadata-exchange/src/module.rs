//! The proxy-wasm module: callbacks that hand over to [`Exchange`].

use std::cell::RefCell;
use std::rc::Rc;

use mesh_host::Envoy;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use crate::config::Config;
use crate::exchange::{Exchange, Stream};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| {
        mesh_host::start();
        Box::new(ExchangeRoot::default())
    });
}}

#[derive(Default)]
struct ExchangeRoot {
    exchange: Option<Rc<RefCell<Exchange>>>,
}

struct ExchangeStream {
    exchange: Rc<RefCell<Exchange>>,
    stream: Option<Stream>,
}

impl Context for ExchangeRoot {}

impl RootContext for ExchangeRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        match Config::parse(&mesh_host::plugin_configuration()) {
            Ok(config) => {
                self.exchange = Some(Rc::new(RefCell::new(Exchange::new(&config, &Envoy))));
                true
            }
            Err(error) => {
                log::error!("metadata_exchange: {error}");
                false
            }
        }
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        let exchange = Rc::clone(self.exchange.as_ref()?);
        Some(Box::new(ExchangeStream { exchange, stream: None }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for ExchangeStream {}

impl HttpContext for ExchangeStream {
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
