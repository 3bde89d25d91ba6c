//! The attributes: those of Mixer 1.0 to 1.4, and those in the input's manifests.

use std::collections::BTreeMap;

use crate::{
    cexl::{Type, Vocabulary},
    names,
};

use Type::{Bool, Duration, Int64, IpAddress, String as Text, StringMap, Timestamp};

/// Mixer's own attributes, in all releases from 1.0 to 1.4.
pub const BUILT_IN: [(&str, Type); 92] = [
    ("api.operation", Text),
    ("api.protocol", Text),
    ("api.service", Text),
    ("api.version", Text),
    ("check.cache_hit", Bool),
    ("check.error_code", Int64),
    ("check.error_message", Text),
    ("connection.duration", Duration),
    ("connection.event", Text),
    ("connection.id", Text),
    ("connection.mtls", Bool),
    ("connection.received.bytes", Int64),
    ("connection.received.bytes_total", Int64),
    ("connection.requested_server_name", Text),
    ("connection.sent.bytes", Int64),
    ("connection.sent.bytes_total", Int64),
    ("context.protocol", Text),
    ("context.proxy_error_code", Text),
    ("context.proxy_version", Text),
    ("context.reporter.kind", Text),
    ("context.reporter.local", Bool),
    ("context.reporter.uid", Text),
    ("context.time", Timestamp),
    ("context.timestamp", Timestamp),
    ("destination.container.name", Text),
    ("destination.ip", IpAddress),
    ("destination.labels", StringMap),
    ("destination.metadata", StringMap),
    ("destination.name", Text),
    ("destination.namespace", Text),
    ("destination.owner", Text),
    ("destination.port", Int64),
    ("destination.principal", Text),
    ("destination.service", Text),
    ("destination.service.host", Text),
    ("destination.service.name", Text),
    ("destination.service.namespace", Text),
    ("destination.service.uid", Text),
    ("destination.serviceAccount", Text),
    ("destination.uid", Text),
    ("destination.workload.name", Text),
    ("destination.workload.namespace", Text),
    ("destination.workload.uid", Text),
    ("origin.ip", IpAddress),
    ("origin.uid", Text),
    ("origin.user", Text),
    ("quota.cache_hit", Bool),
    ("rbac.permissive.effective_policy_id", Text),
    ("rbac.permissive.response_code", Text),
    ("request.api_key", Text),
    ("request.auth.audiences", Text),
    ("request.auth.claims", StringMap),
    ("request.auth.presenter", Text),
    ("request.auth.principal", Text),
    ("request.auth.raw_claims", Text),
    ("request.headers", StringMap),
    ("request.host", Text),
    ("request.id", Text),
    ("request.method", Text),
    ("request.path", Text),
    ("request.query_params", StringMap),
    ("request.reason", Text),
    ("request.referer", Text),
    ("request.scheme", Text),
    ("request.size", Int64),
    ("request.time", Timestamp),
    ("request.total_size", Int64),
    ("request.url_path", Text),
    ("request.useragent", Text),
    ("response.code", Int64),
    ("response.duration", Duration),
    ("response.grpc_message", Text),
    ("response.grpc_status", Text),
    ("response.headers", StringMap),
    ("response.size", Int64),
    ("response.time", Timestamp),
    ("response.total_size", Int64),
    ("source.ip", IpAddress),
    ("source.labels", StringMap),
    ("source.metadata", StringMap),
    ("source.name", Text),
    ("source.namespace", Text),
    ("source.owner", Text),
    ("source.principal", Text),
    ("source.service", Text),
    ("source.serviceAccount", Text),
    ("source.services", Text),
    ("source.uid", Text),
    ("source.user", Text),
    ("source.workload.name", Text),
    ("source.workload.namespace", Text),
    ("source.workload.uid", Text),
];

/// Whether an attribute is Mixer's own.
pub fn is_built_in(attribute: &str) -> bool {
    BUILT_IN.iter().any(|(name, _)| *name == attribute)
}

/// The attributes that expressions can use.
#[derive(Clone, Debug)]
pub struct Attributes {
    types: BTreeMap<String, Type>,
}

impl Default for Attributes {
    fn default() -> Self {
        Self { types: BUILT_IN.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect() }
    }
}

impl Attributes {
    /// Declares an attribute. The error is the type that it already has.
    pub fn declare(&mut self, name: &str, ty: Type) -> Result<(), Type> {
        match self.types.get(name) {
            Some(known) if *known != ty => Err(*known),
            _ => {
                self.types.insert(name.to_owned(), ty);
                Ok(())
            }
        }
    }
}

impl Vocabulary for Attributes {
    fn attribute_type(&self, name: &str) -> Option<Type> {
        self.types.get(name).copied()
    }

    fn nearest(&self, name: &str) -> Option<String> {
        names::nearest(name, self.types.keys().map(String::as_str)).map(str::to_owned)
    }
}
