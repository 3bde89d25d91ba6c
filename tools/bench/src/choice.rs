//! Which variants there are, and which of them are meant.
//!
//! Filters of the catalog for which nobody has written a line in [`VARIANTS`] are measured, too: each as its EnvoyFilter attaches it.

use std::sync::OnceLock;

use anyhow::{ensure, Result};
use catalog::{Context, Filter, Place, FILTERS};

use crate::scene::Scene;
use crate::variants::{Module, Part, Proof, Variant, EXTRAS, MODULES, VARIANTS};

/// All variants. A scene's baseline comes first.
pub fn all() -> &'static [Variant] {
    static ALL: OnceLock<Vec<Variant>> = OnceLock::new();
    ALL.get_or_init(|| with_others(FILTERS))
}

/// What is compared in a scene.
pub fn of(scene: Scene) -> impl Iterator<Item = &'static Variant> {
    all().iter().filter(move |variant| variant.scene == scene)
}

/// Those that are meant by the names, each with its scene's baseline; all if there are no names.
pub fn choose(names: &[String], short: bool) -> Result<Vec<Variant>> {
    for name in names {
        let is_extra = EXTRAS.iter().any(|(extra, _)| extra == name);
        ensure!(
            is_extra || all().iter().any(|variant| variant.is_meant(name)),
            "there is no variant `{name}`; --list shows them"
        );
    }
    let wanted = |variant: &Variant| match names.is_empty() {
        true => variant.short || !short,
        false => names.iter().any(|name| variant.is_meant(name)),
    };
    let scenes: Vec<Scene> = all().iter().filter(|variant| wanted(variant)).map(|variant| variant.scene).collect();
    let needed = |variant: &Variant| wanted(variant) || (variant.is_baseline() && scenes.contains(&variant.scene));
    Ok(all().iter().filter(|variant| needed(variant)).copied().collect())
}

/// All modules: those of [`MODULES`], and those of the further filters.
pub fn modules() -> Vec<Module> {
    let mut modules = MODULES.to_vec();
    for module in all().iter().flat_map(Variant::modules) {
        if !modules.iter().any(|known| known.file == module.file) {
            modules.push(*module);
        }
    }
    modules
}

fn with_others(filters: &[Filter]) -> Vec<Variant> {
    let is_written = |filter: &&Filter| {
        let mut measured = VARIANTS.iter().flat_map(Variant::modules).map(|module| module.filter);
        measured.any(|file| filter.envoy_filters.iter().any(|filter| filter.file == file))
    };
    // There is no scene of TCP.
    let others = filters.iter().filter(|filter| filter.places != [Place::NetworkFilter] && !is_written(filter));
    VARIANTS.iter().copied().chain(others.filter_map(variant)).collect()
}

/// A filter by the first of its files.
fn variant(filter: &Filter) -> Option<Variant> {
    let package = filter.modules.first().and_then(|package| catalog::module(package))?;
    let module = Module { filter: filter.envoy_filters.first()?.file, file: package.file().leak(), calls: None };
    let inbound = filter.contexts.contains(&Context::Inbound);
    Some(Variant {
        name: filter.name.replace(' ', "-").leak(),
        scene: if inbound { Scene::Direct } else { Scene::Outbound },
        about: filter.about,
        parts: vec![Part::EnvoyFilter(module)].leak(),
        proof: Proof::Answers,
        short: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_of_http_has_a_variant() {
        for filter in FILTERS.iter().filter(|filter| filter.places != [Place::NetworkFilter]) {
            let mut files = all().iter().flat_map(Variant::modules).map(|module| module.filter);
            let has = files.any(|file| filter.envoy_filters.iter().any(|filter| filter.file == file));
            assert!(has, "tools/bench/src/variants.rs: VARIANTS measures no file of `{}`", filter.name);
        }
    }

    #[test]
    fn each_module_of_the_table_is_measured() {
        let mut files: Vec<String> = catalog::MODULES.iter().map(catalog::Module::file).collect();
        let mut measured: Vec<String> = modules().iter().map(|module| module.file.to_owned()).collect();
        files.sort_unstable();
        measured.sort_unstable();
        assert_eq!(measured, files);
    }

    #[test]
    fn a_filter_without_a_line_is_measured_as_its_file_attaches_it() {
        let fault = FILTERS.iter().find(|filter| filter.name == "fault").copied();
        const FILES: &[catalog::EnvoyFilter] = &[catalog::EnvoyFilter::file("tier.yaml")];
        let tier = Filter { name: "a tier", envoy_filters: FILES, ..fault.unwrap() };
        let all = with_others(&[fault.unwrap(), tier]);
        let [other] = all.get(VARIANTS.len()..).unwrap() else { panic!("fault has a line") };
        assert_eq!((other.id().as_str(), other.calls()), ("direct/a-tier", None));
        assert!(other.modules().all(|module| module.filter == "tier.yaml"));
    }
}
