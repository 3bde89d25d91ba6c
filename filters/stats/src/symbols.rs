//! Label values as numbers: comparing two label sets compares 25 numbers instead of 25 texts.

use std::rc::Rc;

use hashbrown::HashMap;
use labels::UNKNOWN;
use series::metric_name::{label_value, Separators};

/// Most values that a label set has alone: those of a peer, its identity, a host, and some of expressions.
const PER_SERIES: usize = 10;
/// Values kept in addition, for streams of which nothing is recorded.
const SPARE: usize = 4_096;
/// Values kept for what strangers cannot choose.
const OURS: usize = 4_096;

/// A label value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(u32);

impl Symbol {
    /// `unknown`: the value is not known.
    pub const UNKNOWN: Self = Self(0);
    /// A label that does not apply.
    pub const EMPTY: Self = Self(1);
    /// Stands for all values beyond the limit.
    pub const OVERFLOW: Self = Self(2);
}

/// The values, by symbol.
pub struct Symbols {
    by_text: HashMap<Rc<str>, Symbol>,
    texts: Vec<Rc<str>>,
    separators: Separators,
    max: usize,
    is_open: bool,
}

impl Symbols {
    /// Contains only the constants. Values beyond what `max_series` needs share one symbol, because peers and clients
    /// choose values.
    pub fn new(separators: Separators, max_series: usize) -> Self {
        let max = max_series.saturating_mul(PER_SERIES).saturating_add(SPARE);
        let mut symbols = Self { by_text: HashMap::new(), texts: Vec::new(), separators, max, is_open: true };
        for text in [UNKNOWN, "", "overflow"] {
            symbols.add(text, max);
        }
        // A workload may have the name `overflow`. A value of which nothing is left is unknown.
        symbols.by_text.remove("overflow");
        symbols.by_text.insert("".into(), Symbol::UNKNOWN);
        symbols
    }

    /// The separators, which no value contains.
    pub fn separators(&self) -> &Separators {
        &self.separators
    }

    /// Whether new values get symbols of their own from now on. Where no label set has room, they need none: what is in no
    /// label set must not use up the symbols.
    pub fn open(&mut self, is_open: bool) {
        self.is_open = is_open;
    }

    /// The symbol of a value, with characters that a stat name allows. An empty value is unknown.
    pub fn of(&mut self, text: &str) -> Symbol {
        self.within(text, if self.is_open { self.max } else { 0 })
    }

    /// The symbol of a value that strangers cannot choose. It gets one in any case.
    pub fn of_ours(&mut self, text: &str) -> Symbol {
        self.within(text, self.max.saturating_add(OURS))
    }

    /// The symbol of a value. It gets a new one if there are fewer than `max`.
    #[inline(never)]
    fn within(&mut self, text: &str, max: usize) -> Symbol {
        if let Some(symbol) = self.by_text.get(text) {
            return *symbol;
        }
        let value = label_value(text, &self.separators);
        match self.by_text.get(value.as_str()) {
            Some(symbol) => *symbol,
            None => self.add(&value, max),
        }
    }

    /// The symbol of a value in bytes from Envoy.
    pub fn of_bytes(&mut self, bytes: &[u8]) -> Symbol {
        match core::str::from_utf8(bytes) {
            Ok(text) => self.of(text),
            Err(_) => self.of(&String::from_utf8_lossy(bytes)),
        }
    }

    /// The value of a symbol.
    pub fn text(&self, symbol: Symbol) -> &str {
        self.texts.get(symbol.0 as usize).map_or(UNKNOWN, AsRef::as_ref)
    }

    fn add(&mut self, text: &str, max: usize) -> Symbol {
        let Some(symbol) = u32::try_from(self.texts.len()).ok().filter(|_| self.texts.len() < max) else {
            return Symbol::OVERFLOW;
        };
        let text: Rc<str> = text.into();
        self.texts.push(Rc::clone(&text));
        self.by_text.insert(text, Symbol(symbol));
        Symbol(symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn equal_values_have_equal_symbols() {
        let mut symbols = Symbols::new(Separators::default(), 1000);
        let reviews = symbols.of("reviews");
        assert_eq!(symbols.of("reviews"), reviews);
        assert_eq!(symbols.text(reviews), "reviews");
        assert_ne!(symbols.of("ratings"), reviews);
        assert_eq!(symbols.of("two\nlines"), symbols.of("two_lines"));
        assert_eq!(["reviews.", "reviews.."].map(|text| symbols.of(text)), [reviews; 2]);
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        let mut symbols = Symbols::new(Separators::default(), 1000);
        assert_eq!(symbols.of(""), Symbol::UNKNOWN);
        assert_eq!(symbols.of_bytes(b""), Symbol::UNKNOWN);
        assert_eq!(symbols.of("."), Symbol::UNKNOWN);
        assert_eq!(symbols.text(Symbol::UNKNOWN), "unknown");
        assert_eq!(symbols.of("unknown"), Symbol::UNKNOWN);
        assert_eq!(symbols.text(Symbol::EMPTY), "");
    }

    #[test]
    fn values_beyond_what_is_kept_overflow() {
        let mut symbols = Symbols::new(Separators::default(), 100);
        for index in 0..6_000 {
            symbols.of(&index.to_string());
        }
        assert_eq!(symbols.of("one more"), Symbol::OVERFLOW);
        assert_eq!(symbols.text(Symbol::OVERFLOW), "overflow");
        assert_eq!(symbols.texts.len(), PER_SERIES * 100 + SPARE);
        for index in 0..6_000 {
            symbols.of_ours(&format!("ours-{index}"));
        }
        assert_eq!(symbols.texts.len(), PER_SERIES * 100 + SPARE + OURS);
    }

    #[test]
    fn what_is_not_ours_gets_no_symbol_while_there_is_no_room() {
        let mut symbols = Symbols::new(Separators::default(), 1000);
        let known = symbols.of("known");
        symbols.open(false);
        assert_eq!([symbols.of("known"), symbols.of("new")], [known, Symbol::OVERFLOW]);
        let ours = symbols.of_ours("ours");
        assert_eq!(symbols.text(ours), "ours");
        assert_eq!(symbols.of("ours"), ours);
        symbols.open(true);
        let new = symbols.of("new");
        assert_eq!(symbols.text(new), "new");
    }
}
