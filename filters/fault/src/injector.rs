//! Applies the rules to requests.

use core::mem;
use core::time::Duration;

use configuration::ConfigError;
use hashbrown::HashMap;
use host::property;
use host::{HeaderMap, Host, HostError, Reply};
use labels::response_flags;
use rules::matching::{RequestAtHand, RequestCache};
use rules::percentage::Percentage;
use rules::random::{self, Random};
use rules::schedule::Schedule;
use series::metric::LazyMetric;

use crate::abort::AbortKind;
use crate::config::{Abort, Aborts, Delays, FaultConfig, FaultEngine, FaultRule};
use crate::control;
use crate::limits::{AtOnce, RuleLimits};
use crate::metrics::{self, AbortCounters};

/// Host calls of a request when no rule can inject: none is configured, all are disabled or expired.
pub const CALLS_OF_NO_RULE: usize = 0;
/// Host calls of a request that lacks the only header in the rules' conditions. The call returns no bytes.
pub const CALLS_WITHOUT_HEADER: usize = 1;
/// Host calls of a request whose header has another value than the rule: the header's other lines are also read.
pub const CALLS_OF_OTHER_VALUE: usize = 2;
/// Host calls of a request with another path, method, authority, scheme or cluster than the rule.
pub const CALLS_OF_OTHER_PATH: usize = 1;
/// Host calls that return bytes, for any number of headers in the rules.
pub const MOST_HEADER_READS: usize = 3;

/// Default body of the answer, as in Envoy's own filter.
pub const DEFAULT_BODY: &str = "fault filter abort";
/// `%RESPONSE_CODE_DETAILS%` of an aborted request, as in Envoy's own filter.
pub const DETAILS: &str = "fault_filter_abort";

/// Most requests that continue per tick. More at once would block the worker.
const BATCH: usize = 256;

/// What the callback must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFlow {
    /// Let the request go on.
    Pass,
    /// Stop the request: it was answered or reset. It needs a [`response_flags::Mark`] until it ends.
    Stop,
    /// Stop the request: it continues later. If it ends before, call [`Injector::on_request_gone`]. It needs a
    /// [`response_flags::Mark`] until it ends.
    Wait,
}

/// Fault injection on one worker.
pub struct Injector {
    config: FaultConfig,
    rules: Vec<FaultRuleState>,
    /// How many of the rules, from the first, need to be looked at: those after these can do nothing.
    usable: usize,
    root_id: u32,
    random: Random,
    active: LazyMetric,
    /// `maxActiveFaults` of all rules together.
    at_once: Option<AtOnce>,
    schedule: Schedule,
    waiting: HashMap<u32, Waiting>,
    known: RequestCache,
}

/// What a rule counts.
struct FaultRuleState {
    limits: RuleLimits,
    delays: LazyMetric,
    aborts: AbortCounters,
    overflow: LazyMetric,
    cancelled: LazyMetric,
}

/// What is to be done to a request.
struct PlannedFault {
    rule: usize,
    delay: Option<Duration>,
    abort: Option<PlannedAbort>,
}

/// An abort, if its percentage is drawn.
#[derive(Clone, Copy)]
struct PlannedAbort {
    kind: AbortKind,
    percentage: Percentage,
    draw: Draw,
}

/// The random number for a percentage.
#[derive(Clone, Copy)]
enum Draw {
    /// Drawn when needed.
    Random,
    /// Computed from the sampling key.
    Stable(u64),
}

/// A delayed request.
struct Waiting {
    rule: usize,
    until: Duration,
    abort: Option<PlannedAbort>,
}

impl Injector {
    /// Reads the plugin configuration. Has no visible effect, because Envoy configures more root contexts than it has
    /// workers.
    pub fn new(json: &[u8], host: &impl Host, root_id: u32) -> Result<Self, ConfigError> {
        let mut config = FaultConfig::parse(json)?;
        config.look_at_node(host);
        let prefix = config.stat_prefix.as_str();
        let plugin = host.text(property::PLUGIN_NAME).unwrap_or_default();
        let state = |rule: &FaultRule| {
            let counter = |name| LazyMetric::counter(prefix, name, &[("rule", &rule.name)]);
            FaultRuleState {
                limits: RuleLimits::new(rule, &plugin, prefix, host),
                delays: counter(metrics::DELAYS),
                aborts: AbortCounters::new(prefix, &rule.name),
                overflow: counter(metrics::OVERFLOW),
                cancelled: counter(metrics::CANCELLED),
            }
        };
        let gauge_of_plugin = || LazyMetric::gauge(prefix, metrics::PLUGIN_ACTIVE, &[("plugin", &plugin)]);
        let mut injector = Self {
            rules: config.rules.iter().map(state).collect(),
            usable: 0,
            root_id,
            random: Random::from_host(host, root_id),
            active: LazyMetric::gauge(prefix, metrics::ACTIVE, &[]),
            at_once: config.max_active.map(|max| AtOnce::new(gauge_of_plugin(), max)),
            schedule: Schedule::default(),
            waiting: HashMap::new(),
            known: RequestCache::default(),
            config,
        };
        injector.find_usable();
        injector.look_at_expiry(host);
        let now = host.monotonic_time().unwrap_or_default();
        if !injector.arm(host, now) {
            log::warn!("fault: without a timer, nothing is delayed");
        }
        Ok(injector)
    }

    /// Messages about the configuration for the operator; true marks a warning.
    pub fn remarks(&self, host: &impl Host) -> Vec<(bool, String)> {
        let mut remarks: Vec<_> = self.config.warnings.iter().map(|warning| (true, warning.clone())).collect();
        if self.config.rules.is_empty() {
            remarks.push((false, "empty configuration, nothing will be injected".into()));
        } else if !self.config.enabled {
            remarks.push((false, "not enabled, nothing will be injected".into()));
        } else if self.has_expired(host) {
            remarks.push((true, format!("expired at {}, nothing will be injected", self.config.expires.text)));
        }
        remarks
    }

    /// The request passes on its way; `id` is that of its context.
    pub fn on_request(&mut self, host: &impl Host, id: u32) -> RequestFlow {
        let plan = if self.usable == 0 { None } else { self.plan(host) };
        if self.config.engine == FaultEngine::Envoy {
            self.tell_envoy(host, plan);
            return RequestFlow::Pass;
        }
        match plan {
            Some(PlannedFault { rule, delay: Some(delay), abort }) => self.hold(host, id, (rule, delay, abort)),
            Some(PlannedFault { rule, delay: None, abort: Some(abort) }) => self.abort(host, rule, &abort, false),
            _ => RequestFlow::Pass,
        }
    }

    /// Continues or aborts the requests whose delay is over.
    pub fn on_tick(&mut self, host: &impl Host) {
        self.schedule.disarm();
        let now = host.monotonic_time().unwrap_or_default();
        for _ in 0..BATCH {
            let Some((deadline, id)) = self.schedule.take_due(now) else { break };
            let is_it = self.waiting.get(&id).is_some_and(|waiting| waiting.until == deadline);
            if let Some(waiting) = self.waiting.remove(&id).filter(|_| is_it) {
                self.go_on(host, id, &waiting);
            }
        }
        report("the root context is not to be found", host.set_context(self.root_id));
        self.look_at_expiry(host);
        // Envoy's timer is periodic.
        report("the timer does not stop", host.set_tick_period(Duration::ZERO));
        self.arm(host, now);
    }

    /// A request ended during its delay.
    pub fn on_request_gone(&mut self, host: &impl Host, id: u32) {
        let Some(waiting) = self.waiting.remove(&id) else { return };
        self.count_active(host, waiting.rule, -1);
        if let Some(state) = self.rules.get_mut(waiting.rule) {
            state.cancelled.add(host, 1);
        }
        let waiting = &self.waiting;
        self.schedule.forget(waiting.len(), |id| waiting.contains_key(&id));
    }

    /// The configuration ends: its delayed requests are no longer counted.
    pub fn on_end(&mut self, host: &impl Host) {
        for (_, waiting) in mem::take(&mut self.waiting) {
            self.count_active(host, waiting.rule, -1);
        }
    }

    /// What the first rule that the request matches wants, if it is not at its limits.
    fn plan(&mut self, host: &impl Host) -> Option<PlannedFault> {
        self.known.forget(&self.config.headers);
        let mut request = RequestAtHand::new(host, &self.config.headers, &mut self.known);
        let rules = self.config.rules.iter().take(self.usable).enumerate();
        let (index, rule) = { rules }.find(|(_, rule)| request.is_meant_by(&rule.matches))?;
        if self.config.expires.at.is_some() && self.has_expired(host) {
            self.usable = 0;
            return None;
        }
        let mut request = RequestAtHand::new(host, &self.config.headers, &mut self.known);
        let delay = rule.delay.as_ref().and_then(|delay| match &delay.delays {
            Delays::Always(length) => Some((*length, delay.percentage)),
            Delays::AsAsked { headers, max } => {
                let length = headers.delay(&mut request, *max)?;
                Some((length, headers.percentage(&mut request, delay.percentage)))
            }
        });
        let abort = rule.abort.as_ref().and_then(|abort| match &abort.aborts {
            Aborts::Always(kind) => Some((*kind, abort.percentage)),
            Aborts::AsAsked(headers) => {
                let kind = headers.abort(&mut request)?;
                Some((kind, headers.percentage(&mut request, abort.percentage)))
            }
        });
        let key = rule.sampling.key(&mut request);
        if self.config.strip_control_headers {
            strip(host, rule);
        }
        let state = self.rules.get_mut(index)?;
        if !state.limits.admit(host) {
            if state.limits.are_exhausted() {
                self.find_usable();
            }
            return None;
        }
        let draw = |salt| match &key {
            Some(key) => Draw::Stable(random::stable(salt, key.iter().copied())),
            None => Draw::Random,
        };
        let (of_delay, of_abort) = (draw("delay"), draw("abort"));
        let jitter = rule.delay.as_ref().map(|delay| delay.jitter).unwrap_or_default();
        let delay = delay.filter(|(_, percentage)| percentage.has(|| number(of_delay, &mut self.random)));
        Some(PlannedFault {
            rule: index,
            delay: delay.map(|(length, _)| length.saturating_add(self.longer_by(jitter))),
            abort: abort.map(|(kind, percentage)| PlannedAbort { kind, percentage, draw: of_abort }),
        })
    }

    fn longer_by(&mut self, jitter: Duration) -> Duration {
        let milliseconds = u64::try_from(jitter.as_millis()).unwrap_or_default();
        if milliseconds == 0 {
            Duration::ZERO
        } else {
            Duration::from_millis(self.random.up_to(milliseconds))
        }
    }

    fn hold(
        &mut self,
        host: &impl Host,
        id: u32,
        (rule, delay, abort): (usize, Duration, Option<PlannedAbort>),
    ) -> RequestFlow {
        // Without a clock the request would wait for ever.
        let Some(now) = host.monotonic_time() else { return RequestFlow::Pass };
        if self.overflows(host, rule) {
            return RequestFlow::Pass;
        }
        let until = now.saturating_add(delay);
        self.schedule.push(until, id);
        if !self.arm(host, now) {
            return RequestFlow::Pass;
        }
        self.waiting.insert(id, Waiting { rule, until, abort });
        self.count_active(host, rule, 1);
        if let Some(state) = self.rules.get_mut(rule) {
            state.limits.injected(host);
            state.delays.add(host, 1);
        }
        tell(host, response_flags::DELAY);
        RequestFlow::Wait
    }

    /// A delay is over.
    fn go_on(&mut self, host: &impl Host, id: u32, waiting: &Waiting) {
        self.count_active(host, waiting.rule, -1);
        if let Err(error) = host.set_context(id) {
            log::debug!("fault: a delayed request is gone: {error}");
            return;
        }
        let flow = waiting.abort.as_ref().map(|abort| self.abort(host, waiting.rule, abort, true));
        if flow != Some(RequestFlow::Stop) {
            report("a delayed request does not go on", host.resume_request());
        }
    }

    /// Ends the request, if it is to be ended.
    fn abort(&mut self, host: &impl Host, rule: usize, abort: &PlannedAbort, was_delayed: bool) -> RequestFlow {
        if !abort.percentage.has(|| number(abort.draw, &mut self.random)) || self.overflows(host, rule) {
            return RequestFlow::Pass;
        }
        let Some(configured) = self.config.rules.get(rule).and_then(|rule| rule.abort.as_ref()) else {
            return RequestFlow::Pass;
        };
        let ended = match abort.kind {
            AbortKind::Http(status) => host.reply(&reply(configured, status, None)),
            AbortKind::Grpc(status) => host.reply(&reply(configured, 200, Some(status))),
            AbortKind::Reset => host.reset_request(),
        };
        if ended.is_err() {
            report("a request is not aborted", ended);
            return RequestFlow::Pass;
        }
        tell(host, if was_delayed { response_flags::DELAY | response_flags::FAULT } else { response_flags::FAULT });
        if let Some(state) = self.rules.get_mut(rule) {
            state.aborts.count(host, abort.kind);
            if !was_delayed {
                state.limits.injected(host);
            }
        }
        RequestFlow::Stop
    }

    /// Whether `maxActiveFaults` is reached; if so, counts the overflow.
    fn overflows(&mut self, host: &impl Host, rule: usize) -> bool {
        let Some(state) = self.rules.get_mut(rule) else { return true };
        if self.at_once.as_mut().is_some_and(|at_once| at_once.is_full(host)) || state.limits.is_full(host) {
            state.overflow.add(host, 1);
            return true;
        }
        false
    }

    /// Changes the number of requests that a rule delays.
    fn count_active(&mut self, host: &impl Host, rule: usize, by: i64) {
        self.active.add(host, by);
        if let Some(at_once) = &mut self.at_once {
            at_once.count(host, by);
        }
        if let Some(state) = self.rules.get_mut(rule) {
            state.limits.count(host, by);
        }
    }

    /// Has Envoy's own filter do what is planned, and nothing that the client asks for.
    fn tell_envoy(&mut self, host: &impl Host, plan: Option<PlannedFault>) {
        control::remove(host, &control::EFFECTIVE);
        let Some(PlannedFault { rule, delay, abort }) = plan else { return };
        let abort = abort.filter(|abort| abort.percentage.has(|| number(abort.draw, &mut self.random)));
        if delay.is_none() && abort.is_none() {
            return;
        }
        control::remove(host, &[control::DELAY_PERCENTAGE, control::ABORT_PERCENTAGE]);
        let set = |name, value: &str| report(name, host.replace_header(HeaderMap::Request, name, value));
        if let Some(delay) = delay {
            set(control::DELAY, &u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).to_string());
        }
        match abort.map(|abort| abort.kind) {
            Some(AbortKind::Http(status)) => set(control::ABORT, &status.to_string()),
            Some(AbortKind::Grpc(status)) => set(control::ABORT_GRPC, &status.to_string()),
            Some(AbortKind::Reset) | None => {}
        }
        if let Some(state) = self.rules.get_mut(rule) {
            state.limits.injected(host);
            if delay.is_some() {
                state.delays.add(host, 1);
            }
            if let Some(abort) = abort {
                state.aborts.count(host, abort.kind);
            }
        }
    }

    fn has_expired(&self, host: &impl Host) -> bool {
        self.config.expires.at.is_some_and(|end| host.wall_time().is_none_or(|now| now >= end))
    }

    fn look_at_expiry(&mut self, host: &impl Host) {
        if self.usable > 0 && self.has_expired(host) {
            self.usable = 0;
        }
    }

    /// Even a rule that cannot inject hides later rules from its requests. So only such rules at the end are skipped.
    fn find_usable(&mut self) {
        let is_usable = |(rule, state): (&FaultRule, &FaultRuleState)| !rule.is_idle() && !state.limits.are_exhausted();
        let last = self.config.rules.iter().zip(&self.rules).rposition(is_usable);
        self.usable = last.filter(|_| self.config.enabled).map_or(0, |last| last.saturating_add(1));
    }

    /// Sets the timer if needed. False if this fails.
    fn arm(&mut self, host: &impl Host, now: Duration) -> bool {
        let expiry = self.config.expires.at.filter(|_| self.usable > 0);
        let expiry = expiry.map(|end| now.saturating_add(end.saturating_sub(host.wall_time().unwrap_or(end))));
        let Some(period) = self.schedule.arm(now, expiry) else { return true };
        let is_set = host.set_tick_period(period).is_ok();
        if !is_set {
            self.schedule.disarm();
        }
        is_set
    }
}

/// The number for a percentage.
fn number(draw: Draw, random: &mut Random) -> u64 {
    match draw {
        Draw::Random => random.draw(),
        Draw::Stable(number) => number,
    }
}

fn reply(abort: &Abort, status: u16, grpc_status: Option<u8>) -> Reply<'_> {
    let body = match status {
        // These statuses have no body, even if one is configured.
        204 | 304 => "",
        _ => abort.body.as_deref().unwrap_or(DEFAULT_BODY),
    };
    Reply { status, grpc_status, details: DETAILS, body: body.as_bytes(), headers: &abort.headers }
}

/// Takes off what the rule has read.
fn strip(host: &impl Host, rule: &FaultRule) {
    if rule.delay.as_ref().is_some_and(|delay| matches!(delay.delays, Delays::AsAsked { .. })) {
        control::remove(host, &[control::DELAY, control::DELAY_PERCENTAGE]);
    }
    if rule.abort.as_ref().is_some_and(|abort| matches!(abort.aborts, Aborts::AsAsked(_))) {
        control::remove(host, &[control::ABORT, control::ABORT_GRPC, control::ABORT_PERCENTAGE]);
    }
}

/// Sets the response flags of the fault for other filters and access logs.
fn tell(host: &impl Host, flags: u64) {
    report(response_flags::FAULT_FLAGS, response_flags::tell_faults(host, flags));
}

fn report(what: &str, result: Result<(), HostError>) {
    if let Err(error) = result {
        log::debug!("fault: {what}: {error}");
    }
}

#[cfg(test)]
mod tests;
