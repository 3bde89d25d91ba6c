//! The plugin of a root context.

use core::time::Duration;

use configuration::ConfigError;
use host::HostError;
use plugin::{Defaults, Plugins};

use crate::abi;
use crate::envoy::Envoy;

thread_local! {
    /// Those of this VM.
    static PLUGINS: Plugins = Plugins::default();
}

/// The plugin of a root context. It ends with it.
#[derive(Debug)]
pub struct Plugin(plugin::Plugin);

impl Plugin {
    /// A plugin that is not configured yet, of this filter.
    pub fn new(filter: &'static str) -> Self {
        Self(PLUGINS.with(|plugins| plugin::Plugin::new(filter, plugins)))
    }

    /// The same. If there is no valid configuration, it runs with these defaults.
    pub fn with_defaults(filter: &'static str, defaults: Defaults) -> Self {
        Self(PLUGINS.with(|plugins| plugin::Plugin::new(filter, plugins).with_defaults(defaults)))
    }

    /// The name of the filter.
    pub(crate) fn filter(&self) -> &'static str {
        let Self(plugin) = self;
        plugin.filter()
    }

    pub(crate) fn configured<T>(&mut self, make: impl FnMut(&[u8]) -> Result<T, ConfigError>) -> Option<T> {
        let json = abi::get_buffer(abi::PLUGIN_CONFIGURATION, usize::MAX).ok().flatten();
        let Self(plugin) = self;
        plugin.configure(&Envoy, json.unwrap_or_default(), make)
    }

    /// A stream of the root context begins.
    pub(crate) fn on_stream(&self) {
        let Self(plugin) = self;
        plugin.on_stream(&Envoy);
    }

    pub(crate) fn tick_every(&mut self, period: Duration) -> Result<(), HostError> {
        let Self(plugin) = self;
        plugin.tick_every(&Envoy, period)
    }

    /// The timer of the root context has fired.
    pub(crate) fn on_tick(&mut self) {
        let Self(plugin) = self;
        plugin.on_tick(&Envoy);
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let Self(plugin) = self;
        plugin.end(&Envoy);
    }
}
