//! Envoy's metrics, by name.

use std::collections::BTreeMap;

use crate::abi::status::{BAD_ARGUMENT, NOT_FOUND};

/// How a metric is aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricKind {
    /// A sum.
    Counter,
    /// A value.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metric {
    /// A counter's or gauge's value, a histogram's sum.
    pub value: u64,
    /// How many values a histogram has got.
    pub samples: u64,
}

/// All metrics. Handles of one kind and name are about one metric.
#[derive(Default)]
pub struct Metrics {
    handles: Vec<(MetricKind, String)>,
    metrics: BTreeMap<(MetricKind, String), Metric>,
}

impl Metrics {
    /// How many handles were given out.
    pub fn handles(&self) -> usize {
        self.handles.len()
    }

    /// What a counter or gauge holds whose name has all these parts; the sum, if there are several.
    pub fn value(&self, parts: &[&str]) -> u64 {
        self.select(parts).fold(0, |sum, (_, metric)| sum.wrapping_add(metric.value))
    }

    /// How many values the histograms got whose names have all these parts.
    pub fn samples(&self, parts: &[&str]) -> u64 {
        self.select(parts).map(|(_, metric)| metric.samples).sum()
    }

    /// The names of all metrics that have a value other than 0.
    pub fn names(&self) -> Vec<&str> {
        let used = self.metrics.iter().filter(|(_, metric)| metric.value != 0 || metric.samples != 0);
        used.map(|((_, name), _)| name.as_str()).collect()
    }

    fn select<'a>(&'a self, parts: &'a [&str]) -> impl Iterator<Item = (&'a str, Metric)> {
        let all = self.metrics.iter().map(|((_, name), metric)| (name.as_str(), *metric));
        all.filter(|(name, _)| parts.iter().all(|part| name.contains(part)))
    }

    pub(super) fn define(&mut self, kind: u32, name: &str) -> Result<u32, u32> {
        let kind = match kind {
            0 => MetricKind::Counter,
            1 => MetricKind::Gauge,
            2 => MetricKind::Histogram,
            _ => return Err(BAD_ARGUMENT),
        };
        self.metrics.entry((kind, name.into())).or_default();
        self.handles.push((kind, name.into()));
        u32::try_from(self.handles.len() - 1).map_err(|_| BAD_ARGUMENT)
    }

    pub(super) fn increment(&mut self, id: u32, by: i64) -> Result<(), u32> {
        let (kind, metric) = self.find(id)?;
        match kind {
            MetricKind::Counter if by > 0 => {}
            MetricKind::Gauge => {}
            MetricKind::Counter | MetricKind::Histogram => return Err(BAD_ARGUMENT),
        }
        metric.value = metric.value.wrapping_add_signed(by);
        Ok(())
    }

    pub(super) fn record(&mut self, id: u32, value: u64) -> Result<(), u32> {
        let (kind, metric) = self.find(id)?;
        match kind {
            MetricKind::Counter => metric.value = metric.value.wrapping_add(value),
            MetricKind::Gauge => metric.value = value,
            MetricKind::Histogram => {
                metric.value = metric.value.wrapping_add(value);
                metric.samples += 1;
            }
        }
        Ok(())
    }

    pub(super) fn get(&mut self, id: u32) -> Result<u64, u32> {
        match self.find(id)? {
            (MetricKind::Histogram, _) => Err(BAD_ARGUMENT),
            (_, metric) => Ok(metric.value),
        }
    }

    fn find(&mut self, id: u32) -> Result<(MetricKind, &mut Metric), u32> {
        let handle = self.handles.get(id as usize).ok_or(NOT_FOUND)?;
        Ok((handle.0, self.metrics.get_mut(handle).ok_or(NOT_FOUND)?))
    }
}
