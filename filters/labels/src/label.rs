//! The list of labels of Istio's standard metrics, in the order of a stat name.
//!
//! [`Label`] is the only source of their names, order and number: for stats, the access log, the bootstrap's `stats_tags`
//! and the tables in the documentation.

/// A label's value if it is not known.
pub const UNKNOWN: &str = "unknown";

macro_rules! labels {
    ($($label:ident = $name:literal,)*) => {
        /// A label of the standard metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Label {
            $(#[doc = concat!("`", $name, "`")] $label,)*
        }

        /// Number of labels of a request.
        pub const COUNT: usize = [$(Label::$label),*].len();

        impl Label {
            /// All labels, in the order of Istio's stat names.
            pub const ALL: [Self; COUNT] = [$(Self::$label),*];

            /// The label's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$label => $name,)*
                }
            }
        }
    };
}

labels! {
    Reporter = "reporter",
    SourceWorkload = "source_workload",
    SourceWorkloadNamespace = "source_workload_namespace",
    SourcePrincipal = "source_principal",
    SourceApp = "source_app",
    SourceVersion = "source_version",
    SourceCanonicalService = "source_canonical_service",
    SourceCanonicalRevision = "source_canonical_revision",
    SourceCluster = "source_cluster",
    DestinationWorkload = "destination_workload",
    DestinationWorkloadNamespace = "destination_workload_namespace",
    DestinationPrincipal = "destination_principal",
    DestinationApp = "destination_app",
    DestinationVersion = "destination_version",
    DestinationService = "destination_service",
    DestinationServiceName = "destination_service_name",
    DestinationServiceNamespace = "destination_service_namespace",
    DestinationCanonicalService = "destination_canonical_service",
    DestinationCanonicalRevision = "destination_canonical_revision",
    DestinationCluster = "destination_cluster",
    RequestProtocol = "request_protocol",
    ResponseFlags = "response_flags",
    ConnectionSecurityPolicy = "connection_security_policy",
    ResponseCode = "response_code",
    GrpcResponseStatus = "grpc_response_status",
}

/// Number of labels of a TCP connection. They come first in the list.
pub const TCP_COUNT: usize = Label::ResponseCode as usize;
/// Number of labels about source and destination. They come first in the list.
pub const PEER_COUNT: usize = Label::RequestProtocol as usize;

/// One of the two workloads of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The workload that calls.
    Source,
    /// The workload that is called.
    Destination,
}

impl Label {
    /// The label with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.name() == name)
    }

    /// The end whose workload the label describes, by that workload's metadata.
    #[inline(never)]
    pub fn workload_end(self) -> Option<End> {
        match self {
            Self::SourceWorkload
            | Self::SourceWorkloadNamespace
            | Self::SourceApp
            | Self::SourceVersion
            | Self::SourceCanonicalService
            | Self::SourceCanonicalRevision
            | Self::SourceCluster => Some(End::Source),
            Self::DestinationWorkload
            | Self::DestinationWorkloadNamespace
            | Self::DestinationApp
            | Self::DestinationVersion
            | Self::DestinationCanonicalService
            | Self::DestinationCanonicalRevision
            | Self::DestinationCluster => Some(End::Destination),
            Self::Reporter
            | Self::SourcePrincipal
            | Self::DestinationPrincipal
            | Self::DestinationService
            | Self::DestinationServiceName
            | Self::DestinationServiceNamespace
            | Self::RequestProtocol
            | Self::ResponseFlags
            | Self::ConnectionSecurityPolicy
            | Self::ResponseCode
            | Self::GrpcResponseStatus => None,
        }
    }
}

/// The names of all labels, in order.
pub fn names() -> [&'static str; COUNT] {
    Label::ALL.map(Label::name)
}

/// A value for each label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Labels<T>([T; COUNT]);

impl<T: Copy + Default> Labels<T> {
    /// All labels with the same value.
    pub fn all(value: T) -> Self {
        Self([value; COUNT])
    }

    /// Each label with its own value.
    pub fn each(mut value: impl FnMut(Label) -> T) -> Self {
        let mut labels = Self::all(T::default());
        for label in Label::ALL {
            labels.set(label, value(label));
        }
        labels
    }

    /// The value of a label.
    pub fn get(&self, label: Label) -> T {
        // The array has an element for each label.
        self.0.get(label as usize).copied().unwrap_or_default()
    }

    /// Sets the value of a label.
    pub fn set(&mut self, label: Label, value: T) {
        if let Some(place) = self.0.get_mut(label as usize) {
            *place = value;
        }
    }

    /// Keeps the values of the labels in `keep`; all others become `other`.
    pub fn select(&self, keep: &Labels<bool>, other: T) -> Self {
        Self::each(|label| if keep.get(label) { self.get(label) } else { other })
    }

    /// The values, in the order of the labels.
    pub fn values(&self) -> &[T; COUNT] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn each_label_has_one_name() {
        for (label, name) in Label::ALL.into_iter().zip(names()) {
            assert_eq!((label.name(), Label::of_name(name)), (name, Some(label)));
        }
        assert_eq!(*Labels::each(Label::name).values(), names());
        assert_eq!(Label::of_name(""), None);
    }

    #[test]
    fn the_labels_of_connections_and_of_peers_come_first() {
        assert_eq!(names().get(TCP_COUNT..), Some(&["response_code", "grpc_response_status"][..]));
        assert_eq!(names().get(PEER_COUNT - 1), Some(&"destination_cluster"));
    }

    #[test]
    fn what_is_not_kept_is_replaced() {
        let labels = Labels::each(Label::name);
        for kept in Label::ALL {
            let selected = labels.select(&Labels::each(|label| label == kept), "");
            for label in Label::ALL {
                assert_eq!(selected.get(label), if label == kept { label.name() } else { "" });
            }
        }
    }
}
