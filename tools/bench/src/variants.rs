//! What is compared: one table, a line each.

use anyhow::Result;
use host::WarmCalls;
use serde_json::Value;

use crate::assembly;
use crate::native;
use crate::scene::Scene;
use crate::site::Site;

/// Something on a listener whose cost is measured.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// Its name, together with the scene's: `direct/stats`.
    pub name: &'static str,
    /// Where it stands.
    pub scene: Scene,
    /// What it is, in a few words.
    pub about: &'static str,
    /// What it adds to the listener.
    pub parts: &'static [Part],
    /// What must be seen when it works.
    pub proof: Proof,
    /// Whether the quick look has it.
    pub short: bool,
}

/// An addition to a listener.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// One of our modules, by its EnvoyFilter in `envoy/`.
    EnvoyFilter(Module),
    /// Fault injection or shadowing in front of the router, by its root id, with rules none of which is for the requests.
    Rules(&'static str, Module, &'static str),
    /// A module of [`crate::assembly`] in front of the router.
    Empty(&'static str),
    /// The caller on each connection, for what looks for it there.
    CallerOnConnection,
    /// A native filter in front of the router.
    HttpFilter(fn(&Site, Scene) -> Result<Value>),
    /// A native access logger.
    AccessLog(fn(&Site, Scene) -> Result<Value>),
}

/// A module of ours.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    /// The EnvoyFilter's file in `envoy/`.
    pub filter: &'static str,
    /// Its own file in `dist/`.
    pub file: &'static str,
    /// Calls of the host that a warm request takes, if they are known here.
    pub calls: Option<WarmCalls>,
}

/// What shows that a variant does what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Requests are answered; there is no more to see.
    Answers,
    /// Istio's metrics, one for each request, nothing unknown that can be known.
    Metrics,
    /// The same, of the native logger.
    NativeMetrics,
    /// The answer has this header.
    Header(&'static str),
    /// The answer has not this header, which the upstream gave it.
    NoHeader(&'static str),
    /// As many lines were written to access logs.
    Log,
    /// The answer has this header, and there are the metrics.
    HeaderAndMetrics(&'static str),
}

/// Metadata exchange.
pub const METADATA_EXCHANGE: Module = Module {
    filter: "separate/metadata-exchange.yaml",
    file: "metadata_exchange.wasm",
    calls: Some(metadata_exchange::exchange::WARM_CALLS),
};
/// Stats.
pub const STATS: Module =
    Module { filter: "separate/stats.yaml", file: "stats.wasm", calls: Some(stats::stats::WARM_CALLS) };

/// Stats, as an access logger.
pub const STATS_LOGGER: Module = Module { filter: "separate/stats-logger.yaml", ..STATS };
/// Metadata exchange and stats in one pass.
pub const TELEMETRY: Module =
    Module { filter: "telemetry.yaml", file: "remixer.wasm", calls: Some(remixer::telemetry::WARM_CALLS) };

/// The access log, by itself.
pub const ACCESS_LOG: Module = Module {
    filter: "separate/access-log.yaml",
    file: "access_log.wasm",
    calls: Some(access_log::access_log::WARM_CALLS),
};
/// The access log beside [`TELEMETRY`], in the same VM.
pub const ACCESS_LOG_BESIDE: Module = Module { filter: "access-log.yaml", file: "remixer.wasm", ..ACCESS_LOG };

/// [`TELEMETRY`], with Envoy as the one that counts.
pub const TELEMETRY_ENVOY_COUNTS: Module = Module { filter: "envoy-counts/telemetry.yaml", calls: None, ..TELEMETRY };

/// Metadata exchange, stats and the access log in one pass.
pub const TELEMETRY_WITH_LOG: Module = Module {
    filter: "one-pass/telemetry-access-log.yaml",
    calls: Some(remixer::telemetry::WARM_CALLS_WITH_LINE),
    ..TELEMETRY
};

/// Fault injection, with a rule for a header that the requests lack.
pub const FAULT: Module =
    Module { filter: "separate/fault.yaml", file: "fault.wasm", calls: calls(fault::injector::CALLS_WITHOUT_HEADER) };
/// The same, without a rule.
const FAULT_OFF: Module = Module { calls: calls(fault::injector::CALLS_OF_NO_RULE), ..FAULT };
/// The same, with a rule for a header that has another value.
const FAULT_BY_VALUE: Module = Module { calls: calls(fault::injector::CALLS_OF_OTHER_VALUE), ..FAULT };
/// The same, with a rule for another path.
const FAULT_BY_PATH: Module = Module { calls: calls(fault::injector::CALLS_OF_OTHER_PATH), ..FAULT };
/// The same as [`FAULT`], as a filter of the module that has all of them.
const FAULT_OF_ALL: Module = Module { file: "remixer.wasm", ..FAULT };

/// Shadowing, with a rule for a header that the requests lack.
pub const SHADOW: Module =
    Module { filter: "shadow.yaml", file: "shadow.wasm", calls: calls(shadow::mirroring::CALLS_WITHOUT_HEADER) };
/// The same, without a rule.
const SHADOW_OFF: Module = Module { calls: calls(shadow::mirroring::CALLS_OF_NO_RULE), ..SHADOW };
/// The same, with a rule for another path.
const SHADOW_BY_PATH: Module = Module { calls: calls(shadow::mirroring::CALLS_OF_OTHER_PATH), ..SHADOW };

/// As many calls on the way in as on the way out.
const fn calls(number: usize) -> Option<WarmCalls> {
    Some(WarmCalls { inbound: number, outbound: number })
}

/// The modules in [`VARIANTS`], as a proxy has each of them by itself.
pub const MODULES: &[Module] = &[METADATA_EXCHANGE, STATS, ACCESS_LOG, FAULT, SHADOW, TELEMETRY];

/// The name of the variant that is subtracted from the others.
pub const BASELINE: &str = "none";
/// The variants on which new labels are shown.
pub const WITH_BOTH: &str = "hop/telemetry";
/// See [`WITH_BOTH`].
pub const WITH_EXCHANGE: &str = "hop/metadata-exchange";
/// See [`WITH_BOTH`].
pub const WITH_NOTHING: &str = "hop/none";
/// See [`WITH_BOTH`].
pub const WITH_ENVOY_COUNTS: &str = "hop/telemetry-envoy-counts";
/// The name of the variant that ours are compared with.
pub const NATIVE_STATS: &str = "native-stats";

const fn variant(
    scene: Scene,
    name: &'static str,
    about: &'static str,
    parts: &'static [Part],
    proof: Proof,
    short: bool,
) -> Variant {
    Variant { name, scene, about, parts, proof, short }
}

use Part::{AccessLog, CallerOnConnection, Empty, EnvoyFilter, HttpFilter, Rules};
use Scene::{Direct, Hop, Outbound};

const PEER_HEADER: &str = metadata_exchange::wire::METADATA_HEADER;

/// The configuration of a rule with this match.
macro_rules! faults {
    ($match:literal) => {
        concat!(
            r#"{"match": ["#,
            $match,
            r#"], "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}}"#
        )
    };
}

/// The configuration of a mirror with this match.
macro_rules! mirrors {
    ($match:literal) => {
        concat!(r#"{"http": [{"match": ["#, $match, r#"], "mirrors": [{"cluster": "mirror"}]}]}"#)
    };
}

/// What is measured; [`crate::choice`] adds filters of the catalog that are not here. A scene's baseline comes first.
#[rustfmt::skip]
pub const VARIANTS: &[Variant] = &[
    variant(Direct, BASELINE, "no filter but the router", &[CallerOnConnection], Proof::Answers, true),
    variant(Direct, "empty", "a wasm filter that does nothing, called at the end", &[CallerOnConnection, Empty(assembly::EMPTY)], Proof::Answers, true),
    variant(Direct, "empty-headers", "a wasm filter that does nothing, called at the request's headers", &[CallerOnConnection, Empty(assembly::EMPTY_HEADERS)], Proof::Answers, false),
    variant(Direct, "stats", "stats.wasm: 4 metrics, 25 labels", &[CallerOnConnection, EnvoyFilter(STATS)], Proof::Metrics, true),
    variant(Direct, "stats-logger", "stats.wasm as an access logger", &[CallerOnConnection, EnvoyFilter(STATS_LOGGER)], Proof::Metrics, true),
    variant(Direct, NATIVE_STATS, "envoy.access_loggers.stats: the same 4 metrics and 25 labels", &[CallerOnConnection, AccessLog(stats_logger)], Proof::NativeMetrics, true),
    variant(Direct, "metadata-exchange", "metadata_exchange.wasm, a caller outside the mesh", &[CallerOnConnection, EnvoyFilter(METADATA_EXCHANGE)], Proof::Answers, false),
    variant(Direct, "fault-off", "fault.wasm, no rule", &[CallerOnConnection, Rules("fault", FAULT_OFF, "{}")], Proof::Answers, false),
    variant(Direct, "fault", "fault.wasm, a rule for a header that requests lack", &[CallerOnConnection, Rules("fault", FAULT, faults!(r#"{"headers": {"x-bench-fault": {"exact": "yes"}}}"#))], Proof::Answers, true),
    variant(Direct, "fault-remixer", "remixer.wasm as fault, the same rule", &[CallerOnConnection, Rules("fault", FAULT_OF_ALL, faults!(r#"{"headers": {"x-bench-fault": {"exact": "yes"}}}"#))], Proof::Answers, false),
    variant(Direct, "fault-path", "fault.wasm, a rule for another path", &[CallerOnConnection, Rules("fault", FAULT_BY_PATH, faults!(r#"{"uri": {"prefix": "/ratings"}}"#))], Proof::Answers, false),
    variant(Direct, "fault-value", "fault.wasm, a rule for a header that has another value", &[CallerOnConnection, Rules("fault", FAULT_BY_VALUE, faults!(r#"{"headers": {"x-forwarded-proto": {"exact": "https"}}}"#))], Proof::Answers, false),
    variant(Direct, "shadow-off", "shadow.wasm, no rule", &[CallerOnConnection, Rules("shadow", SHADOW_OFF, "{}")], Proof::Answers, false),
    variant(Direct, "shadow", "shadow.wasm, a rule for a header that requests lack", &[CallerOnConnection, Rules("shadow", SHADOW, mirrors!(r#"{"headers": {"x-bench-shadow": {"exact": "yes"}}}"#))], Proof::Answers, true),
    variant(Direct, "shadow-path", "shadow.wasm, a rule for another path", &[CallerOnConnection, Rules("shadow", SHADOW_BY_PATH, mirrors!(r#"{"uri": {"prefix": "/ratings"}}"#))], Proof::Answers, false),
    variant(Direct, "native-fault", "envoy.filters.http.fault, not matching", &[CallerOnConnection, HttpFilter(native::fault)], Proof::Answers, false),
    variant(Direct, "native-json-log", "envoy.access_loggers.file: Istio's 24 JSON fields, to /dev/null", &[CallerOnConnection, AccessLog(native::json_log)], Proof::Log, false),
    variant(Direct, "access-log", "access_log.wasm: 48 JSON fields, to stdout", &[CallerOnConnection, EnvoyFilter(ACCESS_LOG)], Proof::Log, false),
    variant(Direct, "lua", "envoy.filters.http.lua: adds a response header", &[CallerOnConnection, HttpFilter(native::lua)], Proof::Header("x-bench-lua"), false),

    variant(Hop, BASELINE, "Istio's filters alone", &[], Proof::Answers, false),
    variant(Hop, "empty", "a wasm filter that does nothing, called at the end", &[Empty(assembly::EMPTY)], Proof::Answers, false),
    variant(Hop, "empty-headers", "a wasm filter that does nothing, called at the request's headers", &[Empty(assembly::EMPTY_HEADERS)], Proof::Answers, false),
    variant(Hop, "fault", "fault.wasm, a rule for a header that requests lack", &[Rules("fault", FAULT, faults!(r#"{"headers": {"x-bench-fault": {"exact": "yes"}}}"#))], Proof::Answers, false),
    variant(Hop, "shadow", "shadow.wasm, a rule for a header that requests lack", &[Rules("shadow", SHADOW, mirrors!(r#"{"headers": {"x-bench-shadow": {"exact": "yes"}}}"#))], Proof::Answers, false),
    variant(Hop, "native-fault", "envoy.filters.http.fault, not matching", &[HttpFilter(native::fault)], Proof::Answers, false),
    variant(Hop, "metadata-exchange", "metadata_exchange.wasm", &[EnvoyFilter(METADATA_EXCHANGE)], Proof::Header(PEER_HEADER), false),
    variant(Hop, "stats", "stats.wasm, the caller known from its connection", &[CallerOnConnection, EnvoyFilter(STATS)], Proof::Metrics, false),
    variant(Hop, "exchange+stats", "metadata_exchange.wasm and stats.wasm", &[EnvoyFilter(METADATA_EXCHANGE), EnvoyFilter(STATS)], Proof::HeaderAndMetrics(PEER_HEADER), false),
    variant(Hop, "stats-logger", "stats.wasm as an access logger", &[CallerOnConnection, EnvoyFilter(STATS_LOGGER)], Proof::Metrics, false),
    variant(Hop, "telemetry", "remixer.wasm: both in one pass", &[EnvoyFilter(TELEMETRY)], Proof::HeaderAndMetrics(PEER_HEADER), false),
    variant(Hop, "telemetry-envoy-counts", "remixer.wasm: both in one pass, envoy.access_loggers.stats counts", &[EnvoyFilter(TELEMETRY_ENVOY_COUNTS)], Proof::HeaderAndMetrics(PEER_HEADER), false),
    variant(Hop, "telemetry+access-log", "remixer.wasm: both in one pass, and the access log", &[EnvoyFilter(TELEMETRY), EnvoyFilter(ACCESS_LOG_BESIDE)], Proof::HeaderAndMetrics(PEER_HEADER), false),
    variant(Hop, "telemetry-with-log", "remixer.wasm: all three in one pass", &[EnvoyFilter(TELEMETRY_WITH_LOG)], Proof::HeaderAndMetrics(PEER_HEADER), false),
    variant(Hop, "native-json-log", "envoy.access_loggers.file: Istio's 24 JSON fields, to /dev/null", &[AccessLog(native::json_log)], Proof::Log, false),
    variant(Hop, NATIVE_STATS, "envoy.access_loggers.stats, the caller known from its connection", &[AccessLog(stats_logger)], Proof::NativeMetrics, false),

    variant(Outbound, BASELINE, "Istio's filters alone", &[], Proof::Answers, false),
    variant(Outbound, "empty", "a wasm filter that does nothing, called at the end", &[Empty(assembly::EMPTY)], Proof::Answers, false),
    variant(Outbound, "metadata-exchange", "metadata_exchange.wasm", &[EnvoyFilter(METADATA_EXCHANGE)], Proof::NoHeader(PEER_HEADER), false),
    variant(Outbound, "exchange+stats", "metadata_exchange.wasm and stats.wasm", &[EnvoyFilter(METADATA_EXCHANGE), EnvoyFilter(STATS)], Proof::Metrics, false),
    variant(Outbound, "telemetry", "remixer.wasm: both in one pass", &[EnvoyFilter(TELEMETRY)], Proof::Metrics, false),
    variant(Outbound, "telemetry-envoy-counts", "remixer.wasm: both in one pass, envoy.access_loggers.stats counts", &[EnvoyFilter(TELEMETRY_ENVOY_COUNTS)], Proof::Metrics, false),
    variant(Outbound, "telemetry-with-log", "remixer.wasm: all three in one pass", &[EnvoyFilter(TELEMETRY_WITH_LOG)], Proof::Metrics, false),
    variant(Outbound, NATIVE_STATS, "envoy.access_loggers.stats, the callee known from its endpoint", &[AccessLog(stats_logger)], Proof::NativeMetrics, false),
];

fn stats_logger(site: &Site, scene: Scene) -> Result<Value> {
    native::stats_logger(site, scene)
}

impl Variant {
    /// Its full name.
    pub fn id(&self) -> String {
        format!("{}/{}", self.scene.name(), self.name)
    }

    /// Whether it is its scene's baseline.
    pub fn is_baseline(&self) -> bool {
        self.name == BASELINE
    }

    /// Our modules in it.
    pub fn modules(&self) -> impl Iterator<Item = &'static Module> {
        self.parts.iter().filter_map(|part| match part {
            EnvoyFilter(module) | Rules(_, module, _) => Some(module),
            _ => None,
        })
    }

    /// Calls of the host per warm request; None without a module of ours.
    pub fn calls(&self) -> Option<usize> {
        let calls = |module: &Module| match self.scene {
            Outbound => module.calls.map(|calls| calls.outbound),
            Direct | Hop => module.calls.map(|calls| calls.inbound),
        };
        self.modules().next()?;
        self.modules().map(calls).sum()
    }

    /// Whether a name on the command line means it: `stats` in every scene, or `hop/stats`, or `hop` for a whole scene.
    pub fn is_meant(&self, wanted: &str) -> bool {
        wanted == self.name || wanted == self.id() || wanted == self.scene.name()
    }
}

/// What else is measured, by the name that asks for it.
pub const EXTRAS: [(&str, &str); 4] = [
    (NEW_LABELS, "CPU time of the first request of a new set of labels, by the expressions in the bootstrap"),
    (SERIES, "10,000 series: memory, and a scrape; memory of a connection"),
    (IDLE, "memory of an idle proxy, and time until it is ready, with each module and with all"),
    (LATENCY, "latency through two sidecars at 1,000 requests/s, with the filters and without"),
];
/// See [`EXTRAS`].
pub const NEW_LABELS: &str = "new-labels";
/// See [`EXTRAS`].
pub const SERIES: &str = "series";
/// See [`EXTRAS`].
pub const IDLE: &str = "idle";
/// See [`EXTRAS`].
pub const LATENCY: &str = "latency";
