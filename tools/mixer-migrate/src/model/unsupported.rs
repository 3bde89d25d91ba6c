//! Kinds, adapters and templates that are not telemetry, and their replacements.

use crate::diagnostic::{Code, Diagnostics, Place};

const AUTHORIZATION: &str = "use an AuthorizationPolicy";
const LIST: &str = "use an AuthorizationPolicy with ipBlocks or values";
const RATE: &str = "use Envoy's local or global rate limiting";
const DROP: &str = "drop it, it checks nothing";
const TRACING: &str = "use Envoy's tracing, or Istio's Telemetry API";
const SCRAPE: &str = "not supported: scrape Prometheus instead";

/// What each one is, and what to use instead.
const UNSUPPORTED: [(&str, &str, &str); 38] = [
    ("denier", "policy", AUTHORIZATION),
    ("rbac", "policy", AUTHORIZATION),
    ("authorization", "policy", AUTHORIZATION),
    ("listchecker", "policy", LIST),
    ("listentry", "policy", LIST),
    ("quota", "policy", RATE),
    ("memquota", "policy", RATE),
    ("redisquota", "policy", RATE),
    ("QuotaSpec", "policy", RATE),
    ("QuotaSpecBinding", "policy", RATE),
    ("opa", "policy", "use Envoy's ext_authz"),
    ("apikey", "policy", "use JWT or Envoy's ext_authz"),
    ("apiKey", "policy", "use JWT or Envoy's ext_authz"),
    ("checknothing", "policy", DROP),
    ("keyval", "policy", "use a header rule of a VirtualService"),
    ("tracespan", "tracing", TRACING),
    ("zipkin", "tracing", TRACING),
    ("stackdriver", "telemetry", SCRAPE),
    ("cloudwatch", "telemetry", SCRAPE),
    ("dogstatsd", "telemetry", SCRAPE),
    ("statsd", "telemetry", SCRAPE),
    ("circonus", "telemetry", SCRAPE),
    ("signalfx", "telemetry", SCRAPE),
    ("solarwinds", "telemetry", SCRAPE),
    ("wavefront", "telemetry", SCRAPE),
    ("newrelic", "telemetry", SCRAPE),
    ("servicecontrol", "telemetry", SCRAPE),
    ("servicecontrolreport", "telemetry", SCRAPE),
    ("edge", "telemetry", SCRAPE),
    ("bypass", "out-of-process", SCRAPE),
    ("noop", "test", SCRAPE),
    ("reportnothing", "telemetry", "drop it, it reports nothing"),
    ("template", "out-of-process", "only compiledAdapter prometheus, stdio, fluentd can be migrated"),
    ("adapter", "out-of-process", "only compiledAdapter prometheus, stdio, fluentd can be migrated"),
    ("HTTPAPISpec", "API", "there is nothing like it: api.* attributes are absent"),
    ("HTTPAPISpecBinding", "API", "there is nothing like it: api.* attributes are absent"),
    ("kubernetes", "attribute", "kubernetes instances are read as compiledTemplate"),
    ("kubernetesenv", "attribute", "kubernetesenv is read as compiledAdapter"),
];

/// Reports an object of a kind that is not migrated.
pub(super) fn kind(kind: &str, place: &Place, diagnostics: &mut Diagnostics) {
    tell("kind", kind, place, diagnostics);
}

/// Reports a handler with an adapter that is not migrated.
pub(super) fn adapter(name: &str, place: &Place, diagnostics: &mut Diagnostics) {
    tell("adapter", name, place, diagnostics);
}

/// Reports an instance with a template that is not migrated.
pub(super) fn template(name: &str, place: &Place, diagnostics: &mut Diagnostics) {
    tell("template", name, place, diagnostics);
}

fn tell(what: &str, name: &str, place: &Place, diagnostics: &mut Diagnostics) {
    let found = UNSUPPORTED.iter().find(|(known, ..)| *known == name);
    let (code, message) = match found {
        Some((_, "out-of-process", instead)) if what == "kind" => {
            (Code::OutOfProcess, format!("{what} {name:?} belongs to out-of-process adapters: {instead}"))
        }
        Some((_, area, instead)) => {
            (Code::Kind, format!("{what} {name:?} (Mixer {area}) has no telemetry equivalent: {instead}."))
        }
        None => (Code::Kind, format!("{what} {name:?} is not known to Mixer; is it spelled right?")),
    };
    diagnostics.add(code, place, message);
}
