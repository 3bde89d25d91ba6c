//! What is measured of a stream, and by which families of metrics it is recorded.

/// Metrics that are recorded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// HTTP and gRPC requests, when they end.
    Request,
    /// Messages of gRPC requests, while they live.
    Messages,
    /// TCP connections, while they live.
    Connection,
}

/// Something that is measured of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// Requests.
    Requests,
    /// How long a request took, in nanoseconds.
    Duration,
    /// Bytes of a request.
    RequestBytes,
    /// Bytes of a response.
    ResponseBytes,
    /// gRPC messages of a request since the last report.
    RequestMessages,
    /// gRPC messages of a response since the last report.
    ResponseMessages,
    /// Connections that were opened.
    ConnectionsOpened,
    /// Bytes received since the connection's last report.
    ReceivedBytes,
    /// Bytes sent since the connection's last report.
    SentBytes,
    /// Connections that were closed.
    ConnectionsClosed,
    /// Reports of a connection: when it is opened, from time to time, and when it is closed.
    Reports,
    /// Those of them from time to time.
    Continuations,
}

impl Measurement {
    /// How many there are.
    pub const COUNT: usize = Self::Continuations as usize + 1;

    /// The family whose metrics record it.
    pub fn family(self) -> Family {
        match self {
            Self::Requests | Self::Duration | Self::RequestBytes | Self::ResponseBytes => Family::Request,
            Self::RequestMessages | Self::ResponseMessages => Family::Messages,
            Self::ConnectionsOpened
            | Self::ReceivedBytes
            | Self::SentBytes
            | Self::ConnectionsClosed
            | Self::Reports
            | Self::Continuations => Family::Connection,
        }
    }
}

/// A value for each measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByMeasurement<T>([T; Measurement::COUNT]);

/// What was measured; nothing of what was not.
pub type Measured = ByMeasurement<Option<u64>>;

impl<T: Copy + Default> ByMeasurement<T> {
    /// The value of a measurement.
    pub fn get(&self, measurement: Measurement) -> T {
        // There is a place for each measurement.
        self.0.get(measurement as usize).copied().unwrap_or_default()
    }

    /// Gives a measurement another value.
    pub fn set(&mut self, measurement: Measurement, value: T) {
        if let Some(place) = self.0.get_mut(measurement as usize) {
            *place = value;
        }
    }
}

impl<const N: usize> From<[(Measurement, Option<u64>); N]> for Measured {
    fn from(values: [(Measurement, Option<u64>); N]) -> Self {
        let mut measured = Self::default();
        for (measurement, value) in values {
            measured.set(measurement, value);
        }
        measured
    }
}
