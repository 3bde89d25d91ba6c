//! Istio's own Mixer configuration, for objects that the user's configuration refers to.

/// A release of Istio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.0, in the older style of objects.
    V1_0,
    /// 1.4, in the newer style of objects.
    V1_4,
}

impl Version {
    /// Its configuration.
    pub fn text(self) -> &'static str {
        match self {
            Self::V1_0 => include_str!("../defaults/1.0.yaml"),
            Self::V1_4 => include_str!("../defaults/1.4.yaml"),
        }
    }
}
