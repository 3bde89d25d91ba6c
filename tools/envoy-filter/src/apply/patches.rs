//! The patches for one proxy, in the order of their application.

use std::{
    cell::{Cell, RefCell},
    path::Path,
};

use crate::{
    matches,
    merge::{Conflict, Lists},
    problem::Problem,
    proxy::{Proxy, ROOT_NAMESPACE},
    resource::{ApplyTo, Context, EnvoyFilter, Operation, Patch},
};

/// A patch, with the number of objects that it changed.
#[derive(Debug)]
pub(super) struct Active<'a> {
    file: &'a Path,
    index: usize,
    pub(super) patch: &'a Patch,
    pub(super) matched: Cell<usize>,
}

impl Active<'_> {
    pub(super) fn hit(&self) {
        self.matched.set(self.matched.get() + 1);
    }

    pub(super) fn lists(&self) -> Lists {
        match self.patch.operation {
            Operation::MergeAndReplaceList => Lists::Replace,
            _ => Lists::Append,
        }
    }
}

/// The patches for one proxy, in the order of their application.
#[derive(Debug)]
pub(super) struct Patches<'a> {
    pub(super) active: Vec<Active<'a>>,
    pub(super) problems: RefCell<Vec<Problem>>,
}

impl<'a> Patches<'a> {
    pub(super) fn select(filters: &'a [EnvoyFilter], proxy: &Proxy<'_>) -> Self {
        let mut chosen: Vec<&EnvoyFilter> = filters
            .iter()
            .filter(|filter| filter.namespace == ROOT_NAMESPACE || filter.namespace == proxy.namespace)
            .filter(|filter| {
                let mut selector = filter.workload_selector.iter();
                selector.all(|(name, value)| proxy.labels.get(name) == Some(value))
            })
            .collect();
        chosen.sort_by_cached_key(|filter| {
            (filter.priority, filter.namespace != ROOT_NAMESPACE, format!("{}.{}", filter.name, filter.namespace))
        });
        let active = chosen
            .into_iter()
            .flat_map(|filter| {
                let patches = filter.patches.iter().enumerate();
                patches.map(|(index, patch)| Active { file: &filter.file, index, patch, matched: Cell::new(0) })
            })
            .filter(|active| matches::proxy(&active.patch.proxy, proxy))
            .collect();
        Patches { active, problems: RefCell::default() }
    }

    /// The patches for one kind of object in one context.
    pub(super) fn of(&self, apply_to: ApplyTo, context: Context) -> impl Iterator<Item = &Active<'a>> {
        self.active
            .iter()
            .filter(move |active| active.patch.apply_to == apply_to && active.patch.context.includes(context))
    }

    /// Counts a merge, or records why it failed. `path` leads from `patch.value` to the merged value.
    pub(super) fn merged(&self, active: &Active<'_>, path: &str, result: Result<(), Conflict>) {
        match result {
            Ok(()) => active.hit(),
            Err(conflict) => self.problems.borrow_mut().push(Problem {
                line: Some(active.patch.line),
                path: format!("spec.configPatches[{}].patch.value{path}{}", active.index, conflict.path),
                ..Problem::of_file(active.file, conflict.reason)
            }),
        }
    }
}
