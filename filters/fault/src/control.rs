//! The headers that ask for a fault: those of Envoy's own fault filter.

use core::time::Duration;

use host::{HeaderMap, Host};
use rules::matching::{HeaderId, HeaderNames, RequestAtHand};
use rules::percentage::Percentage;

use crate::abort::AbortKind;

/// Asks for a delay, in milliseconds.
pub const DELAY: &str = "x-envoy-fault-delay-request";
/// Asks for a share of the requests to delay, in percent.
pub const DELAY_PERCENTAGE: &str = "x-envoy-fault-delay-request-percentage";
/// Asks for an HTTP status.
pub const ABORT: &str = "x-envoy-fault-abort-request";
/// Asks for a gRPC status.
pub const ABORT_GRPC: &str = "x-envoy-fault-abort-grpc-request";
/// Asks for a share of the requests to abort, in percent.
pub const ABORT_PERCENTAGE: &str = "x-envoy-fault-abort-request-percentage";

/// The headers that cause a fault without the others.
pub const EFFECTIVE: [&str; 3] = [DELAY, ABORT, ABORT_GRPC];

/// The control headers that a rule reads.
#[derive(Clone, Debug)]
pub struct ControlHeaders {
    value: HeaderId,
    grpc: HeaderId,
    percentage: HeaderId,
}

impl ControlHeaders {
    /// The headers for delays.
    pub fn of_delay(names: &mut HeaderNames) -> Self {
        let value = names.id(DELAY);
        Self { value, grpc: value, percentage: names.id(DELAY_PERCENTAGE) }
    }

    /// The headers for aborts.
    pub fn of_abort(names: &mut HeaderNames) -> Self {
        Self { value: names.id(ABORT), grpc: names.id(ABORT_GRPC), percentage: names.id(ABORT_PERCENTAGE) }
    }

    /// The delay that is asked for; no longer than `max`.
    pub fn delay<H: Host>(&self, request: &mut RequestAtHand<H>, max: Duration) -> Option<Duration> {
        let milliseconds = number(&request.header(self.value)?)?;
        Some(Duration::from_millis(milliseconds).min(max)).filter(|delay| !delay.is_zero())
    }

    /// The status that is asked for; that of HTTP goes first, as in Envoy.
    pub fn abort<H: Host>(&self, request: &mut RequestAtHand<H>) -> Option<AbortKind> {
        let status =
            |value: Option<Vec<u8>>, most| u16::try_from(number(&value?)?).ok().filter(|status| *status <= most);
        if let Some(status) = status(request.header(self.value), 599).filter(|status| *status >= 200) {
            return Some(AbortKind::Http(status));
        }
        let status = status(request.header(self.grpc), 16)?;
        u8::try_from(status).ok().map(AbortKind::Grpc)
    }

    /// The share that is asked for; no more than `most`.
    pub fn percentage<H: Host>(&self, request: &mut RequestAtHand<H>, most: Percentage) -> Percentage {
        let asked = request.header(self.percentage).and_then(|text| Percentage::asked_for(&text));
        asked.map_or(most, |asked| asked.min(most))
    }
}

/// Removes headers, if present.
pub fn remove(host: &impl Host, headers: &[&str]) {
    for header in headers {
        if let Err(error) = host.remove_header(HeaderMap::Request, header) {
            log::debug!("fault: {header} stays: {error}");
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text.trim_ascii()).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
