//! The labels of a stream as numbers.

use labels::response_flags;
use labels::stream::{LabelValue, Stream};
use labels::Labels;

use crate::symbols::{Symbol, Symbols};

/// The labels of a stream.
#[inline(never)]
pub fn of_stream(symbols: &mut Symbols, stream: &Stream) -> Labels<Symbol> {
    Labels::each(|label| match stream.value(label) {
        // An empty text is unknown.
        LabelValue::Text(text) => symbols.of_bytes(text),
        LabelValue::Number(number) => symbols.of(&number.to_string()),
        LabelValue::Flags(flags) => of_flags(symbols, flags),
        LabelValue::None => Symbol::EMPTY,
    })
}

/// The label of response flags.
pub fn of_flags(symbols: &mut Symbols, flags: u64) -> Symbol {
    symbols.of(&response_flags::text(flags))
}

#[cfg(test)]
mod tests;
