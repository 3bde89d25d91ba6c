//! A validated `EnvoyFilter`.

use std::{collections::BTreeMap, path::PathBuf};

use regex::Regex;
use serde_json::Value;

/// An enum whose values have names in YAML.
pub(crate) trait Named: Copy + 'static {
    /// All names and their values.
    const ALL: &'static [(&'static str, Self)];
}

macro_rules! named {
    ($(#[$about:meta])* $type:ident { $($(#[$doc:meta])* $value:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type { $($(#[$doc])* $value,)* }

        impl Named for $type {
            const ALL: &'static [(&'static str, Self)] = &[$(($name, $type::$value),)*];
        }

        impl $type {
            /// Its name in YAML.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$value => $name,)* }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use named;

named! {
    /// What a patch changes.
    ApplyTo {
        /// A listener.
        Listener = "LISTENER",
        /// A filter chain of a listener.
        FilterChain = "FILTER_CHAIN",
        /// A listener filter.
        ListenerFilter = "LISTENER_FILTER",
        /// A filter in a filter chain.
        NetworkFilter = "NETWORK_FILTER",
        /// A filter in an HTTP connection manager.
        HttpFilter = "HTTP_FILTER",
        /// A route configuration.
        RouteConfiguration = "ROUTE_CONFIGURATION",
        /// A virtual host of a route configuration.
        VirtualHost = "VIRTUAL_HOST",
        /// A route of a virtual host.
        HttpRoute = "HTTP_ROUTE",
        /// A cluster.
        Cluster = "CLUSTER",
        /// The bootstrap.
        Bootstrap = "BOOTSTRAP",
        /// An extension configuration. Proxies fetch it by name, if a filter has `config_discovery`.
        ExtensionConfig = "EXTENSION_CONFIG",
    }
}

named! {
    /// How a patch changes its target.
    Operation {
        /// Merge the value into the existing one.
        Merge = "MERGE",
        /// The same, but lists are replaced (Istio 1.31 and later).
        MergeAndReplaceList = "MERGE_AND_REPLACE_LIST",
        /// Append the value.
        Add = "ADD",
        /// Remove the existing value.
        Remove = "REMOVE",
        /// Insert the value before the matched item, or at the beginning if no item is named.
        InsertBefore = "INSERT_BEFORE",
        /// Insert the value after the matched item, or at the end if no item is named.
        InsertAfter = "INSERT_AFTER",
        /// Insert the value at the beginning.
        InsertFirst = "INSERT_FIRST",
        /// Replace the matched item by the value.
        Replace = "REPLACE",
    }
}

named! {
    /// The proxies and directions that a patch is for.
    PatchContext {
        /// All of them.
        Any = "ANY",
        /// Inbound listeners and clusters of sidecars.
        SidecarInbound = "SIDECAR_INBOUND",
        /// Outbound listeners and clusters of sidecars.
        SidecarOutbound = "SIDECAR_OUTBOUND",
        /// Gateways.
        Gateway = "GATEWAY",
    }
}

named! {
    /// What a route does, in `match.routeConfiguration.vhost.route.action`.
    RouteAction {
        /// Anything.
        Any = "ANY",
        /// Forward to a cluster.
        Route = "ROUTE",
        /// Redirect.
        Redirect = "REDIRECT",
        /// Answer from Envoy itself.
        DirectResponse = "DIRECT_RESPONSE",
    }
}

/// The context of an object in a proxy's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Traffic to the sidecar's own workload.
    SidecarInbound,
    /// Traffic from the sidecar's own workload.
    SidecarOutbound,
    /// Anything in a gateway.
    Gateway,
}

impl PatchContext {
    /// Whether a patch with this context applies to an object in `context`.
    pub fn includes(self, context: Context) -> bool {
        match self {
            PatchContext::Any => true,
            PatchContext::SidecarInbound => context == Context::SidecarInbound,
            PatchContext::SidecarOutbound => context == Context::SidecarOutbound,
            PatchContext::Gateway => context == Context::Gateway,
        }
    }
}

/// One resource.
#[derive(Debug, Clone)]
pub struct EnvoyFilter {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`; default: `default`, as in kubectl.
    pub namespace: String,
    /// `spec.workloadSelector.labels`; empty selects every workload.
    pub workload_selector: BTreeMap<String, String>,
    /// `spec.priority`; lower values are applied first.
    pub priority: i32,
    /// `spec.configPatches`.
    pub patches: Vec<Patch>,
    /// Its file.
    pub file: PathBuf,
}

/// One item of `spec.configPatches`.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The target.
    pub apply_to: ApplyTo,
    /// The operation.
    pub operation: Operation,
    /// `match.context`.
    pub context: PatchContext,
    /// The value; null for `REMOVE`.
    pub value: Value,
    /// The first line of the patch.
    pub line: u64,
    pub(crate) proxy: ProxyMatch,
    pub(crate) object: ObjectMatch,
}

/// `match.proxy`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProxyMatch {
    pub(crate) version: Option<Regex>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// The object that a patch applies to.
#[derive(Debug, Clone)]
pub(crate) enum ObjectMatch {
    Any,
    Listener(ListenerMatch),
    RouteConfiguration(RouteConfigurationMatch),
    Cluster(ClusterMatch),
}

/// `match.listener`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListenerMatch {
    pub(crate) name: Option<String>,
    pub(crate) port: Option<u32>,
    pub(crate) listener_filter: Option<String>,
    pub(crate) filter_chain: Option<FilterChainMatch>,
}

/// `match.listener.filterChain`.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilterChainMatch {
    pub(crate) name: Option<String>,
    pub(crate) sni: Option<String>,
    pub(crate) transport_protocol: Option<String>,
    pub(crate) application_protocols: Vec<String>,
    pub(crate) destination_port: Option<u32>,
    pub(crate) filter: Option<String>,
    pub(crate) sub_filter: Option<String>,
}

/// `match.routeConfiguration`.
#[derive(Debug, Clone, Default)]
pub(crate) struct RouteConfigurationMatch {
    pub(crate) name: Option<String>,
    pub(crate) port: Option<u32>,
    pub(crate) port_name: Option<String>,
    pub(crate) gateway: Option<String>,
    pub(crate) vhost: Option<VirtualHostMatch>,
}

/// `match.routeConfiguration.vhost`.
#[derive(Debug, Clone, Default)]
pub(crate) struct VirtualHostMatch {
    pub(crate) name: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) route: Option<RouteMatch>,
}

/// `match.routeConfiguration.vhost.route`.
#[derive(Debug, Clone)]
pub(crate) struct RouteMatch {
    pub(crate) name: Option<String>,
    pub(crate) action: RouteAction,
}

/// `match.cluster`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterMatch {
    pub(crate) name: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) subset: Option<String>,
    pub(crate) port: Option<u32>,
}

impl Patch {
    pub(crate) fn listener(&self) -> Option<&ListenerMatch> {
        match &self.object {
            ObjectMatch::Listener(listener) => Some(listener),
            _ => None,
        }
    }

    pub(crate) fn filter_chain(&self) -> Option<&FilterChainMatch> {
        self.listener()?.filter_chain.as_ref()
    }

    pub(crate) fn route_configuration(&self) -> Option<&RouteConfigurationMatch> {
        match &self.object {
            ObjectMatch::RouteConfiguration(routes) => Some(routes),
            _ => None,
        }
    }

    pub(crate) fn virtual_host(&self) -> Option<&VirtualHostMatch> {
        self.route_configuration()?.vhost.as_ref()
    }

    pub(crate) fn cluster(&self) -> Option<&ClusterMatch> {
        match &self.object {
            ObjectMatch::Cluster(cluster) => Some(cluster),
            _ => None,
        }
    }

    pub(crate) fn is_merge(&self) -> bool {
        matches!(self.operation, Operation::Merge | Operation::MergeAndReplaceList)
    }
}
