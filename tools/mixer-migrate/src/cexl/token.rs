//! Tokens, as Go's scanner reads them: comments, raw strings and ends of lines are as in Go.

use super::error::{CompileError, ErrorKind};

/// A token and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind<'a>,
    pub(super) at: usize,
}

/// The kind of a token. Literals are unparsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind<'a> {
    /// A name.
    Name(&'a str),
    /// A reserved word of Go.
    Keyword(&'a str),
    /// A number.
    Number(&'a str),
    /// A string, in double or back quotes.
    Text(&'a str),
    /// A character in single quotes.
    Character(&'a str),
    /// An operator or a bracket.
    Sign(&'static str),
    /// The end of a line after a complete operand. It ends an expression.
    Semicolon,
    /// The end of the text.
    End,
}

const KEYWORDS: [&str; 25] = [
    "break",
    "case",
    "chan",
    "const",
    "continue",
    "default",
    "defer",
    "else",
    "fallthrough",
    "for",
    "func",
    "go",
    "goto",
    "if",
    "import",
    "interface",
    "map",
    "package",
    "range",
    "return",
    "select",
    "struct",
    "switch",
    "type",
    "var",
];

/// Longer signs come first.
const SIGNS: [&str; 46] = [
    "<<=", ">>=", "&^=", "...", "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "&^", "++", "--", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=", ":=", "<-", "+", "-", "*", "/", "%", "&", "|", "^", "<", ">", "=", "!", "~", "(",
    ")", "[", "]", "{", "}", ",", ".",
];

/// The tokens of `text`. The last is [`TokenKind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, CompileError> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut at = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or_default();
        let (kind, length) = match first {
            '\n' => {
                if tokens.last().is_some_and(|token| token.kind.ends_operand()) {
                    tokens.push(Token { kind: TokenKind::Semicolon, at });
                }
                at += 1;
                continue;
            }
            ' ' | '\t' | '\r' => {
                at += 1;
                continue;
            }
            '/' if rest.starts_with("//") => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            '/' if rest.starts_with("/*") => {
                let length = rest.find("*/").ok_or_else(|| refused(at, "the comment is not closed"))? + 2;
                let comment = rest.get(..length).unwrap_or_default();
                if comment.contains('\n') && tokens.last().is_some_and(|token| token.kind.ends_operand()) {
                    tokens.push(Token { kind: TokenKind::Semicolon, at });
                }
                at += length;
                continue;
            }
            '"' | '\'' | '`' => quoted(rest, first, at)?,
            _ if first.is_alphabetic() || first == '_' => {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let word = rest.get(..length).unwrap_or_default();
                let kind = if KEYWORDS.contains(&word) { TokenKind::Keyword(word) } else { TokenKind::Name(word) };
                (kind, length)
            }
            _ if first.is_ascii_digit() || starts_with_fraction(rest) => {
                let length = number_length(rest);
                (TokenKind::Number(rest.get(..length).unwrap_or_default()), length)
            }
            ';' => (TokenKind::Semicolon, 1),
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (TokenKind::Sign(sign), sign.len()),
                None => return Err(refused(at, format!("the character {first:?} is not part of the language"))),
            },
        };
        tokens.push(Token { kind, at });
        at += length;
    }
    // The end of the text also ends a line. Nothing can follow, so it makes no difference.
    tokens.push(Token { kind: TokenKind::End, at });
    Ok(tokens)
}

impl TokenKind<'_> {
    /// Whether Go ends a statement if a line ends after this token.
    fn ends_operand(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Number(_) | Self::Text(_) | Self::Character(_))
            || matches!(self, Self::Sign(")" | "]" | "}" | "++" | "--"))
            || matches!(self, Self::Keyword("break" | "continue" | "fallthrough" | "return"))
    }
}

fn refused(at: usize, message: impl Into<String>) -> CompileError {
    CompileError::new(ErrorKind::Parse, at, message)
}

fn quoted(rest: &str, quote: char, at: usize) -> Result<(TokenKind<'_>, usize), CompileError> {
    let mut escaped = false;
    for (index, character) in rest.char_indices().skip(1) {
        match character {
            '\n' if quote != '`' => break,
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if character == quote => {
                let literal = rest.get(..=index).unwrap_or_default();
                let kind = if quote == '\'' { TokenKind::Character(literal) } else { TokenKind::Text(literal) };
                return Ok((kind, index + 1));
            }
            _ => {}
        }
    }
    Err(refused(at, format!("the text that begins with {quote} is not closed")))
}

fn starts_with_fraction(rest: &str) -> bool {
    let mut bytes = rest.bytes();
    bytes.next() == Some(b'.') && bytes.next().is_some_and(|byte| byte.is_ascii_digit())
}

/// Length of everything in the form of a number, valid or not. The parser checks it as a whole.
fn number_length(rest: &str) -> usize {
    let mut previous = ' ';
    for (index, character) in rest.char_indices() {
        let exponent_sign = matches!(character, '+' | '-') && matches!(previous, 'e' | 'E') && !rest.starts_with("0x");
        if !(character.is_ascii_alphanumeric() || matches!(character, '.' | '_') || exponent_sign) {
            return index;
        }
        previous = character;
    }
    rest.len()
}
