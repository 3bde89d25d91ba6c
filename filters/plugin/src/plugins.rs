//! The plugins that live in a VM, in the order in which they were configured.

use core::cell::RefCell;
use std::rc::Rc;

use host::MetricId;

/// The plugins of one VM, all of which know it. It keeps one configuration for each plugin that lives.
#[derive(Clone, Debug, Default)]
pub struct Plugins(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    live: Vec<Live>,
    next: u32,
    /// The gauges of those that have been refused.
    gauges: Vec<(String, MetricId)>,
}

#[derive(Debug)]
struct Live {
    id: u32,
    component: String,
    /// The valid configuration that it runs, or would run.
    runs: Option<Rc<Vec<u8>>>,
    is_refused: bool,
}

impl Plugins {
    /// A plugin was configured.
    pub(super) fn add(&self, component: &str, runs: Option<Rc<Vec<u8>>>, is_refused: bool) -> Option<u32> {
        let mut state = self.0.try_borrow_mut().ok()?;
        let id = state.next;
        state.next = id.wrapping_add(1);
        state.live.push(Live { id, component: component.into(), runs, is_refused });
        Some(id)
    }

    /// A plugin ends.
    pub(super) fn remove(&self, id: u32) {
        if let Ok(mut state) = self.0.try_borrow_mut() {
            state.live.retain(|live| live.id != id);
        }
    }

    /// The valid configuration that came last.
    pub(super) fn last(&self, component: &str) -> Option<Rc<Vec<u8>>> {
        let state = self.0.try_borrow().ok()?;
        let mut of_component = state.live.iter().rev().filter(|live| live.component == component);
        of_component.find_map(|live| live.runs.clone())
    }

    /// Whether the configuration that came last is refused.
    pub(super) fn is_refused(&self, component: &str) -> bool {
        let Ok(state) = self.0.try_borrow() else { return false };
        let last = state.live.iter().rev().find(|live| live.component == component);
        last.is_some_and(|live| live.is_refused)
    }

    /// The gauge of a component, if it has been refused.
    pub(super) fn gauge(&self, component: &str) -> Option<MetricId> {
        let state = self.0.try_borrow().ok()?;
        state.gauges.iter().find(|(other, _)| other == component).map(|(_, gauge)| *gauge)
    }

    /// Remembers a gauge.
    pub(super) fn set_gauge(&self, component: &str, gauge: MetricId) {
        if let Ok(mut state) = self.0.try_borrow_mut() {
            state.gauges.push((component.into(), gauge));
        }
    }
}
