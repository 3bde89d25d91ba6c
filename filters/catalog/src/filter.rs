//! What is said of a filter, and of a module.

/// A filter: one plugin of Envoy, whichever module it comes in.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// Its name, as texts and folders have it.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Its page, in its crate's folder: everything that its users must know.
    pub page: &'static str,
    /// Where its configuration, counters and log lines are listed.
    pub reference: Reference,
    /// What it can be in a listener.
    pub places: &'static [Place],
    /// Which proxies and directions it is for.
    pub contexts: &'static [Context],
    /// The root ids that name it.
    pub roots: &'static [Root],
    /// Packages of the modules that it is in.
    pub modules: &'static [&'static str],
    /// The files in `envoy/` that attach it. A file with several filters stands at one of them.
    pub envoy_filters: &'static [EnvoyFilter],
    /// The file in `envoy/` that makes labels of what is in its metrics' names.
    pub bootstrap: Option<&'static str>,
    /// What it counts, as Prometheus shows it.
    pub metrics: &'static [Metric],
    /// Whether the dashboards show what it counts.
    pub dashboards: Dashboards,
    /// End-to-end tests in `e2e/tests/` that run it in Envoy.
    pub tests: &'static [&'static str],
}

/// Where a filter's reference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// In `docs/`: fields in `configuration.md`, counters and log lines in `operations.md`.
    Docs,
    /// On its own page: fields under `## Configuration`, counters under `## Metrics`, log lines anywhere.
    OwnPage,
}

/// What a plugin can be in a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A filter of HTTP requests.
    HttpFilter,
    /// A filter of TCP connections.
    NetworkFilter,
    /// An access logger.
    AccessLogger,
}

/// A kind of proxy and a direction, as EnvoyFilters name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// `SIDECAR_INBOUND`
    Inbound,
    /// `SIDECAR_OUTBOUND`
    Outbound,
    /// `GATEWAY`
    Gateway,
}

/// A root id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// What stands before an end such as `_inbound`, if it has one.
    pub id: &'static str,
    /// What such an end is for.
    pub ends: Ends,
}

/// What the ends `_inbound` and `_outbound` of a root id are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Files do not have them.
    Unused,
    /// They tell plugins apart. The listener tells the filter its direction.
    Named,
    /// They tell the filter its direction.
    Told,
}

/// A file with an EnvoyFilter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvoyFilter {
    /// Its path in `envoy/`.
    pub file: &'static str,
    /// Whether connections may pass without the module, so that it may be fetched (`envoy/kubernetes/remote`).
    pub may_be_fetched: bool,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// Its labels, but for Istio's standard ones.
    pub labels: &'static [&'static str],
}

/// Whether the dashboards show what a filter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dashboards {
    /// Each metric is in a panel of a dashboard in `dashboards/`.
    Shown,
    /// None is, for this reason.
    NotShown(&'static str),
}

/// A module: a file that Envoy loads.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    /// The package that it is built from.
    pub package: &'static str,
    /// The most that it may have, in bytes: 2 % more than it had when this was set. Each proxy compiles and holds it.
    pub budget: usize,
    /// Which ConfigMap a release puts it in.
    pub config_map: ConfigMap,
}

/// A ConfigMap of modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigMap {
    /// `remixer`, which pods mount: what the EnvoyFilters directly in `envoy/` load.
    Default,
    /// `remixer-single`, for those who want single filters: what the files of `envoy/separate/` load.
    Single,
}

impl Filter {
    /// The folder of its crate.
    pub fn folder(&self) -> &'static str {
        self.page.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Its labels besides Istio's, each once.
    pub fn labels(&self) -> Vec<&'static str> {
        let mut labels: Vec<&'static str> = self.metrics.iter().flat_map(|metric| metric.labels).copied().collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// The page that lists its counters and log lines.
    pub fn operations(&self) -> &'static str {
        match self.reference {
            Reference::Docs => OPERATIONS,
            Reference::OwnPage => self.page,
        }
    }
}

/// The page for operators.
pub const OPERATIONS: &str = "docs/operations.md";

impl EnvoyFilter {
    /// One that may be mounted or fetched.
    pub const fn file(file: &'static str) -> Self {
        Self { file, may_be_fetched: true }
    }

    /// One without which a proxy may not take all connections.
    pub const fn mounted_only(file: &'static str) -> Self {
        Self { file, may_be_fetched: false }
    }
}

impl Root {
    /// One whose end tells the direction.
    pub const fn with_direction(id: &'static str) -> Self {
        Self { id, ends: Ends::Told }
    }

    /// One whose end only tells plugins apart.
    pub const fn named(id: &'static str) -> Self {
        Self { id, ends: Ends::Named }
    }

    /// One without such ends.
    pub const fn plain(id: &'static str) -> Self {
        Self { id, ends: Ends::Unused }
    }
}

impl Module {
    /// Its file: the linker names it after the crate, which has no dashes.
    pub fn file(&self) -> String {
        format!("{}.wasm", self.package.replace('-', "_"))
    }
}

impl ConfigMap {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Default, Self::Single];

    /// Its name in Kubernetes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "remixer",
            Self::Single => "remixer-single",
        }
    }
}
