//! Converts a rule's condition in a scene to conditions of the filters.

use crate::{
    cexl::{Expression, Kind, Operator, Value},
    diagnostic::{Code, Diagnostics},
    scene::Protocol,
    simplify::{self, Condition},
    sources::Sources,
    spec::{Origin, Protocols},
    translate::{Translator, Untranslatable},
};

/// The possible values of `connection.event`.
const EVENTS: [&str; 3] = ["open", "continue", "close"];

/// When a rule matches in a scene.
#[derive(Debug, Default)]
pub struct When {
    /// Conditions that must all hold.
    pub conditions: Vec<String>,
    /// The connection event, which the modules handle themselves; `None` for all events.
    pub event: Option<String>,
}

/// When a rule matches in a scene. `None` if it never does, or if the filters cannot evaluate it.
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

/// The condition that all of these hold, without duplicates; `None` if there are none.
pub fn all(conditions: &[String]) -> Option<String> {
    let mut distinct: Vec<&String> = Vec::new();
    for condition in conditions {
        if !distinct.contains(&condition) {
            distinct.push(condition);
        }
    }
    match distinct.as_slice() {
        [] => None,
        // A single condition needs no brackets.
        [only] => Some((*only).clone()),
        _ => Some(distinct.iter().map(|condition| format!("({condition})")).collect::<Vec<_>>().join(" && ")),
    }
}

/// The operands of `&&`.
fn conjuncts(expression: &Expression) -> Vec<&Expression> {
    match &expression.kind {
        Kind::Binary(Operator::And, left, right) => [conjuncts(left), conjuncts(right)].concat(),
        _ => vec![expression],
    }
}

/// The event in a condition such as `connection.event == "open"`.
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
