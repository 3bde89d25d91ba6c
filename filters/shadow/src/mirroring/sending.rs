//! Sends copies from the queue to the mirrors, and receives the answers.

use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;

use hashbrown::HashMap;
use host::property;
use host::{Call, Host, BAD_ARGUMENT};
use rules::schedule::Schedule;

use super::target::Target;
use crate::budget::{Budget, Held};
use crate::comparison::{self, Comparison};
use crate::config::{MirrorLimits, ShadowConfig};
use crate::copied::lines;
use crate::head::{self, Circumstances};
use crate::metrics::{self, Share, Skip};
use crate::outcome::{Asked, Counts, Outcome};
use crate::pairing::{self, Pair, Pairings};
use crate::request::{Complete, RequestTraits};

/// Most copies sent per tick. More at once would block the worker.
const BATCH: usize = 256;
/// How often to look for pairs that have waited too long.
const SWEEP: Duration = Duration::from_secs(5);
/// Shortest time between two warnings of an unknown cluster.
const WARNING: Duration = Duration::from_secs(60);
/// Tolerance between Envoy's timer and our clock.
const EARLY: Duration = Duration::from_millis(2);

/// While bodies arrive, the gauge of held bytes may be this many bytes out of date.
const LAG: usize = 64 * 1024;

/// A copy in the queue.
struct Ready {
    target: usize,
    complete: Rc<Complete>,
    pair: Option<u32>,
}

/// A copy that waits for its answer.
struct Flight {
    target: usize,
    sent: Duration,
    facts: RequestTraits,
    pair: Option<u32>,
    /// Memory of Envoy's own copy.
    _held: Option<Held>,
}

impl Target {
    /// Makes Envoy send a copy. Returns its token, or counts the failure.
    fn call(&mut self, host: &impl Host, complete: &Complete, how: Circumstances, now: Duration) -> Option<u32> {
        let (mirror, counters) = (&self.mirror, &mut self.counters);
        let lines = head::of(&complete.copied, mirror, how);
        let headers: Vec<(&[u8], &[u8])> = lines.iter().map(|(name, value)| (&**name, &**value)).collect();
        let body = &complete.copied.body;
        let call = Call { cluster: &mirror.cluster, headers: &headers, body, timeout: mirror.timeout };
        let status = match host.call(&call) {
            Ok(token) => {
                counters.count(host, metrics::REQUESTS, [""; 2]);
                if complete.facts.had_trailers {
                    counters.count(host, metrics::TRAILERS_DROPPED, [""; 2]);
                }
                return Some(token.0);
            }
            Err(error) => error.status,
        };
        let has = |name: &&str| headers.iter().any(|(other, _)| *other == name.as_bytes());
        let reason = match status {
            BAD_ARGUMENT if [":method", ":path", ":authority"].iter().all(has) => "unknown_cluster",
            BAD_ARGUMENT => "invalid_request",
            _ => "no_host_or_overflow",
        };
        counters.count(host, metrics::DISPATCH_FAILED, [reason, ""]);
        if reason == "unknown_cluster" && self.warned_at.is_none_or(|at| now >= at.saturating_add(WARNING)) {
            self.warned_at = Some(now);
            log::warn!("shadow: mirror {}: this proxy has no cluster {:?}", mirror.name, mirror.cluster);
        }
        None
    }
}

/// The copies of one worker.
pub(super) struct Sending {
    /// The mirrors of all rules.
    pub targets: Vec<Target>,
    /// Memory of the copies.
    pub budget: Budget,
    /// Those whose outcomes are compared.
    pub pairs: Pairings,
    ready: VecDeque<Ready>,
    flights: HashMap<u32, Flight>,
    schedule: Schedule,
    next_sweep: Option<Duration>,
    in_flight: Share,
    buffered: Share,
    limits: MirrorLimits,
    marker_header: Option<String>,
    /// Address of this proxy.
    address: Option<String>,
}

impl Sending {
    /// Nothing is under way.
    pub fn new(config: &ShadowConfig, targets: Vec<Target>, host: &impl Host) -> Self {
        let prefix = config.stat_prefix.as_str();
        let node = host.text(property::NODE_ID).unwrap_or_default();
        Self {
            targets,
            budget: Budget::new(config.limits.max_buffered_bytes),
            pairs: Pairings::default(),
            ready: VecDeque::new(),
            flights: HashMap::new(),
            schedule: Schedule::default(),
            next_sweep: None,
            in_flight: Share::new(prefix, metrics::IN_FLIGHT),
            buffered: Share::new(prefix, metrics::BUFFERED),
            limits: config.limits,
            marker_header: config.marker_header.clone(),
            address: head::address_of_node(&node).map(str::to_owned),
        }
    }

    /// Sends the copies in the queue.
    pub fn on_tick(&mut self, host: &impl Host) {
        self.schedule.disarm();
        let now = host.monotonic_time().unwrap_or_default();
        for _ in 0..BATCH {
            let Some(ready) = self.ready.pop_front() else { break };
            self.send(host, ready, now);
        }
        if self.next_sweep.is_some_and(|at| at <= now) {
            self.next_sweep = None;
            for pair in self.pairs.take_overdue(now) {
                self.close(host, &pair);
            }
        }
        if self.next_sweep.is_none() && !self.pairs.is_empty() {
            self.next_sweep = Some(now.saturating_add(SWEEP));
        }
        self.tell(host);
        if !self.arm_at(host, now) {
            // Envoy's timer is periodic.
            if let Err(error) = host.set_tick_period(Duration::ZERO) {
                log::debug!("shadow: the timer does not stop: {error}");
            }
        }
    }

    /// A call was answered, or has failed.
    pub fn on_call_response(&mut self, host: &impl Host, token: u32, counts: Counts) {
        let Some(flight) = self.flights.remove(&token) else { return };
        let Some(target) = self.targets.get_mut(flight.target) else { return };
        let took = host.monotonic_time().unwrap_or_default().saturating_sub(flight.sent);
        let asked = Asked {
            is_grpc: flight.facts.is_grpc,
            is_head: flight.facts.is_head,
            is_late: took.saturating_add(EARLY) >= target.mirror.timeout,
            max_body: flight.pair.and(target.mirror.compare).and_then(|compare| compare.max_body_bytes),
        };
        let outcome = Outcome::of_call(host, asked, counts);
        target.counters.count(host, metrics::RESPONSES, [outcome.class(), ""]);
        if let Some(pair) = flight.pair.and_then(|id| self.pairs.shadow(id, outcome)) {
            self.close(host, &pair);
        }
        // Also releases the memory of the copy.
        drop(flight);
        self.tell(host);
    }

    /// The configuration ends, and cancels its copies.
    pub fn on_end(&mut self, host: &impl Host) {
        for ready in core::mem::take(&mut self.ready) {
            if let Some(target) = self.targets.get_mut(ready.target) {
                target.skip(host, Skip::Cancelled);
            }
        }
        for (_, flight) in core::mem::take(&mut self.flights) {
            if let Some(target) = self.targets.get_mut(flight.target) {
                target.counters.count(host, metrics::RESPONSES, ["cancelled", ""]);
            }
        }
        self.tell(host);
    }

    /// The original of a pair has ended.
    pub fn on_original_end(&mut self, host: &impl Host, pair: u32, outcome: Outcome) {
        if let Some(pair) = self.pairs.primary(pair, outcome) {
            self.close(host, &pair);
        }
    }

    /// Puts a copy into the queue, if the limits allow it. Returns the pair, if the answers are to be compared.
    pub fn enqueue(&mut self, host: &impl Host, target: usize, complete: &Rc<Complete>, now: Duration) -> Option<u32> {
        let index = target;
        let target = self.targets.get_mut(index)?;
        if self.ready.len().saturating_add(self.flights.len()) >= self.limits.max_in_flight {
            target.skip(host, Skip::InFlightCap);
            return None;
        }
        if target.rate.as_mut().is_some_and(|rate| !rate.admit(now)) {
            target.skip(host, Skip::RateCap);
            return None;
        }
        let pair = match target.mirror.compare {
            Some(compare) if self.pairs.len() < self.limits.max_pairs => {
                let name = (compare.log_per_second > 0).then(|| {
                    let first = |name| lines(&complete.copied.head, name).next().unwrap_or_default();
                    pairing::name_of(first("x-request-id"), first(":method"), first(":path"))
                });
                Some(self.pairs.begin(index, name, now, target.mirror.timeout))
            }
            Some(_) => {
                target.counters.count(host, metrics::UNCOMPARED, ["pairs_cap", ""]);
                None
            }
            None => None,
        };
        self.ready.push_back(Ready { target: index, complete: Rc::clone(complete), pair });
        pair
    }

    /// Sets the timer, if a copy is in the queue.
    pub fn arm(&mut self, host: &impl Host) {
        if !self.ready.is_empty() {
            self.arm_at(host, Duration::ZERO);
        }
    }

    fn arm_at(&mut self, host: &impl Host, now: Duration) -> bool {
        // Copies in the queue are always due.
        let next = if self.ready.is_empty() { self.next_sweep } else { Some(Duration::ZERO) };
        let Some(period) = self.schedule.arm(now, next) else { return false };
        let is_set = host.set_tick_period(period).is_ok();
        if !is_set {
            self.schedule.disarm();
        }
        is_set
    }

    fn send(&mut self, host: &impl Host, ready: Ready, now: Duration) {
        let Ready { target: index, complete, pair } = ready;
        let Some(target) = self.targets.get_mut(index) else { return };
        // Envoy keeps its own copy until the answer. For the last mirror, our copy's memory is reused for this count.
        let is_last = Rc::strong_count(&complete) == 1;
        let held = if is_last { None } else { self.budget.hold(complete.copied.size()) };
        let sent = if is_last || held.is_some() {
            let circumstances = Circumstances {
                direction: complete.facts.direction,
                prefix: complete.facts.prefix,
                address: self.address.as_deref(),
                marker: self.marker_header.as_deref(),
            };
            target.call(host, &complete, circumstances, now)
        } else {
            target.skip(host, Skip::MemoryCap);
            None
        };
        let Some(token) = sent else {
            if let Some(pair) = pair {
                self.pairs.forget(pair);
            }
            return;
        };
        let facts = complete.facts;
        let held = held.or_else(|| Some(Rc::try_unwrap(complete).ok()?.copied.into_held()));
        self.flights.insert(token, Flight { target: index, sent: now, facts, pair, _held: held });
    }

    /// Both outcomes of a pair are known, or the time is up.
    fn close(&mut self, host: &impl Host, pair: &Pair) {
        let Some(target) = self.targets.get_mut(pair.target) else { return };
        let Some(how) = target.mirror.compare else { return };
        // If an end never came, the answer counts as reset.
        let [primary, shadow] = [pair.primary, pair.shadow].map(|outcome| outcome.unwrap_or(Outcome::Reset));
        let Comparison { result, is_body_uncompared, latency } = comparison::compare(&primary, &shadow, &how);
        let role = target.mirror.role.name();
        let class = match &primary {
            Outcome::Upstream(_) => primary.class(),
            _ => "unavailable",
        };
        let counters = &mut target.counters;
        counters.count(host, metrics::COMPARE, [role, result.name()]);
        counters.count(host, metrics::STATUS_PAIRS, [class, shadow.class()]);
        if is_body_uncompared {
            counters.count(host, metrics::UNCOMPARED, ["body_too_large", ""]);
        }
        if let Some((primary, shadow, verdict)) = latency {
            counters.count(host, metrics::LATENCY, [verdict, ""]);
            counters.record(host, metrics::PRIMARY_LATENCY, primary);
            counters.record(host, metrics::SHADOW_LATENCY, shadow);
        }
        let Some(name) = pair.name.as_ref().filter(|_| result.is_mismatch()) else { return };
        if target.log_rate.admit(host.monotonic_time().unwrap_or_default()) {
            let (mirror, result) = (&target.mirror.name, result.name());
            let (primary, shadow) = (primary.told(), shadow.told());
            log::warn!("shadow: mirror {mirror}: {result}: {name}: original {primary}, mirror {shadow}");
        }
    }

    /// Updates the gauge of held bytes, if it is too far out of date.
    pub fn tell_if_it_lags(&mut self, host: &impl Host) {
        if self.budget.held().abs_diff(self.buffered.told()) >= LAG {
            self.buffered.tell(host, self.budget.held());
        }
    }

    /// Updates the gauge of held bytes, unless a copy is in the queue: then the next tick does.
    pub fn tell_if_none_is_ready(&mut self, host: &impl Host) {
        if self.ready.is_empty() {
            self.buffered.tell(host, self.budget.held());
        }
    }

    fn tell(&mut self, host: &impl Host) {
        self.in_flight.tell(host, self.flights.len());
        self.buffered.tell(host, self.budget.held());
    }
}
