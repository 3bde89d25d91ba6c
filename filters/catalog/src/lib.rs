//! What filters and modules there are.
//!
//! [`FILTERS`] and [`MODULES`] say it once. The build, `pack`, a release, the bench and the tests take their lists from here;
//! `e2e/tests/catalog` compares the rest with it: manifests, EnvoyFilters, documents, dashboards, tests. What is missing there is
//! named with the file and what to add.
//!
//! This crate is data. No filter depends on it: the modules do not change with the table.

mod filter;
mod table;

pub use filter::{
    ConfigMap, Context, Dashboards, Ends, EnvoyFilter, Filter, Metric, Module, Place, Reference, Root, OPERATIONS,
};
pub use table::{FILTERS, MODULES};

/// The file that a contributor changes.
pub const TABLE: &str = "filters/catalog/src/table.rs";

/// Where the EnvoyFilters are.
pub const ENVOY_FILTERS: &str = "envoy";

/// What Kubernetes lets a ConfigMap have, in bytes. The API server adds up the values of `data` and `binaryData`, these as they are
/// before base64. It counts no names.
pub const CONFIG_MAP_LIMIT: usize = 1024 * 1024;

/// The module of a package.
pub fn module(package: &str) -> Option<&'static Module> {
    MODULES.iter().find(|module| module.package == package)
}

/// The modules in a ConfigMap.
pub fn modules_in(config_map: ConfigMap) -> impl Iterator<Item = &'static Module> {
    MODULES.iter().filter(move |module| module.config_map == config_map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_s_file_is_named_as_the_linker_does() {
        assert_eq!(module("metadata-exchange").map(Module::file).as_deref(), Some("metadata_exchange.wasm"));
    }

    #[test]
    fn modules_of_a_config_map_fit_into_it_even_if_each_uses_all_of_its_budget() {
        for config_map in ConfigMap::ALL {
            let sum = modules_in(config_map).fold(0_usize, |sum, module| sum.saturating_add(module.budget));
            assert!(
                sum <= CONFIG_MAP_LIMIT,
                "{TABLE}: ConfigMap {} may have {CONFIG_MAP_LIMIT} bytes, the budgets of its modules come to {sum}: \
                 lower a `budget`, or put a module into another `config_map`",
                config_map.name()
            );
        }
    }

    #[test]
    fn filters_are_in_modules_that_there_are_and_each_module_has_a_filter() {
        for filter in FILTERS {
            for package in filter.modules {
                let name = filter.name;
                assert!(module(package).is_some(), "{TABLE}: `{name}` is in module `{package}`: add it to MODULES");
            }
        }
        for module in MODULES {
            let package = module.package;
            let of = FILTERS.iter().any(|filter| filter.modules.contains(&package));
            assert!(of, "{TABLE}: no filter is in module `{package}`: add it to `modules` of one in FILTERS");
        }
    }

    #[test]
    fn names_root_ids_and_files_are_one_filter_s_only() {
        let all = |of: fn(&Filter) -> Vec<&'static str>| FILTERS.iter().flat_map(of).collect::<Vec<_>>();
        for mut names in [
            all(|filter| vec![filter.name]),
            all(|filter| filter.roots.iter().map(|root| root.id).collect()),
            all(|filter| filter.envoy_filters.iter().map(|filter| filter.file).chain(filter.bootstrap).collect()),
            all(|filter| filter.metrics.iter().map(|metric| metric.name).collect()),
            MODULES.iter().map(|module| module.package).collect(),
        ] {
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{TABLE}: something is named twice among {names:?}");
        }
    }
}
