//! Remarks about attributes, for every use of them.

use crate::{
    cexl::{Expression, Kind, Value},
    diagnostic::{Code, Diagnostics, Place},
    model::{Compiled, Defaults, Model},
    scene::{Protocol, Scene, Side, SCENES},
    simplify::{self, Condition},
    source::Source,
    sources::Sources,
    spec::Origin,
};

/// Labels of workloads that metadata exchange sends by default.
const EXCHANGED: [&str; 4] =
    ["app", "version", "service.istio.io/canonical-name", "service.istio.io/canonical-revision"];

/// Attributes with an unlimited number of values.
const ENDLESS: [&str; 10] = [
    "connection.id",
    "context.time",
    "request.path",
    "request.query_params",
    "request.referer",
    "request.time",
    "request.url_path",
    "request.useragent",
    "response.duration",
    "response.time",
];

/// Adds remarks about expressions with this origin in these scenes: about its `values`, and about the `others`.
pub fn expressions<'c>(
    origin: &'c Origin,
    values: impl Iterator<Item = &'c Compiled> + Clone,
    others: impl Iterator<Item = &'c Compiled> + Clone,
    scenes: &[Scene],
    model: &Model,
    diagnostics: &mut Diagnostics,
) {
    let all = values.clone().chain(others);
    for compiled in all.clone() {
        attributes(compiled, model, diagnostics);
    }
    if scenes.is_empty() {
        nothing(origin, all, model, diagnostics);
    } else {
        tcp_peer(&origin.place, scenes, values, diagnostics);
    }
}

/// Adds remarks about the attributes of an expression.
fn attributes(compiled: &Compiled, model: &Model, diagnostics: &mut Diagnostics) {
    compiled.expression.walk(&mut |part| {
        if let Kind::Attribute(name) = &part.kind {
            if let Some((code, message)) = about(name) {
                let message = match model.defaults.of(name) {
                    Some(default) if name == "destination.container.name" => {
                        format!("{message}; it will always be \"{default}\" (the kubernetesenv default)")
                    }
                    _ => message.to_owned(),
                };
                diagnostics.add(code, &compiled.place, message);
            }
        }
        if let Kind::Attribute(name) = &part.kind {
            if SCENES.iter().all(|scene| Sources::new(*scene, model).is_lost(name)) {
                let message = format!(
                    "{name} is an attribute of the input's own manifest: what made it in Mixer (an adapter, or a proxy) is \
                     gone, and it is always absent"
                );
                diagnostics.add(Code::NotObtainable, &compiled.place, message);
            }
        }
        if let Some(label) = label(part) {
            if !EXCHANGED.contains(&label) {
                let message = format!(
                    "label {label:?} of the other side is known only if metadata exchange sends it: add it to \
                     additional_labels there"
                );
                diagnostics.add(Code::MoreLabels, &compiled.place, message);
            }
        }
    });
}

/// Warns if a metric's label can have an unlimited number of values.
pub fn cardinality(label: &str, compiled: &Compiled, diagnostics: &mut Diagnostics) {
    compiled.expression.walk(&mut |part| {
        if let Kind::Attribute(name) = &part.kind {
            if ENDLESS.contains(&name.as_str()) {
                let query = if name == "request.path" { ", with the query string" } else { "" };
                let message = format!(
                    "label {label} is {name}{query}: clients can make series without end. Envoy never removes them; \
                     max_series ends it. Leave the label out, or make few values of it with conditional()"
                );
                diagnostics.add(Code::Cardinality, &compiled.place, message);
            }
        }
    });
}

/// Remarks, if it matters, that only metadata exchange identifies TCP callers.
fn tcp_peer<'c>(
    place: &Place,
    scenes: &[Scene],
    expressions: impl Iterator<Item = &'c Compiled>,
    diagnostics: &mut Diagnostics,
) {
    let is_tcp_in = |scene: &Scene| scene.side == Side::Inbound && scene.protocol == Protocol::Tcp;
    let mut uses = expressions.filter(|compiled| uses_source(&compiled.expression));
    if scenes.iter().any(is_tcp_in) && uses.next().is_some() {
        let message =
            "Mixer found the source of a TCP connection by its address; now it is known where both sides take part \
                       in metadata exchange over TCP";
        diagnostics.add(Code::TcpPeer, place, message);
    }
}

/// Reports why nothing is written for this origin, unless another diagnostic does.
fn nothing<'c>(
    origin: &'c Origin,
    expressions: impl Iterator<Item = &'c Compiled> + Clone,
    model: &Model,
    diagnostics: &mut Diagnostics,
) {
    let mut places = expressions.clone().map(|compiled| &compiled.place).chain([&origin.place]);
    if places.any(|place| diagnostics.has_told(place)) {
        return;
    }
    let all = SCENES.map(|scene| Sources::new(scene, model));
    let holds = |sources: &&Sources<'_>| {
        let never = |compiled: &Compiled| simplify::condition(&compiled.expression, sources) == Condition::Never;
        !origin.condition.as_ref().is_some_and(never)
    };
    let live: Vec<&Sources<'_>> = all.iter().filter(holds).collect();
    let absent = if live.is_empty() {
        absent(&origin.condition.iter().collect::<Vec<_>>(), &all.iter().collect::<Vec<_>>())
    } else {
        absent(&expressions.collect::<Vec<_>>(), &live)
    };
    if absent.is_empty() {
        let message = "the rule's match never holds: nothing is written, and Mixer reported nothing";
        diagnostics.add(Code::Unfed, &origin.place, message);
    } else {
        let message = format!(
            "nothing is written: where the rule matches, {} has no value and nothing stands for it",
            absent.join(" or ")
        );
        diagnostics.add(Code::NeverSet, &origin.place, message);
    }
}

/// The attributes without a value in one of these scenes.
fn absent(expressions: &[&Compiled], scenes: &[&Sources<'_>]) -> Vec<String> {
    let mut absent: Vec<String> = Vec::new();
    for compiled in expressions {
        compiled.expression.walk(&mut |part| {
            if let Kind::Attribute(name) = &part.kind {
                let never = scenes.iter().any(|sources| sources.of(name) == Source::Absent);
                if never && !absent.contains(name) {
                    absent.push(name.clone());
                }
            }
        });
    }
    absent
}

/// Whether an expression uses attributes of kubernetesenv.
pub fn uses_kubernetes(expression: &Expression) -> bool {
    let mut found = false;
    expression.walk(&mut |part| {
        if let Kind::Attribute(name) = &part.kind {
            found |= Defaults::default().of(name).is_some();
        }
    });
    found
}

/// Whether an expression uses values that only the peer of a TCP connection knows.
fn uses_source(expression: &Expression) -> bool {
    let mut found = false;
    expression.walk(&mut |part| {
        found |= matches!(&part.kind, Kind::Attribute(name) if name.starts_with("source.") && name != "source.principal" && name != "source.user");
    });
    found
}

/// The workload label in an expression.
fn label(part: &Expression) -> Option<&str> {
    match &part.kind {
        Kind::Index(map, key) => match (&map.kind, key.as_constant()) {
            (Kind::Attribute(name), Some(Value::String(key))) if name.ends_with(".labels") => Some(key),
            _ => None,
        },
        _ => None,
    }
}

fn about(attribute: &str) -> Option<(Code, &'static str)> {
    Some(match attribute {
        "source.service" => (
            Code::SourceService,
            "source.service was set by nobody since 1.0, and its fallback was always taken; write source.workload.name to \
             name the caller",
        ),
        "source.services" | "source.metadata" | "destination.metadata" | "origin.uid" | "origin.user"
        | "context.reporter.local" | "context.timestamp" | "request.reason" => {
            (Code::NeverSet, "this attribute was never set: its fallback is always taken, as in Mixer")
        }
        "request.id" => (
            Code::NeverSetNote,
            "request.id was never sent, and its fallback is taken as in Mixer; write request.headers[\"x-request-id\"] to \
             get the id",
        ),
        "destination.container.name" => (Code::NotObtainable, "destination.container.name needs the pod's spec"),
        "source.serviceAccount" | "destination.serviceAccount" => {
            (
                Code::NotObtainable,
                "the service account is known of the proxy's own workload only; of the other side it is always what \
                 kubernetesenv says of a stranger. source.principal ends with that of a caller",
            )
        }
        "api.service" | "api.version" | "api.operation" => {
            (Code::NotObtainable, "api attributes came from HTTPAPISpecs, which are gone: it is always absent")
        }
        "check.error_code" | "check.error_message" | "check.cache_hit" | "quota.cache_hit" => {
            (Code::NotObtainable, "there is no policy server any more: it is always absent")
        }
        "request.api_key" => (
            Code::NotObtainable,
            "request.api_key was not sent by 1.4 and is absent, as there; write request.headers[\"x-api-key\"] for a key \
             in that header",
        ),
        "request.query_params" => {
            (Code::NotObtainable, "the filters do not take the query apart: it is always absent; match request.path instead")
        }
        "request.auth.raw_claims" => {
            (Code::RawClaims, "the token's claims are not written again: it is always absent; name single ones by request.auth.claims")
        }
        "request.auth.audiences" => (Code::NotObtainable, "audiences are a list in Envoy's metadata: it is always absent"),
        "request.auth.principal" | "request.auth.presenter" | "request.auth.claims" => (
            Code::Approximate,
            "it comes from the token that Envoy's jwt_authn verified, which must write it to metadata as `payload`; claims \
             that are no texts are absent",
        ),
        "destination.service" => {
            (Code::Alias, "destination.service is the older name of destination.service.host, and is taken as that")
        }
        "request.scheme" => {
            (Code::Scheme, "request.scheme is https where sidecars use mutual TLS; Mixer said http there")
        }
        "connection.id" => (Code::Approximate, "connection.id is Envoy's number; Mixer's began with a UUID"),
        "request.total_size" => {
            (Code::Approximate, "request.total_size also counts headers that Envoy added")
        }
        "response.headers" => (Code::Approximate, "response.headers does not hold trailers, as it did in Mixer"),
        "origin.ip" | "source.ip" => (
            Code::Approximate,
            "the address is that of the downstream connection; where x-forwarded-for is trusted, it is what that says",
        ),
        _ => return None,
    })
}
