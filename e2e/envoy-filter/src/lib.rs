//! Reads EnvoyFilter resources strictly and applies them as Istio does.
