//! The current source of a value.

use crate::cexl::Value;

/// The source of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A constant.
    Constant(Value),
    /// None: there is never a value.
    Absent,
    /// Envoy's attributes.
    Path(Path),
    /// Only a module can compute it.
    Module {
        /// Whether it may have no value.
        may_be_absent: bool,
        /// The condition that it has a value, if an expression can check this.
        present: Option<&'static str>,
        /// Its default value.
        default: Option<Value>,
    },
}

/// An expression over Envoy's attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The value, if it exists.
    pub value: String,
    /// The condition that it exists; `None` if it always exists.
    pub present: Option<String>,
    /// Its default value; `None` if it is absent then.
    pub default: Option<Value>,
    /// Whether a module has a better value, which it can use if the attribute is the whole expression.
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
