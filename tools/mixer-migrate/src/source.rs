//! Where a value comes from today.

use crate::cexl::Value;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// It is always the same.
    Constant(Value),
    /// It never has one.
    Absent,
    /// Envoy's attributes.
    Path(Path),
    /// Only a module can make it.
    Module {
        /// Whether it may have no value.
        may_be_absent: bool,
        /// The condition that it has one, where that can be asked for.
        present: Option<&'static str>,
        /// What it is then instead.
        default: Option<Value>,
    },
}

/// An expression over Envoy's attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The value, where there is one.
    pub value: String,
    /// The condition that there is one; none if there always is.
    pub present: Option<String>,
    /// What it is where there is none; none if it is absent then.
    pub default: Option<Value>,
    /// Whether a module makes a better value of it where it stands alone.
    pub module: bool,
}

impl Source {
    /// Whether it may have no value.
    pub fn may_be_absent(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Absent => true,
            Self::Path(path) => path.present.is_some() && path.default.is_none(),
            Self::Module { may_be_absent, default, .. } => *may_be_absent && default.is_none(),
        }
    }
}
