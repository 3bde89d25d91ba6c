//! The measurements of a stream, and the families of metrics that record them.

/// A family: metrics that are recorded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// HTTP and gRPC requests, when they end.
    Request,
    /// Messages of gRPC requests, recorded while the requests live.
    Messages,
    /// TCP connections, recorded while they live.
    Connection,
}

/// A measurement of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// Requests.
    Requests,
    /// Duration of a request, in nanoseconds.
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
    /// Reports of a connection: at its begin, at regular times, and at its end.
    Reports,
    /// Only the reports at regular times.
    Continuations,
}

impl Measurement {
    /// Number of measurements.
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

/// The measured values; `None` if not measured.
pub type Measured = ByMeasurement<Option<u64>>;

impl<T: Copy + Default> ByMeasurement<T> {
    /// The value of a measurement.
    pub fn get(&self, measurement: Measurement) -> T {
        // The array has an element for each measurement.
        self.0.get(measurement as usize).copied().unwrap_or_default()
    }

    /// Sets the value of a measurement.
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
