//! Checks types as Mixer's compiler did.

use super::{
    error::{CompileError, ErrorKind},
    expression::{Expression, Kind, Operator},
    function::{Function, Signature, SIGNATURES},
    parse::{Node, NodeKind},
    value::{Type, Value},
};

/// The known attributes.
pub trait Vocabulary {
    /// The type of an attribute; `None` if no manifest declares it.
    fn attribute_type(&self, name: &str) -> Option<Type>;
    /// The attribute with the most similar name, if one is similar enough.
    fn nearest(&self, name: &str) -> Option<String>;
}

/// Finds the type of each part.
pub(super) fn check(node: &Node, vocabulary: &impl Vocabulary) -> Result<Expression, CompileError> {
    let at = node.at;
    let typed = |kind, ty| Ok(Expression { kind, ty, at });
    match &node.kind {
        NodeKind::Constant(value) => Ok(Expression::constant(value.clone(), at)),
        NodeKind::Attribute(name) => match vocabulary.attribute_type(name) {
            Some(ty) => typed(Kind::Attribute(name.clone()), ty),
            None => Err(unknown_attribute(name, at, vocabulary)),
        },
        NodeKind::Unary(sign) => Err(unknown_operator(sign, at)),
        NodeKind::Binary("|", left, right) => fallback(check(left, vocabulary)?, check(right, vocabulary)?, at),
        NodeKind::Binary(sign, left, right) => {
            let Some((_, operator)) = Operator::ALL.iter().find(|(known, _)| known == sign) else {
                return Err(unknown_operator(sign, at));
            };
            binary(*operator, check(left, vocabulary)?, check(right, vocabulary)?, at)
        }
        NodeKind::Index(map, key) => {
            let (map, key) = (check(map, vocabulary)?, check(key, vocabulary)?);
            if map.ty != Type::StringMap {
                return Err(wrong(map.at, format!("[...] needs a STRING_MAP before it, this is {}", map.ty)));
            }
            if key.ty != Type::String {
                return Err(wrong(key.at, format!("a key must be STRING, this is {}{}", key.ty, as_duration(&key))));
            }
            typed(Kind::Index(Box::new(map), Box::new(key)), Type::String)
        }
        NodeKind::Call { function, receiver, arguments } => {
            let signature = signature(function, receiver.is_some(), at)?;
            let given = receiver.iter().map(AsRef::as_ref).chain(arguments);
            let arguments = given.map(|node| check(node, vocabulary)).collect::<Result<Vec<_>, _>>()?;
            call(signature, arguments, at)
        }
    }
}

fn fallback(left: Expression, right: Expression, at: usize) -> Result<Expression, CompileError> {
    if left.ty != right.ty {
        return Err(disagree("|", &left, &right, at));
    }
    let miscompiled = match &left.kind {
        Kind::Binary(operator, ..) => Some(operator.sign()),
        Kind::Call(Function::Size, _) => Some("size()"),
        _ => None,
    };
    if let Some(what) = miscompiled {
        let message = format!(
            "left of | stands {what}: Mixer never took its result but always returned the right side; rewrite with \
             conditional()"
        );
        return Err(CompileError::new(ErrorKind::OrOperand, at, message));
    }
    Ok(Expression { ty: left.ty, kind: Kind::Fallback(Box::new(left), Box::new(right)), at })
}

fn binary(operator: Operator, left: Expression, right: Expression, at: usize) -> Result<Expression, CompileError> {
    use Type::{Bool, Double, Duration, Int64, String, StringMap, Timestamp};
    if left.ty != right.ty {
        return Err(disagree(operator.sign(), &left, &right, at));
    }
    let fits = match operator {
        Operator::Equal | Operator::NotEqual => !matches!(left.ty, Duration | StringMap),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            matches!(left.ty, String | Int64 | Double | Timestamp)
        }
        Operator::And | Operator::Or => left.ty == Bool,
        Operator::Add => matches!(left.ty, String | Int64 | Double),
    };
    if !fits {
        return Err(wrong(at, format!("operator \"{}\" is not defined for {}", operator.sign(), left.ty)));
    }
    let ty = if operator == Operator::Add { left.ty } else { Bool };
    Ok(Expression { kind: Kind::Binary(operator, Box::new(left), Box::new(right)), ty, at })
}

fn signature(name: &str, method: bool, at: usize) -> Result<&'static Signature, CompileError> {
    let unknown = |message: String| CompileError::new(ErrorKind::UnknownFunction, at, message);
    match SIGNATURES.iter().find(|signature| signature.name == name) {
        Some(signature) if signature.method == method => Ok(signature),
        Some(signature) if signature.method => {
            Err(unknown(format!("function \"{name}\" is called as a method: x.{name}(y)")))
        }
        Some(_) => Err(unknown(format!("function \"{name}\" is not called as a method: write {name}(x, ...)"))),
        None => {
            let name: String = name.chars().take(60).collect();
            let cel = if name == "reverse" { " (CEL runtime only)" } else { "" };
            Err(unknown(format!("function \"{name}\" does not exist in CEXL{cel}")))
        }
    }
}

fn call(signature: &'static Signature, arguments: Vec<Expression>, at: usize) -> Result<Expression, CompileError> {
    let name = signature.name;
    // Mixer accepted additional arguments, and then computed wrong values.
    if arguments.len() != signature.arguments.len() {
        let (needs, given) = (signature.arguments.len(), arguments.len());
        return Err(wrong(at, format!("{name}() takes {needs} arguments, not {given}")));
    }
    let mut shared: Option<&Expression> = None;
    for (argument, expected) in arguments.iter().zip(signature.arguments) {
        match (expected, shared) {
            (Some(expected), _) if argument.ty != *expected => {
                let message =
                    format!("{name}() takes {expected} here, this is {}{}", argument.ty, as_duration(argument));
                return Err(wrong(argument.at, message));
            }
            (None, Some(first)) if first.ty != argument.ty => {
                let hint = [as_duration(first), as_duration(argument)].concat();
                let message = format!("{name}() has {} and {} to choose from{hint}", first.ty, argument.ty);
                return Err(wrong(argument.at, message));
            }
            (None, None) => shared = Some(argument),
            _ => {}
        }
    }
    let ty = signature.returns.or(shared.map(|argument| argument.ty)).unwrap_or(Type::String);
    Ok(Expression { kind: Kind::Call(signature.function, arguments), ty, at })
}

fn wrong(at: usize, message: String) -> CompileError {
    CompileError::new(ErrorKind::Type, at, message)
}

fn disagree(sign: &str, left: &Expression, right: &Expression, at: usize) -> CompileError {
    let hint = [as_duration(left), as_duration(right)].concat();
    let text = |side: &Expression| match side.as_constant() {
        Some(Value::String(text)) if text.chars().count() < 40 => format!("{text:?} "),
        Some(Value::Int64(number)) => format!("{number} "),
        _ => String::new(),
    };
    let convert = if left.ty == Type::Int64 && right.as_constant().is_some_and(|value| value.ty() == Type::String) {
        "; write a number without quotes"
    } else {
        ""
    };
    wrong(
        at,
        format!(
            "operator \"{sign}\": left {}is {}, right {}is {}{hint}{convert}",
            text(left),
            left.ty,
            text(right),
            right.ty
        ),
    )
}

/// Why a text became a duration.
fn as_duration(expression: &Expression) -> &'static str {
    match expression.as_constant() {
        Some(Value::Duration(0)) => " (Mixer reads \"0\" and the like as a duration; write \"\" or another text)",
        Some(Value::Duration(_)) => " (Mixer reads texts such as \"5s\" as durations; write another text)",
        _ => "",
    }
}

fn unknown_attribute(name: &str, at: usize, vocabulary: &impl Vocabulary) -> CompileError {
    let shown: String = name.chars().take(80).collect();
    let nearest = match vocabulary.nearest(name) {
        Some(nearest) => format!("; nearest: \"{nearest}\""),
        None => String::new(),
    };
    let message = format!("attribute \"{shown}\" is in no attributemanifest{nearest}");
    CompileError::new(ErrorKind::UnknownAttribute, at, message)
}

fn unknown_operator(sign: &str, at: usize) -> CompileError {
    let hint = match sign {
        "!" => "; write \"x == false\"",
        "-" => "; there are no negative numbers and no differences",
        _ => "",
    };
    CompileError::new(ErrorKind::UnknownFunction, at, format!("operator \"{sign}\" is not part of CEXL{hint}"))
}
