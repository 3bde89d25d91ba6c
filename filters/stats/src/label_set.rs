//! A stream's labels, the key of its series.

use labels::{Label, Labels};

use crate::measurement::Family;
use crate::symbols::Symbol;

/// A stream's labels: the standard labels and the results of label expressions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelSet {
    /// Family.
    pub family: Family,
    /// The standard labels; empty if no metric of the family has the label.
    pub standard: Labels<Symbol>,
    /// The results of the family's label expressions.
    pub more: Vec<Symbol>,
}

impl LabelSet {
    /// The same labels with later response flags, if the flags are a label.
    pub fn with_response_flags(&self, flags: Symbol) -> Self {
        let mut set = self.clone();
        if set.standard.get(Label::ResponseFlags) != Symbol::EMPTY {
            set.standard.set(Label::ResponseFlags, flags);
        }
        set
    }

    /// Whether any label has this value.
    pub fn contains(&self, symbol: Symbol) -> bool {
        self.standard.values().contains(&symbol) || self.more.contains(&symbol)
    }

    /// The label set for all streams beyond the limit. It has few values.
    pub fn fold(&self) -> Self {
        let mut standard = Labels::all(Symbol::OVERFLOW);
        for kept in [Label::Reporter, Label::RequestProtocol] {
            standard.set(kept, self.standard.get(kept));
        }
        Self { family: self.family, standard, more: self.more.iter().map(|_| Symbol::OVERFLOW).collect() }
    }
}
