//! The labels of Istio's standard metrics: their names, and the order in which they are written.
//!
//! This is the one list of labels. `stats` fills it in, the bootstrap's `stats_tags` and the table in the README are
//! checked against it. It is generic over what a value is: text, or a number that stands for a text.

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

impl<T: Copy> Labels<T> {
    /// All labels with the same value.
    pub fn all(value: T) -> Self {
        Self {
            reporter: value,
            source: Workload::all(value),
            destination: Workload::all(value),
            service: Service { host: value, name: value, namespace: value },
            request_protocol: value,
            response_flags: value,
            connection_security_policy: value,
            response_code: value,
            grpc_response_status: value,
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
    /// All labels of a workload with the same value.
    pub fn all(value: T) -> Self {
        Self {
            workload: value,
            namespace: value,
            principal: value,
            app: value,
            version: value,
            canonical_service: value,
            canonical_revision: value,
            cluster: value,
        }
    }
}

/// The names of all labels, in order.
pub fn names() -> [&'static str; COUNT] {
    Labels::<()>::default().pairs().map(|(name, ())| name)
}
