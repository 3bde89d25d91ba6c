//! Lines of logs.

use std::collections::BTreeMap;

use crate::{
    cexl::Type,
    model::{Compiled, Fluentd, LogEntry, MetricTemplate, Stdio},
};

use super::origin::Origin;

/// A log with all it needs.
#[derive(Clone, Debug)]
pub struct LogSpec {
    /// The severity; none is empty.
    pub severity: Option<Compiled>,
    /// Levels by severity; those that are not there are `info`.
    pub levels: BTreeMap<String, &'static str>,
    /// When it was; none is the year 1.
    pub timestamp: Option<Compiled>,
    /// What the line has, in its order.
    pub variables: Vec<Variable>,
    /// Whether lines are JSON; otherwise they are Mixer's console form.
    pub json: bool,
    /// For Fluentd: the record has `tag` and raw severity instead of level and instance.
    pub fluentd: Option<Fluentd>,
    /// Whether time is that of the report, as for metrics in logs.
    pub now: bool,
    /// Where it comes from.
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

    /// Whether a variable is an address.
    pub fn has_address(&self) -> bool {
        self.variables.iter().any(|variable| variable.value.expression.ty == Type::IpAddress)
    }
}

/// In the order of their names' bytes, as Mixer wrote them.
fn variables(map: &BTreeMap<String, Compiled>) -> Vec<Variable> {
    map.iter().map(|(name, value)| Variable { name: name.clone(), value: value.clone() }).collect()
}
