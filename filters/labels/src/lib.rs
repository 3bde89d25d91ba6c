//! The labels of Istio's standard metrics: their names, and the order in which they are written.
//!
//! This is the one list of labels. `stats` fills it in, the bootstrap's `stats_tags` and the table in the README are
//! checked against it. It is generic over what a value is: text, or a number that stands for a text.

pub mod content_type;
pub mod direction;
pub mod facts;
pub mod peer;
pub mod protobuf;
pub mod response_flags;
pub mod service;

/// What a value is when nothing better is known.
pub const UNKNOWN: &str = "unknown";

/// One side of a request: the `source_…` or the `destination_…` labels of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Workload<T> {
    /// `…_workload`
    pub workload: T,
    /// `…_workload_namespace`
    pub namespace: T,
    /// `…_principal`
    pub principal: T,
    /// `…_app`
    pub app: T,
    /// `…_version`
    pub version: T,
    /// `…_canonical_service`
    pub canonical_service: T,
    /// `…_canonical_revision`
    pub canonical_revision: T,
    /// `…_cluster`
    pub cluster: T,
}

/// The service that was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Service<T> {
    /// `destination_service`
    pub host: T,
    /// `destination_service_name`
    pub name: T,
    /// `destination_service_namespace`
    pub namespace: T,
}

/// The values of all labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels<T> {
    /// `reporter`
    pub reporter: T,
    /// `source_…`
    pub source: Workload<T>,
    /// `destination_…`
    pub destination: Workload<T>,
    /// `destination_service…`
    pub service: Service<T>,
    /// `request_protocol`
    pub request_protocol: T,
    /// `response_flags`
    pub response_flags: T,
    /// `connection_security_policy`
    pub connection_security_policy: T,
    /// `response_code`
    pub response_code: T,
    /// `grpc_response_status`
    pub grpc_response_status: T,
}

/// How many labels there are: as many as a request has.
pub const COUNT: usize = 25;
/// The first this many are those of a TCP connection.
pub const TCP_COUNT: usize = 23;
/// The first this many tell who called whom.
pub const PEER_COUNT: usize = 20;

impl<T: Copy> Labels<T> {
    /// All labels with the same value.
    pub fn all(value: T) -> Self {
        Self::by_name(|_| value)
    }

    /// Each label with the value that its name gives.
    pub fn by_name(value: impl Fn(&'static str) -> T) -> Self {
        Self {
            reporter: value("reporter"),
            source: Workload {
                workload: value("source_workload"),
                namespace: value("source_workload_namespace"),
                principal: value("source_principal"),
                app: value("source_app"),
                version: value("source_version"),
                canonical_service: value("source_canonical_service"),
                canonical_revision: value("source_canonical_revision"),
                cluster: value("source_cluster"),
            },
            destination: Workload {
                workload: value("destination_workload"),
                namespace: value("destination_workload_namespace"),
                principal: value("destination_principal"),
                app: value("destination_app"),
                version: value("destination_version"),
                canonical_service: value("destination_canonical_service"),
                canonical_revision: value("destination_canonical_revision"),
                cluster: value("destination_cluster"),
            },
            service: Service {
                host: value("destination_service"),
                name: value("destination_service_name"),
                namespace: value("destination_service_namespace"),
            },
            request_protocol: value("request_protocol"),
            response_flags: value("response_flags"),
            connection_security_policy: value("connection_security_policy"),
            response_code: value("response_code"),
            grpc_response_status: value("grpc_response_status"),
        }
    }

    /// The labels that are to be kept, and `other` in place of the rest.
    pub fn select(&self, keep: &Labels<bool>, other: T) -> Self {
        let pick = |keep: bool, value: T| if keep { value } else { other };
        Self {
            reporter: pick(keep.reporter, self.reporter),
            source: self.source.select(&keep.source, other),
            destination: self.destination.select(&keep.destination, other),
            service: Service {
                host: pick(keep.service.host, self.service.host),
                name: pick(keep.service.name, self.service.name),
                namespace: pick(keep.service.namespace, self.service.namespace),
            },
            request_protocol: pick(keep.request_protocol, self.request_protocol),
            response_flags: pick(keep.response_flags, self.response_flags),
            connection_security_policy: pick(keep.connection_security_policy, self.connection_security_policy),
            response_code: pick(keep.response_code, self.response_code),
            grpc_response_status: pick(keep.grpc_response_status, self.grpc_response_status),
        }
    }

    /// The labels with their names, in the order of Istio's stat names.
    pub fn pairs(&self) -> [(&'static str, T); COUNT] {
        let Labels {
            reporter,
            source,
            destination,
            service,
            request_protocol,
            response_flags,
            connection_security_policy,
            response_code,
            grpc_response_status,
        } = *self;
        [
            ("reporter", reporter),
            ("source_workload", source.workload),
            ("source_workload_namespace", source.namespace),
            ("source_principal", source.principal),
            ("source_app", source.app),
            ("source_version", source.version),
            ("source_canonical_service", source.canonical_service),
            ("source_canonical_revision", source.canonical_revision),
            ("source_cluster", source.cluster),
            ("destination_workload", destination.workload),
            ("destination_workload_namespace", destination.namespace),
            ("destination_principal", destination.principal),
            ("destination_app", destination.app),
            ("destination_version", destination.version),
            ("destination_service", service.host),
            ("destination_service_name", service.name),
            ("destination_service_namespace", service.namespace),
            ("destination_canonical_service", destination.canonical_service),
            ("destination_canonical_revision", destination.canonical_revision),
            ("destination_cluster", destination.cluster),
            ("request_protocol", request_protocol),
            ("response_flags", response_flags),
            ("connection_security_policy", connection_security_policy),
            ("response_code", response_code),
            ("grpc_response_status", grpc_response_status),
        ]
    }
}

impl<T: Copy> Workload<T> {
    fn select(&self, keep: &Workload<bool>, other: T) -> Self {
        let pick = |keep: bool, value: T| if keep { value } else { other };
        Self {
            workload: pick(keep.workload, self.workload),
            namespace: pick(keep.namespace, self.namespace),
            principal: pick(keep.principal, self.principal),
            app: pick(keep.app, self.app),
            version: pick(keep.version, self.version),
            canonical_service: pick(keep.canonical_service, self.canonical_service),
            canonical_revision: pick(keep.canonical_revision, self.canonical_revision),
            cluster: pick(keep.cluster, self.cluster),
        }
    }
}

/// The names of all labels, in order.
pub fn names() -> [&'static str; COUNT] {
    Labels::<()>::default().pairs().map(|(name, ())| name)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn each_label_has_one_name() {
        for (name, by_name) in Labels::by_name(|name| name).pairs() {
            assert_eq!(by_name, name);
        }
    }

    #[test]
    fn what_is_not_kept_is_replaced() {
        let labels = Labels::by_name(|name| name);
        for kept in names() {
            for (name, value) in labels.select(&Labels::by_name(|name| name == kept), "").pairs() {
                assert_eq!(value, if name == kept { name } else { "" });
            }
        }
    }
}
