//! The proxy-wasm module: callbacks that hand over to [`Stats`].

use std::cell::RefCell;
use std::rc::Rc;

use mesh_host::Envoy;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::config::Config;
use crate::stats::Stats;

proxy_wasm::main! {{
    mesh_host::start();
    proxy_wasm::set_root_context(|_| Box::new(StatsRoot::default()));
}}

#[derive(Default)]
struct StatsRoot {
    stats: Option<Rc<RefCell<Stats>>>,
}

struct StatsStream {
    stats: Rc<RefCell<Stats>>,
}

impl Context for StatsRoot {}

impl RootContext for StatsRoot {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        match Config::parse(&mesh_host::plugin_configuration()) {
            Ok(config) => {
                self.stats = Some(Rc::new(RefCell::new(Stats::new(&config, &Envoy))));
                true
            }
            Err(error) => {
                log::error!("stats: {error}");
                false
            }
        }
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        let stats = Rc::clone(self.stats.as_ref()?);
        Some(Box::new(StatsStream { stats }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for StatsStream {}

impl HttpContext for StatsStream {
    fn on_log(&mut self) {
        if let Ok(mut stats) = self.stats.try_borrow_mut() {
            stats.on_log(&Envoy);
        }
    }
}
