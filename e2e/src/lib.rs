//! The local mesh: real Envoy sidecars, made from a topology and the EnvoyFilters of envoy/.
