//! Which streams get a line.
//!
//! The decision takes one read of the few attributes that its rule needs, and is told to other access loggers by the filter
//! state of Istio's access log policy.

use core::time::Duration;

use mesh_common::batch::{Batch, Values};
use mesh_common::bounded::BoundedCache;
use mesh_common::config::Problem;
use mesh_common::content_type::is_grpc;
use mesh_common::evaluation::create;
use mesh_common::expression::{self, Kind};
use mesh_common::host::{Expression, Host};
use mesh_common::property;

use crate::config::{self, Rule};
use crate::line::host_of;
use crate::time::nanoseconds;

/// Filter state in which other loggers find the decision, `yes` or `no`; Envoy adds the prefix `wasm.`.
pub const DECISION: &str = "istio.access_log_policy";

/// HTTP statuses from this one on are errors, as in Istio.
const FIRST_ERROR: i64 = 400;
/// The response flag of a delay that a fault filter injected: it fails nothing.
const DELAY_INJECTED: i64 = 1 << 9;
/// The listener direction of the way in.
const INBOUND: i64 = 1;
/// Where in a request id Envoy writes whether to trace; it differs between the proxies on the way.
const TRACE_REASON: usize = 14;
const UUID_LENGTH: usize = 36;
/// A percentage in thousandths.
const ALL: u64 = 100_000;

/// A policy at work.
pub struct Policy {
    rule: Rule,
    always_errors: bool,
    condition: Option<Expression>,
    batch: Batch,
    slots: Slots,
    /// When there was a line of a peer, by whatever tells peers apart.
    peers: BoundedCache<Vec<u8>, i64>,
}

/// Where the attributes are; `usize::MAX` for those that are not needed.
struct Slots {
    code: usize,
    flags: usize,
    content_type: usize,
    grpc_status: usize,
    request_id: usize,
    connection: usize,
    start: usize,
    direction: usize,
    downstream: [usize; 2],
    upstream: [usize; 2],
}

impl Policy {
    /// Compiles a policy. Works only while the plugin is configured.
    pub fn new(policy: &config::Policy, host: &impl Host, problems: &mut Vec<Problem>) -> Self {
        let condition = policy
            .condition
            .as_ref()
            .and_then(|text| create(host, &expression::for_engine(text), text, "policy.match", problems));
        let mut batch = Batch::default();
        let mut slot = |needed: bool, path: &str, kind| match needed {
            true => batch.slot(path, kind),
            false => usize::MAX,
        };
        let errors = policy.always_errors || policy.rule == Rule::Errors;
        let percentage = matches!(policy.rule, Rule::Percentage(_));
        let window = matches!(policy.rule, Rule::Window(..));
        let slots = Slots {
            code: slot(errors, property::RESPONSE_CODE.0, Kind::Integer),
            flags: slot(errors, property::RESPONSE_FLAGS.0, Kind::Integer),
            content_type: slot(errors, "request\0headers\0content-type", Kind::Text),
            grpc_status: slot(errors, property::RESPONSE_GRPC_STATUS.0, Kind::Integer),
            request_id: slot(percentage, "request\0id", Kind::Text),
            connection: slot(percentage, "connection\0id", Kind::Integer),
            start: slot(percentage, "request\0time", Kind::Timestamp),
            direction: slot(window, property::LISTENER_DIRECTION.0, Kind::Integer),
            downstream: ["source\0address", property::CONNECTION_PEER_SAN.0].map(|path| slot(window, path, Kind::Text)),
            upstream: ["upstream\0address", property::UPSTREAM_PEER_SAN.0].map(|path| slot(window, path, Kind::Text)),
        };
        batch.compile(host);
        let peers = match policy.rule {
            Rule::Window(_, peers) => peers,
            _ => 0,
        };
        Self {
            rule: policy.rule.clone(),
            always_errors: policy.always_errors,
            condition,
            batch,
            slots,
            peers: BoundedCache::new(peers),
        }
    }

    /// Whether every stream gets a line.
    pub fn is_all(&self) -> bool {
        self.rule == Rule::All && self.condition.is_none()
    }

    /// Whether an error is not known before the stream ends.
    pub fn needs_end(&self) -> bool {
        self.rule == Rule::Errors
    }

    /// Whether a decision can be made within a tick, where no expression can be evaluated.
    pub fn is_known_in_tick(&self) -> bool {
        self.condition.is_none()
    }

    /// Whether the current stream, a request or a connection, gets a line.
    pub fn decide(&mut self, host: &impl Host, tcp: bool, within_tick: bool) -> bool {
        if self.is_all() {
            return true;
        }
        let values = match self.batch.is_empty() {
            true => Values::default(),
            false => self.batch.read(host, within_tick),
        };
        let errors = self.always_errors || self.rule == Rule::Errors;
        let error = errors && self.is_error(&values, tcp);
        if error && self.always_errors {
            return true;
        }
        if let Some(condition) = self.condition.filter(|_| !within_tick) {
            if host.evaluate(condition).as_deref() != Some(&[1]) {
                return false;
            }
        }
        match self.rule {
            Rule::All => true,
            Rule::Errors => error,
            Rule::Percentage(percentage) => self.draw(&values) < percentage,
            Rule::Window(window, _) => self.is_first(host, &values, window),
        }
    }

    /// Whether there was no response, an error, or something that Envoy flags.
    fn is_error(&self, values: &Values, tcp: bool) -> bool {
        let flagged = values.int(self.slots.flags).unwrap_or(0) & !DELAY_INJECTED != 0;
        let failed = !tcp && values.int(self.slots.code).is_none_or(|code| code >= FIRST_ERROR);
        let grpc = !tcp && values.bytes(self.slots.content_type).is_some_and(is_grpc);
        flagged || failed || grpc && values.int(self.slots.grpc_status).is_none_or(|status| status != 0)
    }

    /// A number below [`ALL`], the same in each proxy that a request passes.
    fn draw(&self, values: &Values) -> u64 {
        let hash = match values.bytes(self.slots.request_id) {
            Some(id) => {
                let reason = if id.len() == UUID_LENGTH { TRACE_REASON } else { usize::MAX };
                fnv(id.iter().enumerate().filter(|(index, _)| *index != reason).map(|(_, byte)| *byte))
            }
            None => {
                let numbers = [self.slots.connection, self.slots.start].map(|slot| values.int(slot).unwrap_or(0));
                fnv(numbers.into_iter().flat_map(i64::to_le_bytes))
            }
        };
        // The upper bits of this hash are the better ones.
        (u128::from(hash).saturating_mul(u128::from(ALL)) >> 64) as u64
    }

    /// Whether the peer had no line for longer than `window`.
    fn is_first(&mut self, host: &impl Host, values: &Values, window: Duration) -> bool {
        let [address, principal] = match values.int(self.slots.direction) {
            Some(INBOUND) => self.slots.downstream,
            _ => self.slots.upstream,
        };
        let mut peer = host_of(values.bytes(address).unwrap_or_default()).to_vec();
        peer.push(0);
        peer.extend_from_slice(values.bytes(principal).unwrap_or_default());
        let now = nanoseconds(host);
        let window = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
        if self.peers.get(&peer).is_some_and(|last| now.saturating_sub(last) <= window) {
            return false;
        }
        self.peers.insert(peer, now);
        true
    }
}

/// FNV-1a of 64 bits, mixed once more so that all bits depend on all bytes.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}
