//! Where a report is made: on which side of a request, and for which protocol.

/// The side of a request. Gateways report as the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The way in: the destination reports.
    Inbound,
    /// The way out: the source reports.
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

/// All scenes, in the order of what is written.
pub const SCENES: [Scene; 4] = [
    Scene { side: Side::Inbound, protocol: Protocol::Http },
    Scene { side: Side::Outbound, protocol: Protocol::Http },
    Scene { side: Side::Inbound, protocol: Protocol::Tcp },
    Scene { side: Side::Outbound, protocol: Protocol::Tcp },
];

/// Where something went: `inbound HTTP`.
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
