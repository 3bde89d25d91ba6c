//! Workloads, services, routes and traffic of a mesh.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Deserialize;

use super::duration;

/// A whole mesh.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Topology {
    /// Name of the mesh; prefix of default service accounts.
    pub name: String,
    /// Default namespace of workloads and services.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// The part of SPIFFE identities after `spiffe://`.
    #[serde(default = "default_trust_domain")]
    pub trust_domain: String,
    /// The workloads, each with one instance.
    pub workloads: Vec<Workload>,
    /// The services.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Tracing settings.
    #[serde(default)]
    pub tracing: Tracing,
    /// Traffic of `remixer mesh`; optional in tests.
    pub traffic: Option<Traffic>,
}

/// The sampling rate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    /// Percentage of the requests without trace headers. Other requests follow their headers.
    pub sampling: f64,
}

/// A workload: one instance of an application, with its sidecar.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Workload {
    /// Name of the deployment; the pod's name is derived from it.
    pub name: String,
    /// Namespace; default: the topology's.
    #[serde(default)]
    pub namespace: String,
    /// Label `app`: the name of the workload's service.
    pub app: String,
    /// Label `version`.
    pub version: Option<String>,
    /// Additional labels, or other values for app, version and Istio's canonical labels. An empty value removes a label.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Service account; default: `<mesh>-<app>`.
    #[serde(default)]
    pub service_account: String,
    /// The pod's address, in 127.0.0.0/8.
    pub address: Ipv4Addr,
    /// Present for an ingress gateway, which has routes and no application.
    pub gateway: Option<Gateway>,
    /// Services that its application calls on each request.
    #[serde(default)]
    pub calls: Vec<String>,
    /// False for a workload outside the mesh: an application without Envoy and without TLS.
    #[serde(default = "yes")]
    pub sidecar: bool,
    /// False if something else, such as a test, listens on the application's port.
    #[serde(default = "yes")]
    pub serve: bool,
    /// Delay of the application's answers.
    #[serde(default, with = "duration")]
    pub latency: Duration,
    /// Some answers are slower.
    pub slow: Option<Slow>,
    /// Some answers are errors.
    pub fail: Option<Fail>,
}

/// An ingress gateway's listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Port for plaintext HTTP from outside.
    pub port: u16,
    /// Routes by path prefix, in order.
    pub routes: Vec<GatewayRoute>,
}

/// One route of a gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayRoute {
    /// Prefix of the path.
    pub prefix: String,
    /// Name of the service.
    pub to: String,
}

/// Every n-th answer is slower.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// The answers whose number is divisible by this.
    pub every: u64,
    /// The additional delay.
    #[serde(with = "duration")]
    pub by: Duration,
}

/// Of every `every` answers, `times` in a row are errors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// The period.
    pub every: u64,
    /// How many answers in a row.
    #[serde(default = "one")]
    pub times: u64,
    /// Their status.
    pub status: u16,
}

/// Protocol of a service's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2, for gRPC.
    Grpc,
    /// Bytes.
    Tcp,
}

/// A service: a name and a port for all workloads with its name as label `app`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Service {
    /// Name: the label `app` of its workloads.
    pub name: String,
    /// Namespace; default: the topology's.
    #[serde(default)]
    pub namespace: String,
    /// Port of the service and of the application.
    pub port: u16,
    /// Protocol on this port.
    pub protocol: Protocol,
    /// True for a service outside the mesh (`istio.external` in its cluster's metadata).
    #[serde(default)]
    pub external: bool,
    /// Subsets by workload labels.
    #[serde(default)]
    pub subsets: BTreeMap<String, BTreeMap<String, String>>,
    /// Routes, in order. Without routes, requests go to all workloads.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Time limit of a request.
    #[serde(default, deserialize_with = "duration::optional")]
    pub timeout: Option<Duration>,
    /// Replaces Istio's default retry policy.
    pub retries: Option<Retries>,
    /// Circuit breaker.
    pub connection_pool: Option<ConnectionPool>,
}

/// A route to subsets of a service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Headers that must have exactly these values.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Weight by subset.
    pub to: BTreeMap<String, u32>,
}

/// A retry policy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// Tries after the first; 0 disables retries.
    pub attempts: u32,
    /// Envoy's `retry_on`.
    pub on: String,
}

/// Limits of a circuit breaker; an absent limit is unlimited.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConnectionPool {
    /// Connections to the service.
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection.
    pub max_pending_requests: Option<u32>,
    /// Requests in flight.
    pub max_requests: Option<u32>,
}

/// Traffic of `remixer mesh` through a gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Traffic {
    /// The gateway workload.
    pub gateway: String,
    /// Requests per second.
    pub per_second: u32,
    /// The mix: request number n is the first entry whose `every` divides n.
    pub mix: Vec<Shot>,
}

/// An entry of the traffic mix.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shot {
    /// This entry is for every n-th request.
    #[serde(default = "one")]
    pub every: u64,
    /// Path.
    pub path: String,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Number of requests at once.
    #[serde(default = "one")]
    pub burst: u64,
}

impl Default for Tracing {
    fn default() -> Self {
        Self { sampling: 1.0 } // Istio's
    }
}

impl Topology {
    /// The same mesh on 127.`network`.x.x.
    pub fn rebase(mut self, network: u8) -> Self {
        for workload in &mut self.workloads {
            let [a, _, c, d] = workload.address.octets();
            workload.address = Ipv4Addr::new(a, network, c, d);
        }
        self
    }

    /// The second byte of its addresses.
    pub fn network(&self) -> u8 {
        self.workloads.first().map_or(1, |w| w.address.octets()[1])
    }

    /// The workload with this name.
    pub fn workload(&self, name: &str) -> Option<&Workload> {
        self.workloads.iter().find(|w| w.name == name)
    }

    /// The service with this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|s| s.name == name)
    }

    /// The workloads of a service.
    pub fn members<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Workload> {
        self.workloads
            .iter()
            .filter(|w| w.app == service.name && w.namespace == service.namespace && w.gateway.is_none())
    }

    /// The workloads in a subset of a service.
    pub fn subset<'a>(&'a self, service: &'a Service, name: &str) -> Vec<&'a Workload> {
        let wanted = service.subsets.get(name);
        self.members(service)
            .filter(|w| {
                let labels = w.all_labels();
                wanted.is_none_or(|wanted| wanted.iter().all(|(k, v)| labels.get(k) == Some(v)))
            })
            .collect()
    }

    /// The services of a workload.
    pub fn services_of<'a>(&'a self, workload: &'a Workload) -> impl Iterator<Item = &'a Service> {
        self.services
            .iter()
            .filter(|s| s.name == workload.app && s.namespace == workload.namespace && workload.gateway.is_none())
    }

    /// The services that a workload sends to: its application's calls, or a gateway's routes.
    pub fn callees<'a>(&'a self, workload: &'a Workload) -> impl Iterator<Item = &'a Service> {
        let routed = workload.gateway.iter().flat_map(|g| g.routes.iter().map(|r| &r.to));
        let mut names: Vec<&String> = workload.calls.iter().chain(routed).collect();
        names.sort();
        names.dedup();
        names.into_iter().filter_map(|name| self.service(name))
    }

    /// Sets the default namespaces and service accounts.
    pub(super) fn fill_defaults(&mut self) {
        for workload in &mut self.workloads {
            if workload.namespace.is_empty() {
                workload.namespace.clone_from(&self.namespace);
            }
            if workload.service_account.is_empty() {
                workload.service_account = format!("{}-{}", self.name, workload.app);
            }
        }
        for service in &mut self.services {
            if service.namespace.is_empty() {
                service.namespace.clone_from(&self.namespace);
            }
        }
    }
}

impl Workload {
    /// Name of its only pod, in the form of a deployment's pods.
    pub fn pod(&self) -> String {
        format!("{}-7d8f6b9c4d-{:05}", self.name, u32::from(self.address.octets()[3]))
    }

    /// Labels of the pod, with Istio's canonical labels.
    pub fn all_labels(&self) -> BTreeMap<String, String> {
        let version = self.version.as_deref().unwrap_or("latest");
        let mut labels = BTreeMap::from([
            ("app".to_owned(), self.app.clone()),
            ("service.istio.io/canonical-name".to_owned(), self.app.clone()),
            ("service.istio.io/canonical-revision".to_owned(), version.to_owned()),
        ]);
        if let Some(version) = &self.version {
            labels.insert("version".to_owned(), version.clone());
        }
        labels.extend(self.labels.clone());
        labels.retain(|_, value| !value.is_empty());
        labels
    }

    /// The identity in its certificate.
    pub fn spiffe(&self, trust_domain: &str) -> String {
        format!("spiffe://{trust_domain}/ns/{}/sa/{}", self.namespace, self.service_account)
    }
}

impl Service {
    /// Full name.
    pub fn host(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.name, self.namespace)
    }

    /// Whether the protocol is HTTP.
    pub fn is_http(&self) -> bool {
        self.protocol != Protocol::Tcp
    }
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn default_trust_domain() -> String {
    "cluster.local".to_owned()
}

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}
