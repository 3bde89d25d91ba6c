//! The last check: the modules' own code checks the written configurations.

use access_log::{access_log::AccessLog, config::LogConfig};
use configuration::Problem;
use host::fake::FakeHost;
use host::property;
use labels::peer::Peer;
use serde_json::Value as Json;
use stats::{config::StatsConfig, stats::Stats};

use super::resource::Plugin;

/// The problems that the module of `plugin` finds in a configuration. Whether Envoy can compile the expressions is not
/// checked.
pub(crate) fn problems(plugin: Plugin, configuration: &Json) -> Vec<Problem> {
    let mut host = FakeHost::new();
    host.with_all_expressions().with_text(property::PLUGIN_ROOT_ID, plugin.root());
    let json = configuration.to_string();
    let mut problems = Vec::new();
    match plugin {
        Plugin::Stats | Plugin::TcpStats => {
            let config = StatsConfig::parse_with(json.as_bytes(), &mut problems);
            Stats::of_config(&config, &Peer::default(), &host, &mut problems);
        }
        Plugin::AccessLog | Plugin::TcpAccessLog => {
            let config = LogConfig::parse_with(json.as_bytes(), &mut problems);
            AccessLog::of_config(&config, Peer::default(), &host, &mut problems);
        }
    }
    problems
}

/// The message for a problem.
pub(super) fn message(plugin: Plugin, problem: &Problem) -> String {
    let module = if matches!(plugin, Plugin::Stats | Plugin::TcpStats) { "stats" } else { "access log" };
    format!("the {module} module would refuse {}: {}", problem.path, problem.message)
}
