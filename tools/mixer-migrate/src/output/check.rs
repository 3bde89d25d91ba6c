//! The last check: the modules' own code checks the written configurations.

use configuration::Problem;
use plugin_check::readers::Reader;
use serde_json::Value as Json;

use super::resource::Plugin;

/// The problems that the module of `plugin` finds in a configuration. Whether Envoy can compile the expressions is not
/// checked.
pub(crate) fn problems(plugin: Plugin, configuration: &Json) -> Vec<Problem> {
    let reader = match plugin {
        Plugin::Stats | Plugin::TcpStats => Reader::Stats,
        Plugin::AccessLog | Plugin::TcpAccessLog => Reader::AccessLog,
    };
    reader.problems(plugin.root(), "", configuration.to_string().as_bytes())
}

/// The message for a problem.
pub(super) fn message(plugin: Plugin, problem: &Problem) -> String {
    let module = if matches!(plugin, Plugin::Stats | Plugin::TcpStats) { "stats" } else { "access log" };
    format!("the {module} module would refuse {}: {}", problem.path, problem.message)
}
