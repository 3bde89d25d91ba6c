//! Expressions with correct types.

use super::{
    function::Function,
    value::{Type, Value},
};

/// An expression with a known type.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// Its kind.
    pub kind: Kind,
    /// The type of its result.
    pub ty: Type,
    /// Its position in the text, in bytes.
    pub at: usize,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A literal.
    Constant(Value),
    /// An attribute by its dotted name.
    Attribute(String),
    /// `map[key]`
    Index(Box<Expression>, Box<Expression>),
    /// `first | second`: the second if the first is absent.
    Fallback(Box<Expression>, Box<Expression>),
    /// Any other operator.
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// A function. A method's receiver is the first argument.
    Call(Function, Vec<Expression>),
}

/// Operators except `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `+`
    Add,
}

impl Operator {
    pub(super) const ALL: [(&'static str, Self); 9] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
        ("&&", Self::And),
        ("||", Self::Or),
        ("+", Self::Add),
    ];

    /// Its sign.
    pub fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(_, operator)| *operator == self).map_or("", |(sign, _)| sign)
    }
}

impl Expression {
    /// A constant at the position `at`.
    pub fn constant(value: Value, at: usize) -> Self {
        Self { ty: value.ty(), kind: Kind::Constant(value), at }
    }

    /// Its value, if it is a literal.
    pub fn as_constant(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it uses an attribute.
    pub fn names(&self, attribute: &str) -> bool {
        let mut found = false;
        self.walk(&mut |part| found |= matches!(&part.kind, Kind::Attribute(name) if name == attribute));
        found
    }

    /// Its parts.
    pub fn parts(&self) -> Vec<&Expression> {
        match &self.kind {
            Kind::Constant(_) | Kind::Attribute(_) => Vec::new(),
            Kind::Index(first, second) | Kind::Fallback(first, second) | Kind::Binary(_, first, second) => {
                vec![first, second]
            }
            Kind::Call(_, arguments) => arguments.iter().collect(),
        }
    }

    /// Calls `visit` for this expression and all its parts.
    pub fn walk<'e>(&'e self, visit: &mut dyn FnMut(&'e Expression)) {
        visit(self);
        for part in self.parts() {
            part.walk(visit);
        }
    }
}
