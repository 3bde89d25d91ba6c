//! All labels of a stream, by which its series are found.

use labels::{Label, Labels};

use crate::measurement::Family;
use crate::symbols::Symbol;

/// All labels of a stream: the standard ones, and what the family's expressions come to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelSet {
    /// Family.
    pub family: Family,
    /// The standard labels; empty are those that no metric of the family has.
    pub standard: Labels<Symbol>,
    /// What the family's expressions come to.
    pub more: Vec<Symbol>,
}

impl LabelSet {
    /// The same with the response flags of a later moment, where they are among the labels.
    pub fn with_response_flags(&self, flags: Symbol) -> Self {
        let mut set = self.clone();
        if set.standard.get(Label::ResponseFlags) != Symbol::EMPTY {
            set.standard.set(Label::ResponseFlags, flags);
        }
        set
    }

    /// Whether any of them has this value.
    pub fn contains(&self, symbol: Symbol) -> bool {
        self.standard.values().contains(&symbol) || self.more.contains(&symbol)
    }

    /// The label set under which all those are counted that are too many: what remains cannot be many.
    pub fn fold(&self) -> Self {
        let mut standard = Labels::all(Symbol::OVERFLOW);
        for kept in [Label::Reporter, Label::RequestProtocol] {
            standard.set(kept, self.standard.get(kept));
        }
        Self { family: self.family, standard, more: self.more.iter().map(|_| Symbol::OVERFLOW).collect() }
    }
}
