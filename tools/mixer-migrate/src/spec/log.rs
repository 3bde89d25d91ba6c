//! Lines of logs.

use std::collections::BTreeMap;

use crate::{
    cexl::Type,
    model::{Compiled, Fluentd, LogEntry, MetricTemplate, Stdio},
};

use super::origin::Origin;

/// A log with all its data.
#[derive(Clone, Debug)]
pub struct LogSpec {
    /// The severity; `None` is empty.
    pub severity: Option<Compiled>,
    /// Levels by severity. A severity without a level has `info`.
    pub levels: BTreeMap<String, &'static str>,
    /// The time of the entry; `None` is the year 1.
    pub timestamp: Option<Compiled>,
    /// The variables of the line, in order.
    pub variables: Vec<Variable>,
    /// Whether lines are JSON, or Mixer's console form.
    pub json: bool,
    /// For Fluentd: the record has `tag` and the original severity instead of level and instance.
    pub fluentd: Option<Fluentd>,
    /// Whether the time is that of the report, as for metrics in logs.
    pub now: bool,
    /// Its origin.
    pub origin: Origin,
}

/// A variable of a line.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its key.
    pub name: String,
    /// Its value.
    pub value: Compiled,
}

impl LogSpec {
    /// A log entry to stdio.
    pub(super) fn entry(stdio: &Stdio, entry: &LogEntry, origin: Origin) -> Self {
        Self {
            severity: entry.severity.clone(),
            levels: stdio.levels.clone(),
            timestamp: entry.timestamp.clone(),
            variables: variables(&entry.variables),
            json: stdio.json,
            fluentd: None,
            now: false,
            origin,
        }
    }

    /// A metric to stdio: its value first, then its dimensions.
    pub(super) fn metric(stdio: &Stdio, metric: &MetricTemplate, origin: Origin) -> Self {
        let value = Variable { name: "value".into(), value: metric.value.clone() };
        Self {
            severity: None,
            levels: [(String::new(), stdio.metric_level)].into(),
            timestamp: None,
            variables: std::iter::once(value).chain(variables(&metric.dimensions)).collect(),
            json: stdio.json,
            fluentd: None,
            now: true,
            origin,
        }
    }

    /// A log entry to Fluentd.
    pub(super) fn fluentd(fluentd: &Fluentd, entry: &LogEntry, origin: Origin) -> Self {
        Self {
            severity: entry.severity.clone(),
            levels: BTreeMap::new(),
            timestamp: entry.timestamp.clone(),
            variables: variables(&entry.variables),
            json: true,
            fluentd: Some(fluentd.clone()),
            now: false,
            origin,
        }
    }

    /// Whether a variable is an IP address.
    pub fn has_address(&self) -> bool {
        self.variables.iter().any(|variable| variable.value.expression.ty == Type::IpAddress)
    }
}

/// Sorted by the bytes of their names, as in Mixer.
fn variables(map: &BTreeMap<String, Compiled>) -> Vec<Variable> {
    map.iter().map(|(name, value)| Variable { name: name.clone(), value: value.clone() }).collect()
}
