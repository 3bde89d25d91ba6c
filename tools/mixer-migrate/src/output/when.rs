//! When a rule holds in a scene, as conditions of the filters.

use crate::{
    cexl::{Expression, Kind, Operator, Value},
    diagnostic::{Code, Diagnostics},
    scene::Protocol,
    simplify::{self, Condition},
    sources::Sources,
    spec::{Origin, Protocols},
    translate::{Translator, Untranslatable},
};

/// What `connection.event` may be.
const EVENTS: [&str; 3] = ["open", "continue", "close"];

/// When a rule holds in a scene.
#[derive(Debug, Default)]
pub struct When {
    /// The conditions that must all hold.
    pub conditions: Vec<String>,
    /// The event of a connection that it is for, which is the modules' own business; none if it is for all.
    pub event: Option<String>,
}

/// When a rule holds in a scene; none if it never does, or if that cannot be told by the filters.
pub fn when(origin: &Origin, sources: &Sources<'_>, diagnostics: &mut Diagnostics) -> Option<When> {
    let fits = match origin.protocols {
        Protocols::Both => true,
        Protocols::Http => sources.scene().protocol == Protocol::Http,
        Protocols::Tcp => sources.scene().protocol == Protocol::Tcp,
    };
    let Some(compiled) = origin.condition.as_ref().filter(|_| fits) else {
        return fits.then(When::default);
    };
    let left = match simplify::condition(&compiled.expression, sources) {
        Condition::Never => return None,
        Condition::Always => return Some(When::default()),
        Condition::When(left) => left,
    };
    let mut when = When::default();
    for part in conjuncts(&left) {
        if let Some(event) = event(part).filter(|event| !EVENTS.contains(event)) {
            let message =
                format!("connection.event is never {event:?} but one of {}: the rule never matched", EVENTS.join(", "));
            diagnostics.add(Code::NeverSet, &compiled.place, message);
            return None;
        }
        match (event(part), Translator::new(sources).value(part)) {
            (Some(event), _) if when.event.is_none() => when.event = Some(event.to_owned()),
            (_, Ok(text)) => when.conditions.push(text),
            (_, Err(Untranslatable(reason))) => {
                diagnostics.add(Code::NotExpressible, &compiled.place, reason);
                return None;
            }
        }
    }
    Some(when)
}

/// The condition that all of these hold; none if there are none. Each counts once.
pub fn all(conditions: &[String]) -> Option<String> {
    let mut distinct: Vec<&String> = Vec::new();
    for condition in conditions {
        if !distinct.contains(&condition) {
            distinct.push(condition);
        }
    }
    match distinct.as_slice() {
        [] => None,
        // Alone, it needs no brackets.
        [only] => Some((*only).clone()),
        _ => Some(distinct.iter().map(|condition| format!("({condition})")).collect::<Vec<_>>().join(" && ")),
    }
}

/// What `&&` joins.
fn conjuncts(expression: &Expression) -> Vec<&Expression> {
    match &expression.kind {
        Kind::Binary(Operator::And, left, right) => [conjuncts(left), conjuncts(right)].concat(),
        _ => vec![expression],
    }
}

/// The event that a condition asks for: `connection.event == "open"`.
fn event(expression: &Expression) -> Option<&str> {
    let Kind::Binary(Operator::Equal, left, right) = &expression.kind else {
        return None;
    };
    match (&left.kind, &right.kind) {
        (Kind::Attribute(name), Kind::Constant(Value::String(event)))
        | (Kind::Constant(Value::String(event)), Kind::Attribute(name))
            if name == "connection.event" =>
        {
            Some(event)
        }
        _ => None,
    }
}
