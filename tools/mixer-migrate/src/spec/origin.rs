//! The origin of a specification, and its condition.

use crate::{diagnostic::Place, model::Compiled};

/// The protocols of a rule, without its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP and TCP.
    Both,
    /// HTTP only.
    Http,
    /// TCP only.
    Tcp,
}

/// The origin of a specification, and its condition.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The rule's namespace. The specification applies to its proxies.
    pub namespace: String,
    /// The rule, as `kind/namespace/name`.
    pub rule: String,
    /// The instance.
    pub instance: String,
    /// The handler.
    pub handler: String,
    /// The instance's place.
    pub place: Place,
    /// The rule's condition.
    pub condition: Option<Compiled>,
    /// The rule's protocols.
    pub protocols: Protocols,
}
