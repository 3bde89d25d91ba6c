//! The plugins that live in a VM, in the order in which they came into use.

use core::cell::{Cell, RefCell};
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
    has_rivals: Rc<Cell<bool>>,
    /// The first connection that it got when it came into use beside others.
    first: Option<i64>,
}

/// The place of a plugin among those of its VM.
#[derive(Debug)]
pub(super) struct Place {
    id: u32,
    /// Whether another plugin of the component lives.
    pub has_rivals: Rc<Cell<bool>>,
}

impl Plugins {
    /// A plugin was configured.
    pub(super) fn add(&self, component: &str, runs: Option<Rc<Vec<u8>>>, is_refused: bool) -> Option<Place> {
        let mut state = self.0.try_borrow_mut().ok()?;
        let (id, has_rivals) = (state.next, Rc::<Cell<bool>>::default());
        state.next = id.wrapping_add(1);
        let live =
            Live { id, component: component.into(), runs, is_refused, has_rivals: has_rivals.clone(), first: None };
        state.live.push(live);
        state.tell(component);
        Some(Place { id, has_rivals })
    }

    /// A plugin ends.
    pub(super) fn remove(&self, place: &Place, component: &str) {
        if let Ok(mut state) = self.0.try_borrow_mut() {
            state.live.retain(|live| live.id != place.id);
            state.tell(component);
        }
    }

    /// A stream begins. Returns whether the plugin comes into use again: only then does it get a connection that began after
    /// the first one of the plugin that came into use last.
    pub(super) fn meet(&self, place: &Place, component: &str, connection: i64) -> bool {
        let Ok(mut state) = self.0.try_borrow_mut() else { return false };
        let Some(last) = state.live.iter_mut().rfind(|live| live.component == component) else { return false };
        if last.id == place.id {
            last.first.get_or_insert(connection);
            return false;
        }
        let is_later = last.first.is_some_and(|first| connection > first);
        let Some(index) = state.live.iter().position(|live| is_later && live.id == place.id) else { return false };
        let live = state.live.remove(index);
        state.live.push(Live { first: Some(connection), ..live });
        true
    }

    /// The valid configuration that came into use last.
    pub(super) fn last(&self, component: &str) -> Option<Rc<Vec<u8>>> {
        let state = self.0.try_borrow().ok()?;
        let mut of_component = state.live.iter().rev().filter(|live| live.component == component);
        of_component.find_map(|live| live.runs.clone())
    }

    /// Whether the configuration that came into use last is refused.
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

impl State {
    /// Tells the plugins of a component whether there are others.
    fn tell(&self, component: &str) {
        let of_component = || self.live.iter().filter(|live| live.component == component);
        let has_rivals = of_component().count() > 1;
        of_component().for_each(|live| live.has_rivals.set(has_rivals));
    }
}
