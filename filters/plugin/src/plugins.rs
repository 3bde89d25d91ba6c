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
    name: Name,
    /// The valid configuration that it runs, or would run.
    runs: Option<Rc<Vec<u8>>>,
    is_refused: bool,
    has_rivals: Rc<Cell<bool>>,
    /// The first connection that it got when it came into use beside others, and the latest.
    connections: Option<(i64, i64)>,
}

/// What a plugin keeps when its configuration changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// The root id, or without one the filter, and the name if it has one.
    pub component: String,
    /// The direction of its listener: plugins of both may have one name.
    pub direction: i64,
}

/// The place of a plugin among those of its VM.
#[derive(Debug)]
pub(super) struct Place {
    id: u32,
    /// Whether another plugin of the name lives.
    pub has_rivals: Rc<Cell<bool>>,
}

impl Plugins {
    /// A plugin was configured.
    pub(super) fn add(&self, name: &Name, runs: Option<Rc<Vec<u8>>>, is_refused: bool) -> Option<Place> {
        let mut state = self.0.try_borrow_mut().ok()?;
        let (id, has_rivals) = (state.next, Rc::<Cell<bool>>::default());
        state.next = id.wrapping_add(1);
        let live = Live { id, name: name.clone(), runs, is_refused, has_rivals: has_rivals.clone(), connections: None };
        state.live.push(live);
        state.tell(name);
        Some(Place { id, has_rivals })
    }

    /// A plugin ends.
    pub(super) fn remove(&self, place: &Place, name: &Name) {
        if let Ok(mut state) = self.0.try_borrow_mut() {
            state.live.retain(|live| live.id != place.id);
            state.tell(name);
        }
    }

    /// A stream begins. Returns whether the plugin comes into use again: only then does it get a connection that began after
    /// the first one of the plugin that came into use last, or that this plugin had already.
    pub(super) fn meet(&self, place: &Place, name: &Name, connection: i64) -> bool {
        let Ok(mut state) = self.0.try_borrow_mut() else { return false };
        let Some(last) = state.live.iter_mut().rfind(|live| live.name == *name) else { return false };
        let (first, latest) = last.connections.unwrap_or((connection, connection));
        if last.id == place.id {
            last.connections = Some((first, connection));
            return false;
        }
        let is_again = last.connections.is_some() && (connection > first || connection == latest);
        let Some(index) = state.live.iter().position(|live| is_again && live.id == place.id) else { return false };
        let live = state.live.remove(index);
        state.live.push(Live { connections: Some((connection, connection)), ..live });
        true
    }

    /// The valid configuration that came into use last.
    pub(super) fn last(&self, name: &Name) -> Option<Rc<Vec<u8>>> {
        let state = self.0.try_borrow().ok()?;
        let mut of_name = state.live.iter().rev().filter(|live| live.name == *name);
        of_name.find_map(|live| live.runs.clone())
    }

    /// Whether the configuration that came into use last is refused, in any direction.
    pub(super) fn is_refused(&self, component: &str) -> bool {
        let Ok(state) = self.0.try_borrow() else { return false };
        let mut of_component = state.live.iter().filter(|live| live.name.component == component);
        of_component.any(|live| {
            let last = state.live.iter().rfind(|other| other.name == live.name);
            last.is_some_and(|last| last.is_refused)
        })
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
    /// Tells the plugins of a name whether there are others.
    fn tell(&self, name: &Name) {
        let of_name = || self.live.iter().filter(|live| live.name == *name);
        let has_rivals = of_name().count() > 1;
        of_name().for_each(|live| live.has_rivals.set(has_rivals));
    }
}
