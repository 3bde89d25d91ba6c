//! The output: EnvoyFilters with the configurations of stats and access log, and the bootstrap settings.

mod access_log;
mod bootstrap;
pub(crate) mod check;
mod collected;
mod resource;
mod stats;
mod when;

use crate::{diagnostic::Diagnostics, model::Model, options::Options, spec::Specs};

pub use collected::Output;
pub use resource::Plugin;

impl Output {
    /// Writes the output for the specifications.
    pub fn of(specs: &Specs, model: &Model, options: &Options, diagnostics: &mut Diagnostics) -> Self {
        let mut output = Self::default();
        stats::write(&specs.metrics, model, options, &mut output, diagnostics);
        access_log::write(&specs.logs, model, &mut output, diagnostics);
        output
    }

    /// The resources as YAML; empty if there are none.
    pub fn to_yaml(&self) -> String {
        let mut documents: Vec<String> = self
            .plugins
            .iter()
            .map(|((namespace, plugin), scenes)| resource::write(namespace, *plugin, scenes))
            .collect();
        if self.plugins.keys().any(|(_, plugin)| *plugin == Plugin::Stats || *plugin == Plugin::TcpStats) {
            documents.insert(0, bootstrap::write(&self.labels, &self.buckets));
        }
        documents.join("---\n")
    }
}
