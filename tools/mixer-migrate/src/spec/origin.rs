//! Where a specification comes from, and when it holds.

use crate::{diagnostic::Place, model::Compiled};

/// The protocols that a rule is for before its condition is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP and TCP.
    Both,
    /// HTTP alone.
    Http,
    /// TCP alone.
    Tcp,
}

/// Where a specification comes from, and when it holds.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The rule's namespace, to whose proxies it applies.
    pub namespace: String,
    /// The rule, as `kind/namespace/name`.
    pub rule: String,
    /// The instance.
    pub instance: String,
    /// The handler.
    pub handler: String,
    /// Where the instance stands.
    pub place: Place,
    /// The rule's condition.
    pub condition: Option<Compiled>,
    /// The rule's protocols.
    pub protocols: Protocols,
}
