//! The cluster or route of a stream, and the service behind it.

use host::property;
use host::Host;

/// Istio's cluster for blocked traffic to unknown services.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// Istio's cluster for allowed traffic to unknown services.
pub const PASSTHROUGH: &str = "PassthroughCluster";

/// Istio's clusters for inbound traffic to unknown ports.
const INBOUND_PASSTHROUGH: [&str; 3] =
    ["InboundPassthroughCluster", "InboundPassthroughClusterIpv4", "InboundPassthroughClusterIpv6"];

/// Istio's routes for such traffic, if there is no cluster.
const BLOCK_ALL_ROUTE: &[u8] = b"block_all";
const ALLOW_ANY_ROUTE: &[u8] = b"allow_any";

/// The cluster of the stream; `None` if Envoy answers itself.
pub fn cluster(host: &impl Host) -> Option<Vec<u8>> {
    host.property(property::CLUSTER_NAME)
}

/// The route of the stream.
pub fn route(host: &impl Host) -> Option<Vec<u8>> {
    host.property(property::ROUTE_NAME)
}

/// Whether Istio's name of the cluster means that it is outside the mesh.
pub fn is_outside(cluster: &[u8]) -> bool {
    [BLACK_HOLE, PASSTHROUGH].iter().any(|name| name.as_bytes() == cluster)
}

/// Whether Istio's name of the cluster means that it is the proxy's own application.
pub fn is_inbound(cluster: &[u8]) -> bool {
    cluster.starts_with(b"inbound|") || INBOUND_PASSTHROUGH.iter().any(|name| name.as_bytes() == cluster)
}

/// The service of a cluster. `None` if the cluster does not name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterService {
    /// Full host name.
    pub host: Option<String>,
    /// Short name.
    pub name: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
}

impl ClusterService {
    /// The service in the metadata of the current stream's cluster, which Istio's control plane writes. Without metadata,
    /// the host is taken from Istio's cluster name, `direction|port|subset|host`.
    pub fn of_cluster(host: &impl Host, name: &[u8]) -> Self {
        let is_outside = is_outside(name);
        let name = core::str::from_utf8(name).unwrap_or_default();
        if is_outside || INBOUND_PASSTHROUGH.contains(&name) {
            return Self { name: Some(name.into()), ..Self::default() };
        }
        let service = Self {
            host: host.text(property::CLUSTER_SERVICE_HOST),
            name: host.text(property::CLUSTER_SERVICE_NAME),
            namespace: host.text(property::CLUSTER_SERVICE_NAMESPACE),
        };
        let mut parts = name.split('|');
        match (&service.host, parts.by_ref().take(3).count(), parts.next(), parts.next()) {
            (None, 3, Some(service_host), None) if !service_host.is_empty() => {
                let Self { host, name, namespace } = Self::of_host(service_host);
                Self { host, name: service.name.or(name), namespace: service.namespace.or(namespace) }
            }
            _ => service,
        }
    }

    /// A service by its host name. The host names of Kubernetes contain the short name and the namespace.
    fn of_host(host: &str) -> Self {
        let short = host.split_once(".svc.").and_then(|(service, _)| service.split_once('.'));
        let (name, namespace) = short.unzip();
        Self { host: Some(host.into()), name: name.map(Into::into), namespace: namespace.map(Into::into) }
    }

    /// The further services of the current stream's cluster: those of a workload that several services select.
    pub fn further(host: &impl Host) -> Vec<Self> {
        let hosts = property::CLUSTER_FURTHER_HOSTS.iter().map_while(|path| host.text(*path));
        hosts.map(|host| Self::of_host(&host)).collect()
    }

    /// The service for the route's name, if there is no cluster.
    pub fn of_route(name: Option<&[u8]>) -> Self {
        let name = match name {
            Some(BLOCK_ALL_ROUTE) => Some(BLACK_HOLE.into()),
            Some(ALLOW_ANY_ROUTE) => Some(PASSTHROUGH.into()),
            _ => None,
        };
        Self { name, ..Self::default() }
    }
}

/// The name of a host in the form in which it is compared: in lower case, without dots at its end, also before a port. For DNS, all
/// forms are the same host.
#[inline(never)]
pub(crate) fn compared(mut host: Vec<u8>) -> Vec<u8> {
    host.make_ascii_lowercase();
    let colon = host.iter().rposition(|byte| !byte.is_ascii_digit());
    let end = colon.filter(|colon| host.get(*colon) == Some(&b':')).unwrap_or(host.len());
    let dots = host.iter().take(end).rev().take_while(|byte| **byte == b'.').count();
    if dots > 0 {
        let port = host.split_off(end);
        host.truncate(end.saturating_sub(dots));
        host.extend_from_slice(&port);
    }
    host
}

/// The host of the service in the server name that Istio's clients send with mutual TLS, `outbound_.port_.subset_.host`.
pub fn called(server_name: &[u8]) -> Option<&str> {
    let name = core::str::from_utf8(server_name).ok()?.strip_prefix("outbound_.")?;
    name.splitn(3, "_.").nth(2)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use host::fake::FakeHost;

    #[test]
    fn a_cluster_s_metadata_comes_before_its_name() {
        let mut host = FakeHost::new();
        let of = |host: &FakeHost, name: &str| {
            let service = ClusterService::of_cluster(host, name.as_bytes());
            [service.host, service.name, service.namespace].map(Option::unwrap_or_default)
        };
        assert_eq!(of(&host, "outbound|80|v1|a.b.svc.cluster.local"), ["a.b.svc.cluster.local", "a", "b"]);
        assert_eq!(of(&host, "outbound|80||example.com"), ["example.com", "", ""]);
        assert_eq!(of(&host, "inbound|80||"), ["", "", ""]);
        assert_eq!(of(&host, PASSTHROUGH), ["", PASSTHROUGH, ""]);
        host.with_text(property::CLUSTER_SERVICE_HOST, "c.d.svc").with_text(property::CLUSTER_SERVICE_NAME, "c");
        assert_eq!(of(&host, "outbound|80|v1|a.b.svc.cluster.local"), ["c.d.svc", "c", ""]);
    }

    #[test]
    fn a_server_name_of_istio_names_the_service() {
        for (name, expected) in [
            ("outbound_.80_._.web.shop.svc.cluster.local", Some("web.shop.svc.cluster.local")),
            ("outbound_.80_.v1_.web.shop.svc.cluster.local", Some("web.shop.svc.cluster.local")),
            ("outbound_.80_._.", Some("")),
            ("outbound_.80_.web", None),
            ("web.shop.svc.cluster.local", None),
        ] {
            assert_eq!(called(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(called(b"outbound_.80_._.\xff"), None);
    }

    #[test]
    fn all_forms_of_a_host_are_one() {
        for (host, expected) in [
            ("api.partner.example", "api.partner.example"),
            ("API.Partner.Example", "api.partner.example"),
            ("api.partner.example.", "api.partner.example"),
            ("a.example..", "a.example"),
            ("a.example.:8080", "a.example:8080"),
            ("a.example:8080", "a.example:8080"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("10.0.0.1", "10.0.0.1"),
            ("[FE80::1]:80", "[fe80::1]:80"),
            ("[fe80::1]", "[fe80::1]"),
            ("80", "80"),
            (":80", ":80"),
            (".", ""),
            ("", ""),
        ] {
            assert_eq!(compared(host.into()), expected.as_bytes(), "{host}");
        }
    }

    #[test]
    fn routes_without_cluster_say_why() {
        for (name, expected) in
            [(Some(&b"block_all"[..]), Some(BLACK_HOLE)), (Some(b"allow_any"), Some(PASSTHROUGH)), (None, None)]
        {
            assert_eq!(ClusterService::of_route(name).name.as_deref(), expected);
        }
    }
}
