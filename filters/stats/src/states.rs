//! What the module leaves in filter state where Envoy's stats access logger counts, and under which keys.
//!
//! Labels live as long as the downstream connection, whose streams mostly have the same: a stream writes only those that differ
//! from the ones before it. Numbers that Envoy does not know live as long as the stream, as does the sign that the labels are
//! this stream's.

use core::fmt::Write;

use host::property::Property;
use host::{Host, StateKind};

use crate::metrics::{MetricSpec, Quantity, TagSource};

/// The names of the states of a plugin. Several plugins on one listener have names of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Those of the plugin that counts as `name`; empty for the only one.
    pub fn new(name: &str) -> Self {
        let prefix = match name {
            "" => "remixer.".into(),
            name => ["remixer-", name, "."].concat(),
        };
        Self { prefix }
    }

    /// The sign that the labels are this stream's. Without it, nothing is counted.
    pub fn counted(&self) -> String {
        [&self.prefix, "counted"].concat()
    }

    /// Which labels the connection has.
    fn labels(&self) -> String {
        [&self.prefix, "labels"].concat()
    }

    /// The key of a label's value. It depends on the label or expression alone, so that the logger of another configuration does not
    /// take one for another.
    pub fn label(&self, source: &TagSource) -> String {
        let mut key = self.prefix.clone();
        match source {
            TagSource::Label(label) => key.push_str(label.name()),
            _ => {
                let mut hash = Hash::new();
                add_source(&mut hash, source);
                hash.write(&mut key);
            }
        }
        key
    }

    /// The key of the number of a metric that Envoy does not know.
    pub fn number(&self, metric: &MetricSpec) -> String {
        let mut hash = Hash::new();
        for text in [metric.prefix, &metric.name, metric.suffix, metric.condition.as_deref().unwrap_or_default()] {
            hash.add(text);
        }
        match &metric.quantity {
            Quantity::Expression(text) | Quantity::Bucket(_, text) => hash.add(text),
            Quantity::Times(times, measurement) => {
                hash.add_number(times.wrapping_mul(100).wrapping_add(*measurement as u64))
            }
            Quantity::AtMost(bound) => hash.add_number(*bound),
            Quantity::Milliseconds | Quantity::Seconds => {}
        }
        let mut key = [&self.prefix, "number."].concat();
        hash.write(&mut key);
        key
    }
}

fn add_source(hash: &mut Hash, source: &TagSource) {
    match source {
        TagSource::Label(label) => hash.add(label.name()),
        TagSource::Identity(label) => {
            hash.add("identity");
            hash.add(label.name());
        }
        TagSource::Expression(text) => {
            hash.add("expression");
            hash.add(text);
        }
        TagSource::First(sources) => {
            hash.add("first");
            sources.iter().for_each(|source| add_source(hash, source));
        }
    }
}

/// FNV-1a, of parts that do not run together.
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn add_number(&mut self, number: u64) {
        for byte in number.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write(&self, key: &mut String) {
        let _ = write!(key, "{:016x}", self.0);
    }
}

/// Marks which labels a connection has, so that the next stream knows which of its own are different.
#[derive(Clone, Debug)]
pub struct Marks {
    /// Tells apart plugins, and a plugin's configurations. `None`: every stream writes all of its labels.
    plugin: Option<[u8; 8]>,
    labels: String,
    counted: String,
}

impl Marks {
    /// Of a plugin that is being configured.
    pub fn new(host: &impl Host, keys: &Keys) -> Self {
        let begin = |random: [u8; 16]| {
            let mut plugin = [0; 8];
            plugin.iter_mut().zip(random).for_each(|(to, from)| *to = from);
            plugin
        };
        Self { plugin: host.random().map(begin), labels: keys.labels(), counted: keys.counted() }
    }

    /// The number of the labels that the connection has, if this plugin wrote them.
    pub fn read(&self, host: &impl Host) -> Option<u32> {
        let plugin = self.plugin?;
        let mark = host.property(Property(&self.labels))?;
        let number = mark.strip_prefix(&plugin)?;
        number.try_into().ok().map(u32::from_le_bytes)
    }

    /// The connection has the labels with this number from now on.
    pub fn write(&self, host: &impl Host, number: u32) {
        let mut mark = [0; 12];
        let bytes = self.plugin.unwrap_or_default().into_iter().chain(number.to_le_bytes());
        mark.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        set(host, &self.labels, &mark);
    }

    /// The connection's labels are those of the current stream.
    pub fn count(&self, host: &impl Host) {
        set(host, &self.counted, b"1");
    }

    /// Tells Envoy of the states that every stream has. Call it while the plugin is configured.
    pub fn declare(&self, host: &impl Host) {
        declare(host, &self.labels, StateKind::ConnectionText);
        declare(host, &self.counted, StateKind::Text);
    }
}

/// Tells Envoy what kind of state a key is for. Call it while the plugin is configured.
pub fn declare(host: &impl Host, key: &str, kind: StateKind) {
    if let Err(error) = host.declare_filter_state(key, kind) {
        log::debug!("stats: filter state wasm.{key} not declared: {error}");
    }
}

/// Writes filter state.
pub fn set(host: &impl Host, key: &str, value: &[u8]) {
    if let Err(error) = host.set_filter_state(key, value) {
        log::debug!("stats: filter state wasm.{key} not set: {error}");
    }
}
