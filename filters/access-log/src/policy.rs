//! Which streams get a line.
//!
//! The decision reads only the attributes that its rule needs. It is written to the filter state of Istio's access log
//! policy, for other access loggers.

use core::time::Duration;

use collections::bounded::BoundedCache;
use configuration::Problem;
use expression;
use expression::evaluation::create;
use host::property;
use host::{Expression, Host};
use labels::content_type::is_grpc;
use labels::direction::Direction;
use labels::response_flags;

use crate::config::{self, PolicyRule};
use crate::line::host_of;
use crate::reads::{Reads, Values};
use crate::time::nanoseconds;

/// Filter state in which other loggers find the decision, `yes` or `no`; Envoy adds the prefix `wasm.`.
pub const DECISION: &str = "istio.access_log_policy";

/// HTTP statuses from here on are errors, as in Istio.
const FIRST_ERROR: i64 = 400;
/// Position of the digit in a request id where Envoy writes the tracing decision. It differs between the proxies of a
/// request.
const TRACE_REASON: usize = 14;
const UUID_LENGTH: usize = 36;
/// A percentage in thousandths.
const ALL: u64 = 100_000;

/// A compiled policy.
pub struct Policy {
    rule: PolicyRule,
    always_errors: bool,
    condition: Option<Expression>,
    slots: PolicySlots,
    /// When there was a line of a peer, by whatever tells peers apart.
    peers: BoundedCache<Vec<u8>, i64>,
}

/// Where the attributes are; `usize::MAX` for those that are not needed.
struct PolicySlots {
    code: usize,
    flags: usize,
    content_type: usize,
    grpc_status: usize,
    request_id: usize,
    connection: usize,
    start: usize,
    downstream: [usize; 2],
    upstream: [usize; 2],
}

impl Policy {
    /// Compiles a policy. Works only while the plugin is configured. The attributes that it takes are added to `reads`.
    pub fn new(
        policy: &config::PolicyConfig,
        host: &impl Host,
        reads: &mut Reads,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let condition = policy
            .condition
            .as_ref()
            .and_then(|text| create(host, &expression::for_engine(text), text, "policy.match", problems));
        let mut slot = |needed: bool, path: &str| match needed {
            true => reads.slot(path),
            false => usize::MAX,
        };
        let errors = policy.always_errors || policy.rule == PolicyRule::Errors;
        let percentage = matches!(policy.rule, PolicyRule::Percentage(_));
        let window = matches!(policy.rule, PolicyRule::Window(..));
        let slots = PolicySlots {
            code: slot(errors, property::RESPONSE_CODE.0),
            flags: slot(errors, property::RESPONSE_FLAGS.0),
            content_type: slot(errors, "request\0headers\0content-type"),
            grpc_status: slot(errors, property::RESPONSE_GRPC_STATUS.0),
            request_id: slot(percentage, "request\0id"),
            connection: slot(percentage, "connection\0id"),
            start: slot(percentage, "request\0time"),
            downstream: ["source\0address", property::CONNECTION_PEER_SAN.0].map(|path| slot(window, path)),
            upstream: ["upstream\0address", property::UPSTREAM_PEER_SAN.0].map(|path| slot(window, path)),
        };
        let peers = match policy.rule {
            PolicyRule::Window(_, peers) => peers,
            _ => 0,
        };
        Self {
            rule: policy.rule.clone(),
            always_errors: policy.always_errors,
            condition,
            slots,
            peers: BoundedCache::new(peers),
        }
    }

    /// Whether every stream gets a line.
    pub fn is_all(&self) -> bool {
        self.rule == PolicyRule::All && self.condition.is_none()
    }

    /// Whether the decision is possible only when the stream ends.
    pub fn needs_end(&self) -> bool {
        self.rule == PolicyRule::Errors
    }

    /// Whether a tick can decide: ticks cannot evaluate expressions.
    pub fn is_known_in_tick(&self) -> bool {
        self.condition.is_none()
    }

    /// Whether the current stream, a request or a connection, gets a line.
    pub fn decide<H: Host>(
        &mut self,
        host: &H,
        values: &Values<H>,
        direction: Option<Direction>,
        tcp: bool,
        within_tick: bool,
    ) -> bool {
        if self.is_all() {
            return true;
        }
        let errors = self.always_errors || self.rule == PolicyRule::Errors;
        let error = errors && self.is_error(values, tcp);
        if error && self.always_errors {
            return true;
        }
        if let Some(condition) = self.condition.filter(|_| !within_tick) {
            if host.evaluate(condition).as_deref() != Some(&[1]) {
                return false;
            }
        }
        match self.rule {
            PolicyRule::All => true,
            PolicyRule::Errors => error,
            PolicyRule::Percentage(percentage) => self.draw(values) < percentage,
            PolicyRule::Window(window, _) => self.is_first(host, values, direction, window),
        }
    }

    /// Whether there was no response, an error, or a response flag. An injected delay is not an error.
    fn is_error<H: Host>(&self, values: &Values<H>, tcp: bool) -> bool {
        let flagged = values.flags(self.slots.flags) & !response_flags::DELAY != 0;
        let failed = !tcp && values.int(self.slots.code).is_none_or(|code| code >= FIRST_ERROR);
        let grpc = !tcp && values.bytes(self.slots.content_type).is_some_and(is_grpc);
        flagged || failed || grpc && values.int(self.slots.grpc_status).is_none_or(|status| status != 0)
    }

    /// A number below [`ALL`], the same in all proxies of a request.
    fn draw<H: Host>(&self, values: &Values<H>) -> u64 {
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
        // The upper bits of this hash are better distributed.
        (u128::from(hash).saturating_mul(u128::from(ALL)) >> 64) as u64
    }

    /// Whether the peer had no line within `window`.
    fn is_first<H: Host>(
        &mut self,
        host: &H,
        values: &Values<H>,
        direction: Option<Direction>,
        window: Duration,
    ) -> bool {
        let [address, principal] = match direction.unwrap_or_else(|| Direction::of_listener(host)) {
            Direction::Inbound => self.slots.downstream,
            Direction::Outbound => self.slots.upstream,
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

/// FNV-1a with 64 bits, mixed once more so that all bits depend on all bytes.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}
