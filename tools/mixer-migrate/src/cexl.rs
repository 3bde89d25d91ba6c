//! CEXL, Mixer's expression language: parses, checks types as Mixer did, and evaluates for comparisons.
//!
//! The entry point is [`compile`]. The types in its result are correct. An error has a position in the text.

mod check;
mod duration;
mod error;
mod eval;
mod expression;
mod function;
mod literal;
mod parse;
mod time;
mod token;
mod value;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod vectors;

pub use check::Vocabulary;
pub use duration::{format_duration, parse_duration};
pub use error::{CompileError, ErrorKind};
pub use eval::{evaluate, Attributes, EvalError};
pub use expression::{Expression, Kind, Operator};
pub use function::Function;
pub use time::{format_timestamp, parse_timestamp};
pub use value::{format_double, Type, Value};

/// Parses and checks `text`. `vocabulary` has the attributes.
pub fn compile(text: &str, vocabulary: &impl Vocabulary) -> Result<Expression, CompileError> {
    check::check(&parse::parse(text)?, vocabulary)
}
