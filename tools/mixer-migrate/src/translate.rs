//! Converts Mixer's expressions to CEL over Envoy's attributes, with the same results.
//!
//! | Mixer | CEL |
//! |---|---|
//! | `a \| b` | `has(a) ? a : b`: CEL has no fallback, but can check whether an attribute exists |
//! | `m["k"]` without fallback | `'k' in m ? m['k'] : ''` |
//! | `a && b`, `a \|\| b` | `a ? b : false`, `a ? true : b` if one side can fail: CEL's own operators do not fail where Mixer's did |
//! | `match(t, "p*")` | `t.startsWith('p')` |
//! | `"re".matches(t)` | `t.matches('re')` |
//! | `size(t)` | `size(bytes(t))` |
//!
//! A whole expression can also be a value that only a module can compute; see [`Alternative::Known`].

mod cel;

use crate::{
    cexl::{Expression, Kind, Type, Value},
    source::Source,
    sources::Sources,
};

pub use cel::{literal, Translator, Untranslatable};

/// How the filters compute a value: the first alternative with a value, else `otherwise`.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// The type of the value.
    pub ty: Type,
    /// The alternatives, in order.
    pub alternatives: Vec<Alternative>,
    /// The value if no alternative has one.
    pub otherwise: Option<Value>,
    /// The same as one expression, if that is possible.
    pub whole: Option<String>,
    /// The condition that there is a value; `None` if there always is. Without a value, Mixer dropped the report.
    pub defined: Option<String>,
}

/// One possible source of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Alternative {
    /// A value that the modules know by this name.
    Known(&'static str),
    /// An expression.
    Cel(String),
}

/// The values that the modules know, by Mixer's names. They are names of the access log's fields; many are also labels.
const KNOWN: [(&str, &str); 26] = [
    ("connection.duration", "connectionDuration"),
    ("connection.event", "connectionEvent"),
    ("connection.received.bytes", "receivedBytes"),
    ("connection.received.bytes_total", "totalReceivedBytes"),
    ("connection.sent.bytes", "sentBytes"),
    ("connection.sent.bytes_total", "totalSentBytes"),
    ("context.protocol", "request_protocol"),
    ("context.proxy_error_code", "response_flags"),
    ("context.time", "end_time"),
    ("destination.ip", "destination_ip"),
    ("destination.namespace", "destination_workload_namespace"),
    ("destination.principal", "destinationPrincipal"),
    ("destination.service", "destination_service"),
    ("destination.service.host", "destination_service"),
    ("destination.service.name", "destination_service_name"),
    ("destination.service.namespace", "destination_service_namespace"),
    ("destination.workload.name", "destination_workload"),
    ("destination.workload.namespace", "destination_workload_namespace"),
    ("origin.ip", "source_ip"),
    ("response.time", "end_time"),
    ("source.ip", "source_ip"),
    ("source.namespace", "source_workload_namespace"),
    ("source.principal", "sourcePrincipal"),
    ("source.user", "sourcePrincipal"),
    ("source.workload.name", "source_workload"),
    ("source.workload.namespace", "source_workload_namespace"),
];

/// The modules' name for an attribute.
pub fn known(attribute: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(name, _)| *name == attribute).map(|(_, known)| *known)
}

/// How the filters compute the value of `expression`, which is simplified.
pub fn value(expression: &Expression, sources: &Sources<'_>) -> Result<Made, Untranslatable> {
    let translator = Translator::new(sources);
    let whole = translator.value(expression);
    let defined = translator.defined(expression).unwrap_or(None);
    let made = |alternatives, otherwise, whole| Made {
        ty: expression.ty,
        alternatives,
        otherwise,
        whole,
        defined: defined.clone(),
    };
    match chain(expression, sources, true) {
        Some((alternatives, otherwise)) => Ok(made(alternatives, otherwise, whole.ok())),
        None => whole.map(|whole| made(vec![Alternative::Cel(whole.clone())], None, Some(whole))),
    }
}

/// The alternatives of a chain of fallbacks, if each one is simple enough. `last`: nothing follows the chain.
fn chain(expression: &Expression, sources: &Sources<'_>, last: bool) -> Option<(Vec<Alternative>, Option<Value>)> {
    match &expression.kind {
        Kind::Constant(value) => Some((Vec::new(), Some(value.clone()))),
        Kind::Attribute(name) => match sources.of(name) {
            Source::Constant(value) => Some((Vec::new(), Some(value))),
            Source::Absent => None,
            Source::Module { default, .. } => Some((vec![Alternative::Known(known(sources.meaning(name))?)], default)),
            Source::Path(path) if path.module => {
                Some((vec![Alternative::Known(known(sources.meaning(name))?)], path.default))
            }
            Source::Path(path) if is_plain(&path.value) || path.present.is_none() => {
                Some((vec![Alternative::Cel(cel::bare(&path.value))], path.default))
            }
            Source::Path(_) => None,
        },
        Kind::Index(map, key) => {
            let (Kind::Attribute(name), Some(Value::String(key))) = (&map.kind, key.as_constant()) else {
                return None;
            };
            match sources.of(name) {
                Source::Path(path) if is_plain(&path.value) => {
                    let value = format!("{}[{}]", path.value, literal(&Value::String(key.clone())));
                    // Without a fallback, a missing key gives an empty text.
                    Some((vec![Alternative::Cel(value)], last.then(|| Value::String(String::new()))))
                }
                _ => None,
            }
        }
        Kind::Fallback(first, second) => {
            let (mut alternatives, otherwise) = chain(first, sources, false)?;
            if otherwise.is_some() {
                return Some((alternatives, otherwise));
            }
            let (more, otherwise) = chain(second, sources, last)?;
            alternatives.extend(more);
            Some((alternatives, otherwise))
        }
        _ => None,
    }
}

/// Whether it is only a name, so that it is absent if the named value is.
fn is_plain(value: &str) -> bool {
    !value.contains([' ', '(', '+', '?'])
}
