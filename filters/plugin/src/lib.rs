//! Which configuration a plugin runs.
//!
//! Envoy would reject the whole listener of a plugin that refuses its configuration: a proxy that starts would take no traffic. So
//! a plugin never refuses it towards Envoy. It logs what is wrong, shows it in a gauge, and runs the last valid configuration
//! of the same plugin. Without one, it has its defaults or does nothing.
//!
//! To Envoy, a plugin with another configuration is another plugin, in the same VM. The old one lives until its streams have
//! ended, so the new one finds it among the [`Plugins`] of the VM. What has ended is not found: rules that an operator has
//! removed do not come back.

mod plugins;

use core::time::Duration;
use std::rc::Rc;

use configuration::ConfigError;
use host::{property, Host, HostError, MetricId, MetricKind};
use series::metric_name;

pub use plugins::Plugins;
use plugins::{Name, Place};

/// The gauge: 1 while a plugin refuses its configuration. Its label `component` is [`Name::component`].
const REFUSED: &str = "remixer_configuration_refused";

/// When a plugin says that it had no valid configuration, after it was configured. Envoy tries each configuration in a VM that
/// lives for no time, and knows no other plugin: what it would say is wrong for the VMs of the workers.
const SAID_AFTER: Duration = Duration::from_millis(1);

/// A plugin in its VM.
#[derive(Debug)]
pub struct Plugin {
    filter: &'static str,
    /// Of a filter without which traffic must not pass.
    defaults: Option<Defaults>,
    plugins: Plugins,
    /// Its place among the plugins of the VM, once it is configured.
    place: Option<Place>,
    name: Name,
    /// Whether the filter was made of a valid configuration.
    runs: bool,
    /// What is to be said at the next tick.
    unsaid: Option<Instead>,
    /// The period of the timer after that.
    period: Option<Duration>,
}

/// The configuration instead of the one that is refused, if none came before.
pub type Defaults = fn(refused: &[u8]) -> &'static str;

/// What a plugin runs instead of a configuration that it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    Last,
    Defaults(&'static str),
    Nothing,
}

impl Plugin {
    /// A plugin that is not configured yet.
    pub fn new(filter: &'static str, plugins: &Plugins) -> Self {
        Self {
            filter,
            defaults: None,
            plugins: plugins.clone(),
            place: None,
            name: Name::default(),
            runs: false,
            unsaid: None,
            period: None,
        }
    }

    /// It runs with these if there is no valid configuration, because less than that would harm.
    #[must_use]
    pub fn with_defaults(self, defaults: Defaults) -> Self {
        Self { defaults: Some(defaults), ..self }
    }

    /// The name of the filter.
    pub fn filter(&self) -> &'static str {
        self.filter
    }

    /// What `make` makes of the configuration `json`, or of what the plugin runs instead. `None`: what the plugin had before
    /// stays, if anything. Call it while the plugin is configured.
    pub fn configure<T>(
        &mut self,
        host: &impl Host,
        json: Vec<u8>,
        mut make: impl FnMut(&[u8]) -> Result<T, ConfigError>,
    ) -> Option<T> {
        let error = match make(&json) {
            Ok(made) => {
                self.read_name(host);
                self.begin(Some(Rc::new(json)), false);
                self.show(host);
                self.runs = true;
                return Some(made);
            }
            Err(error) => error,
        };
        let last = self.refuse(host, &error);
        if self.runs {
            self.say(host, Instead::Last);
            return None;
        }
        if let Some(made) = last.and_then(|json| make(&json).ok()) {
            self.runs = true;
            self.say(host, Instead::Last);
            return Some(made);
        }
        let defaults = self.defaults.map(|defaults| defaults(&json));
        let made = defaults.and_then(|defaults| Some((defaults, make(defaults.as_bytes()).ok()?)));
        let Some((defaults, made)) = made else {
            self.say_later(host, Instead::Nothing, Some(Duration::ZERO));
            return None;
        };
        self.say_later(host, Instead::Defaults(defaults), None);
        Some(made)
    }

    /// Sets the timer: at once, or when the plugin has said what it has to say.
    pub fn tick_every(&mut self, host: &impl Host, period: Duration) -> Result<(), HostError> {
        if self.unsaid.is_none() {
            return host.set_tick_period(period);
        }
        self.period = Some(period);
        Ok(())
    }

    /// The plugin's timer has fired.
    pub fn on_tick(&mut self, host: &impl Host) {
        let Some(instead) = self.unsaid.take() else { return };
        self.say(host, instead);
        if let Some(period) = self.period.take() {
            let _ = host.set_tick_period(period);
        }
    }

    /// A stream of the plugin begins. If a configuration is put back while its plugin still lives, Envoy takes up that plugin
    /// without a word: only its streams tell. While no other plugin of its name lives, this does nothing.
    pub fn on_stream(&self, host: &impl Host) {
        if let Some(place) = self.place.as_ref().filter(|place| place.has_rivals.get()) {
            self.meet(host, place);
        }
    }

    #[inline(never)]
    fn meet(&self, host: &impl Host, place: &Place) {
        let connection = host.int(property::CONNECTION_ID);
        if connection.is_some_and(|connection| self.plugins.meet(place, &self.name, connection)) {
            self.show(host);
        }
    }

    /// The plugin ends.
    pub fn end(&mut self, host: &impl Host) {
        if let Some(place) = self.place.take() {
            self.plugins.remove(&place, &self.name);
            self.show(host);
        }
    }

    /// The root id, or without one the filter, and the name of the plugin if it has one; and the direction.
    fn name(&self, host: &impl Host) -> Name {
        let mut component = host.text(property::PLUGIN_ROOT_ID).unwrap_or_else(|| self.filter.into());
        if let Some(name) = host.text(property::PLUGIN_NAME).filter(|name| *name != component) {
            component.push('/');
            component.push_str(&name);
        }
        Name { component, direction: host.int(property::PLUGIN_DIRECTION).unwrap_or_default() }
    }

    fn read_name(&mut self, host: &impl Host) {
        if self.place.is_none() {
            self.name = self.name(host);
        }
    }

    #[inline(never)]
    fn begin(&mut self, runs: Option<Rc<Vec<u8>>>, is_refused: bool) {
        if let Some(place) = &self.place {
            self.plugins.remove(place, &self.name);
        }
        self.place = self.plugins.add(&self.name, runs, is_refused);
        (self.unsaid, self.period) = (None, None);
    }

    /// Tells what is wrong. Returns the last valid configuration.
    #[inline(never)]
    fn refuse(&mut self, host: &impl Host, error: &ConfigError) -> Option<Rc<Vec<u8>>> {
        log::error!("{}: {error}", self.filter);
        self.read_name(host);
        let last = self.plugins.last(&self.name);
        self.begin(last.clone(), true);
        last
    }

    /// Shows in the gauge whether the configuration that came into use last is refused. A plugin that never was has no gauge.
    #[inline(never)]
    fn show(&self, host: &impl Host) {
        let is_refused = self.plugins.is_refused(&self.name.component);
        let known = self.plugins.gauge(&self.name.component);
        if known.is_none() && !is_refused {
            return;
        }
        let gauge = known.map_or_else(|| self.define(host), Ok);
        if let Err(error) = gauge.and_then(|id| host.record_metric(id, is_refused.into())) {
            log::debug!("{REFUSED} not set: {error}");
        }
    }

    fn define(&self, host: &impl Host) -> Result<MetricId, HostError> {
        let gauge = host.define_metric(MetricKind::Gauge, &metric_name::of_component(&self.name.component, REFUSED))?;
        self.plugins.set_gauge(&self.name.component, gauge);
        Ok(gauge)
    }

    #[inline(never)]
    fn say_later(&mut self, host: &impl Host, instead: Instead, period: Option<Duration>) {
        match host.set_tick_period(SAID_AFTER) {
            Ok(()) => (self.unsaid, self.period) = (Some(instead), period),
            Err(_) => self.say(host, instead),
        }
    }

    /// Tells what runs, and shows in the gauge that the configuration is refused: both not in the VM that lives for no time.
    #[inline(never)]
    fn say(&self, host: &impl Host, instead: Instead) {
        self.show(host);
        let filter = self.filter;
        match instead {
            Instead::Last => log::warn!("{filter}: the last valid configuration stays until this one is corrected"),
            Instead::Defaults(defaults) => log::warn!(
                "{filter}: no valid configuration came before, the defaults hold until this one is corrected: {defaults}"
            ),
            Instead::Nothing => log::warn!(
                "{filter}: no valid configuration came before, traffic passes without this filter until this one is corrected"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
