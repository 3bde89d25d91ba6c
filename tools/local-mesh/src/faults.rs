//! Fault injection in the local mesh: rules from a file, and their results.

use anyhow::Result;
use configuration::ConfigError;
use fault::config::FaultConfig;

use crate::exposition::Sample;
use crate::prometheus::Prometheus;
use crate::rule_file::Kind;

/// Rules for the calling proxies, as with a `VirtualService`.
pub const RULES: Kind = Kind { what: "faults", plugins: &["remixer-fault-outbound", "remixer-fault-gateway"], names };

fn names(rules: &[u8]) -> Result<Vec<String>, ConfigError> {
    let config = FaultConfig::parse(rules)?;
    let rules = config.rules.iter().filter(|rule| rule.delay.is_some() || rule.abort.is_some());
    let names = rules.map(|rule| rule.name.clone());
    Ok(if config.is_idle() { Vec::new() } else { names.collect() })
}

/// The results by proxy and rule; empty if there are none.
pub fn render(prometheus: &Prometheus) -> Result<String> {
    let mut lines = Vec::new();
    for (metric, by, what) in [
        ("fault_delays_injected_total", "pod, rule", "delayed"),
        ("fault_aborts_injected_total", "pod, rule, result", "aborted"),
        ("fault_delay_cancelled_total", "pod, rule", "left while delayed"),
        ("fault_overflow_total", "pod, rule", "passed, too many were delayed"),
    ] {
        let samples = prometheus.query(&format!("sum by ({by}) ({metric})"))?;
        lines.extend(samples.iter().filter(|sample| sample.value > 0.0).map(|sample| line(sample, what)));
    }
    lines.sort();
    Ok(lines.concat())
}

fn line(sample: &Sample, what: &str) -> String {
    let [pod, rule, result] = ["pod", "rule", "result"].map(|label| sample.label(label));
    let with = if result.is_empty() { String::new() } else { format!(" with {result}") };
    format!("{pod:<40}  rule {rule}: {} {what}{with}\n", sample.value)
}
