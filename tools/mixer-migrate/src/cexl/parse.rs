//! The grammar: that of Go's expressions. [`super::check`] then accepts what Mixer accepted.
//!
//! Binary operators by precedence, lowest first: `||`; `&&`; comparisons; `|` and `+`. So `a | "x" == "y"` is a comparison.

use super::{
    error::{short, CompileError, ErrorKind},
    literal,
    token::{tokens, Token, TokenKind},
    value::Value,
};

/// Deepest nesting. Nobody writes deeper expressions, and code that walks a tree needs stack for each level.
const MAX_DEPTH: usize = 200;

/// An expression before its types are known.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) at: usize,
    depth: usize,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    Constant(Value),
    /// A dotted name.
    Attribute(String),
    /// Any operator, by its sign.
    Binary(&'static str, Box<Node>, Box<Node>),
    Unary(&'static str),
    Index(Box<Node>, Box<Node>),
    /// A function by its name, optionally as a method of a receiver.
    Call {
        function: String,
        receiver: Option<Box<Node>>,
        arguments: Vec<Node>,
    },
}

/// Parses `text`.
pub(super) fn parse(text: &str) -> Result<Node, CompileError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, next: 0, depth: 0 };
    let node = parser.binary(1)?;
    let mut rest = parser.peek();
    if rest.kind == TokenKind::Semicolon && text.get(rest.at..).is_some_and(|text| text.starts_with(['\n', '/'])) {
        parser.next += 1;
        rest = parser.peek();
        if rest.kind != TokenKind::End {
            return Err(refused(rest.at, "a line ended before this, and with it the expression: put the operator at the end of the line before, or all on one line"));
        }
    }
    match rest.kind {
        TokenKind::End => Ok(node),
        kind => Err(refused(rest.at, format!("the expression has ended, but {} follows", describe(kind)))),
    }
}

struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    next: usize,
    depth: usize,
}

impl<'a> Parser<'_, 'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.next).or(self.tokens.last()).copied().unwrap_or(Token { kind: TokenKind::End, at: 0 })
    }

    fn advance(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek().kind, TokenKind::Sign(next) if next == sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str, what_for: &str) -> Result<(), CompileError> {
        let token = self.peek();
        if self.take(sign) {
            return Ok(());
        }
        Err(refused(token.at, format!("{} stands where {sign} is needed {what_for}", describe(token.kind))))
    }

    /// Operators with at least the precedence `minimum`.
    fn binary(&mut self, minimum: u8) -> Result<Node, CompileError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_deep(self.peek().at));
        }
        let mut left = self.unary()?;
        loop {
            let token = self.peek();
            let Some((sign, binding)) = binding(token.kind).filter(|(_, binding)| *binding >= minimum) else {
                self.depth -= 1;
                return Ok(left);
            };
            self.next += 1;
            let right = self.binary(binding + 1)?;
            let depth = left.depth.max(right.depth) + 1;
            left = node(NodeKind::Binary(sign, Box::new(left), Box::new(right)), token.at, depth)?;
        }
    }

    fn unary(&mut self) -> Result<Node, CompileError> {
        let token = self.peek();
        let TokenKind::Sign(sign @ ("+" | "-" | "!" | "^" | "&" | "*" | "<-" | "~")) = token.kind else {
            return self.postfix();
        };
        // None of them is part of CEXL. The operand is parsed to distinguish a wrong operator from wrong syntax.
        while matches!(self.peek().kind, TokenKind::Sign("+" | "-" | "!" | "^" | "&" | "*" | "<-" | "~")) {
            self.next += 1;
        }
        self.postfix()?;
        node(NodeKind::Unary(sign), token.at, 1)
    }

    fn postfix(&mut self) -> Result<Node, CompileError> {
        let mut left = self.primary()?;
        loop {
            let token = self.peek();
            if self.take("[") {
                let key = self.binary(1)?;
                self.expect("]", "to close the index")?;
                let depth = left.depth.max(key.depth) + 1;
                left = node(NodeKind::Index(Box::new(left), Box::new(key)), token.at, depth)?;
            } else if self.take(".") {
                left = self.member(left)?;
            } else if matches!(token.kind, TokenKind::Sign("(")) {
                left = match left.kind {
                    NodeKind::Attribute(name) => self.call(name, left.at)?,
                    _ => return Err(refused(token.at, "only a function can be called")),
                };
            } else {
                return Ok(left);
            }
        }
    }

    /// The part after a dot: more of an attribute's name, or a method.
    fn member(&mut self, left: Node) -> Result<Node, CompileError> {
        let token = self.advance();
        let TokenKind::Name(name) = token.kind else {
            return Err(refused(token.at, format!("{} stands where a name is needed", describe(token.kind))));
        };
        if matches!(self.peek().kind, TokenKind::Sign("(")) {
            let arguments = self.arguments()?;
            let depth = arguments.iter().map(|argument| argument.depth).max().unwrap_or(0).max(left.depth) + 1;
            let call = NodeKind::Call { function: name.to_owned(), receiver: Some(Box::new(left)), arguments };
            return node(call, token.at, depth);
        }
        match left.kind {
            NodeKind::Attribute(mut path) => {
                path.push('.');
                path.push_str(name);
                node(NodeKind::Attribute(path), left.at, 1)
            }
            _ => Err(refused(token.at, format!(".{name} is no attribute: nothing but functions can follow here"))),
        }
    }

    fn call(&mut self, function: String, at: usize) -> Result<Node, CompileError> {
        let arguments = self.arguments()?;
        let depth = arguments.iter().map(|argument| argument.depth).max().unwrap_or(0) + 1;
        // A dotted name before the bracket would be a method.
        node(NodeKind::Call { function, receiver: None, arguments }, at, depth)
    }

    fn arguments(&mut self) -> Result<Vec<Node>, CompileError> {
        self.expect("(", "before arguments")?;
        let mut arguments = Vec::new();
        while !self.take(")") {
            arguments.push(self.binary(1)?);
            if !self.take(",") {
                self.expect(")", "to close the arguments")?;
                break;
            }
        }
        Ok(arguments)
    }

    fn primary(&mut self) -> Result<Node, CompileError> {
        let token = self.advance();
        let constant = |value: Result<Value, String>| {
            node(NodeKind::Constant(value.map_err(|message| refused(token.at, message))?), token.at, 1)
        };
        match token.kind {
            TokenKind::Number(text) => constant(literal::number(text)),
            TokenKind::Text(text) | TokenKind::Character(text) => constant(literal::text(text)),
            TokenKind::Name(name) if name.eq_ignore_ascii_case("true") => constant(Ok(Value::Bool(true))),
            TokenKind::Name(name) if name.eq_ignore_ascii_case("false") => constant(Ok(Value::Bool(false))),
            TokenKind::Name(name) => node(NodeKind::Attribute(name.to_owned()), token.at, 1),
            TokenKind::Sign("(") => {
                let inner = self.binary(1)?;
                self.expect(")", "to close the bracket")?;
                Ok(inner)
            }
            TokenKind::End => Err(refused(token.at, "an operand is missing at the end")),
            kind => Err(refused(token.at, format!("{} stands where an operand is needed", describe(kind)))),
        }
    }
}

fn node(kind: NodeKind, at: usize, depth: usize) -> Result<Node, CompileError> {
    if depth > MAX_DEPTH {
        return Err(too_deep(at));
    }
    Ok(Node { kind, at, depth })
}

fn too_deep(at: usize) -> CompileError {
    refused(at, format!("more than {MAX_DEPTH} operators are nested here; split the expression"))
}

/// Precedence of a binary operator, including Go's operators that CEXL does not have.
fn binding(kind: TokenKind<'_>) -> Option<(&'static str, u8)> {
    let TokenKind::Sign(sign) = kind else {
        return None;
    };
    let binding = match sign {
        "||" => 1,
        "&&" => 2,
        "==" | "!=" | "<" | "<=" | ">" | ">=" => 3,
        "+" | "-" | "|" | "^" => 4,
        "*" | "/" | "%" | "<<" | ">>" | "&" | "&^" => 5,
        _ => return None,
    };
    Some((sign, binding))
}

fn refused(at: usize, message: impl Into<String>) -> CompileError {
    CompileError::new(ErrorKind::Parse, at, message)
}

fn describe(kind: TokenKind<'_>) -> String {
    match kind {
        TokenKind::Name(text) | TokenKind::Number(text) | TokenKind::Text(text) | TokenKind::Character(text) => {
            short(text).to_owned()
        }
        TokenKind::Keyword(word) => format!("the reserved word {word}"),
        TokenKind::Sign(sign) => sign.to_owned(),
        TokenKind::Semicolon => "the end of a line or ;".to_owned(),
        TokenKind::End => "the end".to_owned(),
    }
}
