//! A stream's labels, the key of its series.

use core::hash::{Hash, Hasher};

use labels::{Label, Labels};

use crate::measurement::Family;
use crate::room::Owner;
use crate::symbols::Symbol;

/// A stream's standard labels, before a family selects its own.
#[derive(Clone, Copy, Debug)]
pub struct StreamLabels {
    /// The labels.
    pub standard: Labels<Symbol>,
    /// Whose room new ones take.
    pub owner: Owner,
}

/// A stream's labels: the standard labels and the results of label expressions.
#[derive(Clone, Debug)]
pub struct LabelSet {
    /// Family.
    pub family: Family,
    /// The standard labels; empty if no metric of the family has the label.
    pub standard: Labels<Symbol>,
    /// The results of the family's label expressions.
    pub more: Vec<Symbol>,
    /// Whose room it takes. It does not distinguish label sets.
    pub owner: Owner,
}

impl PartialEq for LabelSet {
    fn eq(&self, other: &Self) -> bool {
        (self.family, &self.standard, &self.more) == (other.family, &other.standard, &other.more)
    }
}

impl Eq for LabelSet {}

impl Hash for LabelSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.family, &self.standard, &self.more).hash(state);
    }
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
}
