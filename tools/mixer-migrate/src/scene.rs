//! The scene of a report: the side of a request, and the protocol.

/// The side of a request. Gateways report as outbound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Inbound: the destination reports.
    Inbound,
    /// Outbound: the source reports.
    Outbound,
}

/// The protocol of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP and gRPC.
    Http,
    /// TCP.
    Tcp,
}

/// Side and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scene {
    /// The side.
    pub side: Side,
    /// The protocol.
    pub protocol: Protocol,
}

/// All scenes, in the order of the output.
pub const SCENES: [Scene; 4] = [
    Scene { side: Side::Inbound, protocol: Protocol::Http },
    Scene { side: Side::Outbound, protocol: Protocol::Http },
    Scene { side: Side::Inbound, protocol: Protocol::Tcp },
    Scene { side: Side::Outbound, protocol: Protocol::Tcp },
];

/// The name of scenes in the report: `inbound HTTP`.
pub fn describe(scenes: &[Scene]) -> String {
    if scenes.is_empty() {
        return "nothing is written".to_owned();
    }
    let name = |scene: &Scene| {
        let side = if scene.side == Side::Inbound { "inbound" } else { "outbound" };
        let protocol = if scene.protocol == Protocol::Http { "HTTP" } else { "TCP" };
        format!("{side} {protocol}")
    };
    scenes.iter().map(name).collect::<Vec<_>>().join(", ")
}
