//! Simplifies expressions with the known facts of a scene.

use crate::{
    cexl::{evaluate, Attributes, Expression, Function, Kind, Operator, Type, Value},
    scene::Protocol,
    source::Source,
    sources::Sources,
};

/// The simplified expression in a scene.
#[derive(Clone, Debug, PartialEq)]
pub enum Rest {
    /// An expression, possibly a constant.
    Some(Expression),
    /// It never has a value in the scene: a needed attribute is never sent.
    Nothing,
}

/// No attributes: for constants.
struct NoAttributes;

impl Attributes for NoAttributes {
    fn get(&self, _: &str) -> Option<Value> {
        None
    }
}

/// Simplifies `expression` for a scene. Its result is unchanged.
pub fn simplify(expression: &Expression, sources: &Sources<'_>) -> Rest {
    if sources.scene().protocol == Protocol::Http && expression.names("context.protocol") {
        // For HTTP, the protocol has one of two values. If both give the same result, it need not be checked.
        let cases = ["http", "grpc"].map(|protocol| reduce(expression, sources, Some(protocol)));
        let [first, second] = cases;
        if same(&first, &second) {
            return first;
        }
    }
    reduce(expression, sources, None)
}

/// Whether two results are equal, except for their positions.
fn same(left: &Rest, right: &Rest) -> bool {
    fn equal(left: &Expression, right: &Expression) -> bool {
        let shallow = match (&left.kind, &right.kind) {
            (Kind::Constant(left), Kind::Constant(right)) => left == right,
            (Kind::Attribute(left), Kind::Attribute(right)) => left == right,
            (Kind::Index(..), Kind::Index(..)) | (Kind::Fallback(..), Kind::Fallback(..)) => true,
            (Kind::Binary(left, ..), Kind::Binary(right, ..)) => left == right,
            (Kind::Call(left, _), Kind::Call(right, _)) => left == right,
            _ => false,
        };
        let (left, right) = (left.parts(), right.parts());
        shallow && left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
    }
    match (left, right) {
        (Rest::Some(left), Rest::Some(right)) => equal(left, right),
        (left, right) => left == right,
    }
}

fn reduce(expression: &Expression, sources: &Sources<'_>, protocol: Option<&str>) -> Rest {
    let at = expression.at;
    let reduced = |part: &Expression| reduce(part, sources, protocol);
    let with = |kind| Expression { kind, ty: expression.ty, at };
    match &expression.kind {
        Kind::Constant(_) => Rest::Some(expression.clone()),
        Kind::Attribute(name) => match (name.as_str(), protocol, sources.of(name)) {
            ("context.protocol", Some(protocol), _) => {
                Rest::Some(Expression::constant(Value::String(protocol.to_owned()), at))
            }
            (_, _, Source::Constant(value)) => Rest::Some(Expression::constant(value, at)),
            (_, _, Source::Absent) => Rest::Nothing,
            _ => Rest::Some(expression.clone()),
        },
        Kind::Index(map, key) => match (reduced(map), reduced(key)) {
            (Rest::Some(map), Rest::Some(key)) => constant(with(Kind::Index(Box::new(map), Box::new(key)))),
            _ => Rest::Nothing,
        },
        Kind::Fallback(first, second) => match reduced(first) {
            Rest::Nothing if is_tolerant(first) => reduced(second),
            Rest::Nothing => Rest::Nothing,
            Rest::Some(first) if !may_be_absent(&first, sources) => Rest::Some(first),
            Rest::Some(first) => match reduced(second) {
                Rest::Some(second) => Rest::Some(fallback(first, second, at)),
                Rest::Nothing => Rest::Some(first),
            },
        },
        Kind::Binary(operator @ (Operator::And | Operator::Or), left, right) => {
            logic(*operator, reduced(left), right, reduced(right), &with)
        }
        Kind::Binary(operator, left, right) => match (reduced(left), reduced(right)) {
            (Rest::Some(left), Rest::Some(right)) => {
                constant(with(Kind::Binary(*operator, Box::new(left), Box::new(right))))
            }
            _ => Rest::Nothing,
        },
        Kind::Call(Function::Conditional, arguments) => match arguments.as_slice() {
            [condition, then, otherwise] => match reduced(condition) {
                Rest::Nothing => Rest::Nothing,
                Rest::Some(condition) => match condition.as_constant() {
                    Some(Value::Bool(true)) => reduced(then),
                    Some(_) => reduced(otherwise),
                    None => match (reduced(then), reduced(otherwise)) {
                        (Rest::Some(then), Rest::Some(otherwise)) => {
                            Rest::Some(with(Kind::Call(Function::Conditional, vec![condition, then, otherwise])))
                        }
                        // One branch never has a value: this cannot be simplified.
                        _ => Rest::Some(expression.clone()),
                    },
                },
            },
            _ => Rest::Some(expression.clone()),
        },
        Kind::Call(function, arguments) => {
            let mut left = Vec::with_capacity(arguments.len());
            for argument in arguments {
                match reduced(argument) {
                    Rest::Some(argument) => left.push(argument),
                    Rest::Nothing => return Rest::Nothing,
                }
            }
            constant(with(Kind::Call(*function, left)))
        }
    }
}

/// `first | second`, with further fallbacks only on the right side. The meaning is the same, and it is easier to write.
fn fallback(first: Expression, second: Expression, at: usize) -> Expression {
    let ty = first.ty;
    let (first, second) = match first.kind {
        Kind::Fallback(one, other) => (*one, fallback(*other, second, at)),
        _ => (first, second),
    };
    Expression { kind: Kind::Fallback(Box::new(first), Box::new(second)), ty, at }
}

/// `&&` and `||` with the simplified sides; `right` is not simplified. The left side is always evaluated first.
fn logic(
    operator: Operator,
    left: Rest,
    right: &Expression,
    right_rest: Rest,
    with: &impl Fn(Kind) -> Expression,
) -> Rest {
    let decisive = operator == Operator::Or;
    let Rest::Some(left) = left else {
        return Rest::Nothing;
    };
    match (left.as_constant(), right_rest) {
        (Some(Value::Bool(is)), _) if *is == decisive => Rest::Some(left),
        (Some(_), right) => right,
        (None, Rest::Some(right)) if right.as_constant() == Some(&Value::Bool(!decisive)) => Rest::Some(left),
        (None, Rest::Some(right)) => Rest::Some(with(Kind::Binary(operator, Box::new(left), Box::new(right)))),
        // It has a value only if the left side decides.
        (None, Rest::Nothing) => Rest::Some(with(Kind::Binary(operator, Box::new(left), Box::new(right.clone())))),
    }
}

/// When a rule matches.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Every report of the scene.
    Always,
    /// No report.
    Never,
    /// Reports for which this is true.
    When(Expression),
}

/// The simplified condition of a rule. A condition without a value does not match.
pub fn condition(expression: &Expression, sources: &Sources<'_>) -> Condition {
    if let Kind::Binary(Operator::And, left, right) = &expression.kind {
        return match (condition(left, sources), condition(right, sources)) {
            (Condition::Never, _) | (_, Condition::Never) => Condition::Never,
            (Condition::Always, other) | (other, Condition::Always) => other,
            (Condition::When(left), Condition::When(right)) => Condition::When(Expression {
                kind: Kind::Binary(Operator::And, Box::new(left), Box::new(right)),
                ..expression.clone()
            }),
        };
    }
    match simplify(expression, sources) {
        Rest::Nothing => Condition::Never,
        Rest::Some(rest) => match rest.as_constant() {
            Some(Value::Bool(true)) => Condition::Always,
            Some(_) => Condition::Never,
            None => Condition::When(rest),
        },
    }
}

/// Evaluates an expression with constant parts: the result is a constant, or never a value.
fn constant(expression: Expression) -> Rest {
    if expression.parts().iter().any(|part| part.as_constant().is_none()) {
        return Rest::Some(expression);
    }
    match evaluate(&expression, &NoAttributes) {
        Ok(value) => Rest::Some(Expression { ty: expression.ty, ..Expression::constant(value, expression.at) }),
        Err(_) => Rest::Nothing,
    }
}

/// Whether `|` treats a missing value as absent. For any other expression, it is an error.
fn is_tolerant(expression: &Expression) -> bool {
    matches!(expression.kind, Kind::Attribute(_) | Kind::Index(..) | Kind::Fallback(..))
}

/// Whether the left side of `|` may be absent.
pub(crate) fn may_be_absent(expression: &Expression, sources: &Sources<'_>) -> bool {
    match &expression.kind {
        Kind::Attribute(name) => sources.of(name).may_be_absent(),
        Kind::Index(..) => expression.ty == Type::String,
        Kind::Fallback(_, second) => may_be_absent(second, sources),
        _ => false,
    }
}
