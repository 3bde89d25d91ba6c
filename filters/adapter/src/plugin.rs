//! The plugin of a root context.

use configuration::ConfigError;
use plugin::Plugins;

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

    /// The same. Without a valid configuration, it runs with its defaults.
    pub fn with_defaults(filter: &'static str) -> Self {
        Self(PLUGINS.with(|plugins| plugin::Plugin::new(filter, plugins).with_defaults()))
    }

    /// What a filter makes of the plugin's configuration, or of the last valid one. `None`: what there was before stays, and
    /// if there was nothing, traffic passes. Envoy's log says why. Envoy must be told that the configuration is taken.
    pub fn configured<T>(&mut self, make: impl FnMut(&[u8]) -> Result<T, ConfigError>) -> Option<T> {
        let json = abi::get_buffer(abi::PLUGIN_CONFIGURATION, usize::MAX).ok().flatten();
        let Self(plugin) = self;
        plugin.configure(&Envoy, json.unwrap_or_default(), make)
    }

    /// A stream of the root context begins.
    pub fn on_stream(&self) {
        let Self(plugin) = self;
        plugin.on_stream(&Envoy);
    }

    /// The timer of the root context has fired.
    pub fn on_tick(&mut self) {
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
