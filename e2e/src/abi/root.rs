//! A plugin, and what Envoy remembers for it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::abi::calls::CallResponse;

/// A plugin, as a filter's configuration has it.
#[derive(Clone, Debug, Default)]
pub struct Plugin {
    pub(super) name: String,
    pub(super) root_id: String,
    pub(super) vm_id: String,
    pub(super) configuration: Vec<u8>,
}

impl Plugin {
    /// A plugin of this root id, whose name is the same.
    pub fn new(root_id: &str) -> Self {
        Self { name: root_id.into(), root_id: root_id.into(), vm_id: "remixer".into(), configuration: Vec::new() }
    }

    /// With another VM id.
    #[must_use]
    pub fn in_vm(mut self, vm_id: &str) -> Self {
        self.vm_id = vm_id.into();
        self
    }

    /// With a configuration.
    #[must_use]
    pub fn configured(mut self, json: impl AsRef<[u8]>) -> Self {
        self.configuration = json.as_ref().into();
        self
    }
}

/// What Envoy remembers for a plugin.
#[derive(Default)]
pub(super) struct Root {
    pub plugin: Plugin,
    pub timer: Option<Timer>,
    /// Compiled expressions, by token.
    pub expressions: Vec<String>,
    /// Declared filter state.
    pub declared: BTreeSet<String>,
    /// The answer to a call that it is told of.
    pub response: Option<CallResponse>,
}

/// A timer that goes on until it is set anew.
#[derive(Clone, Copy)]
pub(super) struct Timer {
    pub period: Duration,
    pub next: Duration,
}
