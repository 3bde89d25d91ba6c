//! The labels of a stream as numbers.

use labels::response_flags;
use labels::stream::{LabelValue, Stream};
use labels::{Label, Labels};

use crate::room::Owner;
use crate::symbols::{Symbol, Symbols};

/// The labels of a stream.
#[inline(never)]
pub fn of_stream(symbols: &mut Symbols, stream: &Stream) -> Labels<Symbol> {
    Labels::each(|label| match stream.value(label) {
        // An empty text is unknown.
        LabelValue::Text(text) if stream.is_chosen_outside(label) => symbols.of_bytes(text),
        LabelValue::Text(text) => symbols.of_ours(&String::from_utf8_lossy(text)),
        LabelValue::Number(number) => symbols.of_ours(&number.to_string()),
        LabelValue::Flags(flags) => of_flags(symbols, flags),
        LabelValue::None => Symbol::EMPTY,
    })
}

/// The label of response flags.
pub fn of_flags(symbols: &mut Symbols, flags: u64) -> Symbol {
    symbols.of_ours(&response_flags::text(flags))
}

/// Whose room new labels of a stream take.
#[inline(never)]
pub fn owner(symbols: &mut Symbols, stream: &Stream) -> Owner {
    let mut of = |label| match stream.value(label) {
        LabelValue::Text(text) if !stream.is_chosen_outside(label) => symbols.of_ours(&String::from_utf8_lossy(text)),
        _ => Symbol::OVERFLOW,
    };
    Owner { service: of(Label::DestinationService), caller: of(Label::SourcePrincipal) }
}

#[cfg(test)]
mod tests;
