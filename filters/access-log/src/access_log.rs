//! The filter on one worker: decides whether a stream gets a line, then writes it.

use core::mem;
use core::time::Duration;

use configuration::{ConfigError, Problem};
use expression::evaluation::Value;
use host::property;
use host::{Host, StateKind, WarmCalls};
use labels::content_type::is_grpc;
use labels::direction::Direction;
use labels::facts::{AlreadyRead, Facts};
use labels::peer::Peer;
use labels::resolver::Resolver;
use labels::response_flags::Mark;
use labels::stream::Stream;

use crate::config::{Format, LogConfig};
use crate::fields::Made;
use crate::line::{ConnectionEvent, Moment, Writer};
use crate::plan::{LinePlan, ValuePlace};
use crate::planner::{self, CONTENT_TYPE};
use crate::policy::{Policy, DECISION};
use crate::reads::{Reads, Values};
use crate::time::nanoseconds;

/// Filter state in which Envoy's access logger finds the line, with its newline; Envoy adds the prefix `wasm.`.
pub const LINE: &str = "access_log";

/// Host calls of a warm request with the default fields, a known peer and mutual TLS.
pub const WARM_CALLS: WarmCalls = WarmCalls { inbound: 20, outbound: 20 };
/// Host calls of a warm request without a line: reads for the policy, and the write of the decision.
pub const WARM_CALLS_WITHOUT_LINE: WarmCalls = WarmCalls { inbound: 4, outbound: 4 };

/// How often to clear what a configuration update may have changed.
const REFRESH: Duration = Duration::from_secs(15);

/// The access log on one worker.
pub struct AccessLog {
    reporting_period: Option<Duration>,
    open_line: bool,
    no_lines: bool,
    policy: Policy,
    reads: Reads,
    lines: Lines,
    tcp: bool,
    resolver: Resolver,
    /// Whether a value of the ending stream was already read.
    has_begun: bool,
    /// Makes every stream read its injected faults.
    _mark: Option<Mark>,
}

/// Writes lines.
struct Lines {
    plan: LinePlan,
    writer: Writer,
    evaluated: Vec<Option<Value>>,
    needs_time: bool,
    content_type: usize,
}

/// Values that stats has read of the ending request.
#[derive(Clone, Copy, Debug)]
pub struct FromStats<'a> {
    /// The facts behind the labels.
    pub facts: &'a Facts,
    /// Duration in nanoseconds; `None` if it was not read.
    pub duration: Option<u64>,
}

/// State of a live connection.
#[derive(Debug, Default)]
pub struct LoggedConnection {
    /// What the policy said, once it did.
    decision: Option<bool>,
    /// Bytes received and sent, as of the previous line.
    told: [i64; 2],
    /// Whether filter state holds a line.
    has_line: bool,
}

impl AccessLog {
    /// Reads the configuration and this proxy's metadata. Call it while the plugin is configured.
    pub fn new(json: &[u8], host: &impl Host) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let config = LogConfig::parse_with(json, &mut problems);
        let access_log = Self::of_config(&config, Peer::local(host, &[]), host, &mut problems);
        ConfigError::unless_empty(problems)?;
        access_log.declare(host);
        Ok(access_log)
    }

    /// Creates the filter from a parsed configuration. `local` is this proxy's metadata. Call it while the plugin is
    /// configured. The result is not usable if there are `problems`.
    #[inline(never)]
    pub fn of_config(config: &LogConfig, local: Peer, host: &impl Host, problems: &mut Vec<Problem>) -> Self {
        let root_id = host.text(property::PLUGIN_ROOT_ID).unwrap_or_default();
        let vm_id = host.text(property::PLUGIN_VM_ID).unwrap_or_default();
        let tcp = [&root_id, &vm_id].iter().any(|id| id.starts_with("tcp_"));
        let mut reads = Reads::default();
        let plan = planner::plan(config, tcp, host, &mut reads, problems);
        let policy = Policy::new(&config.policy, host, &mut reads, problems);
        let resolver = Resolver::new(local, &root_id, plan.needs, !config.disable_host_header_fallback);
        Self {
            reporting_period: config.period,
            open_line: config.open_line,
            no_lines: config.format == Format::None,
            policy,
            lines: Lines::new(config, tcp, plan, &mut reads),
            reads,
            tcp,
            resolver,
            has_begun: false,
            _mark: config.fault_flags.then(Mark::new),
        }
    }

    /// Tells Envoy of the filter state that it writes. Call it once, while the plugin is configured: Envoy takes no key twice.
    pub fn declare(&self, host: &impl Host) {
        for key in [LINE, DECISION] {
            if let Err(error) = host.declare_filter_state(key, StateKind::Text) {
                log::warn!("access_log: filter state {key} is bytes to expressions: {error}");
            }
        }
    }

    /// Period of the timer: half of the period in which Envoy prints lines of live connections, so that no line is printed
    /// twice.
    pub fn tick_period(&self) -> Duration {
        self.reporting_period.and_then(|period| period.checked_div(2)).unwrap_or(REFRESH)
    }

    /// Clears what a configuration update may have changed: the services of clusters, and our certificates. Call it with
    /// every tick.
    pub fn refresh(&mut self) {
        self.resolver.refresh();
    }

    /// Whether the ending request is gRPC, if the line needs all its headers anyway. Call it at most once, before
    /// [`Self::on_request_end`].
    pub fn is_grpc(&mut self, host: &impl Host) -> Option<bool> {
        self.reads.clear();
        self.has_begun = true;
        let all = self.policy.is_all() && self.reads.has_request_headers();
        all.then(|| self.reads.values(host).bytes(self.lines.content_type).is_some_and(is_grpc))
    }

    /// A request ends. `stats` holds values that were already read.
    pub fn on_request_end(&mut self, host: &impl Host, stats: Option<FromStats>) {
        self.on_event(host, None, stats, false);
    }

    /// A connection begins.
    pub fn on_connection_open(&mut self, host: &impl Host, connection: &mut LoggedConnection) {
        if self.open_line {
            self.on_event(host, Some((ConnectionEvent::Open, connection)), None, false);
        } else if self.reporting_period.is_some() && !self.policy.is_known_in_tick() {
            self.reads.clear();
            let values = self.reads.values(host);
            let direction = self.resolver.known_direction();
            connection.decision = Some(self.policy.decide(host, &values, direction, self.tcp, false));
        }
    }

    /// A connection lives on. Called within a tick.
    pub fn on_connection_tick(&mut self, host: &impl Host, connection: &mut LoggedConnection) {
        if self.reporting_period.is_some() {
            self.on_event(host, Some((ConnectionEvent::Continue, connection)), None, true);
        }
    }

    /// A connection ends.
    pub fn on_connection_end(&mut self, host: &impl Host, connection: &mut LoggedConnection) {
        self.on_event(host, Some((ConnectionEvent::Close, connection)), None, false);
    }

    /// Whether connections have lines before they end.
    pub fn has_live_lines(&self) -> bool {
        self.open_line || self.reporting_period.is_some()
    }

    /// Decides, if possible only once for each stream; writes the decision to filter state; writes the line.
    fn on_event<H: Host>(
        &mut self,
        host: &H,
        connection: Option<(ConnectionEvent, &mut LoggedConnection)>,
        stats: Option<FromStats>,
        within_tick: bool,
    ) {
        let (before, ends) = match &connection {
            Some((event, connection)) => (connection.decision, *event == ConnectionEvent::Close),
            None => (None, true),
        };
        if !mem::take(&mut self.has_begun) {
            self.reads.clear();
        }
        let values = self.reads.values(host);
        if let Some(FromStats { facts, duration }) = stats {
            values.know(facts, duration.and_then(|time| i64::try_from(time).ok()));
        }
        // Whether it is an error is known only at the end.
        let decision = match before {
            Some(true) => true,
            Some(false) if !ends => false,
            _ if self.policy.needs_end() && !ends => false,
            _ => {
                let direction = stats.map(|stats| stats.facts.direction).or(self.resolver.known_direction());
                self.policy.decide(host, &values, direction, self.tcp, within_tick)
            }
        };
        if !self.policy.is_all() && before != Some(decision) {
            tell(host, decision);
        }
        let makes_line = decision && !self.no_lines;
        let told = connection.as_ref().map(|(event, connection)| (*event, connection.told));
        if makes_line {
            let read;
            let facts = match stats {
                Some(stats) => stats.facts,
                None => {
                    read = self.lines.facts(host, &values, &mut self.resolver, self.tcp);
                    &read
                }
            };
            self.lines.write(host, &values, &self.resolver.resolve(host, facts), told, within_tick);
        }
        if let Some((_, connection)) = connection {
            connection.decision = Some(decision);
            if makes_line {
                let slots = &self.lines.plan.slots;
                connection.told = [slots.received, slots.sent].map(|slot| values.int(slot).unwrap_or(0));
            } else if connection.has_line {
                let _ = host.set_filter_state(LINE, b"");
            }
            connection.has_line = makes_line;
        }
    }
}

impl Lines {
    fn new(config: &LogConfig, tcp: bool, plan: LinePlan, reads: &mut Reads) -> Self {
        let times = |place: &ValuePlace| matches!(place, ValuePlace::Made(Made::Elapsed | Made::ElapsedWhenClosed));
        Self {
            needs_time: plan.needs_now || tcp && plan.cells.iter().flat_map(|cell| &cell.places).any(times),
            content_type: if plan.needs.labels && !tcp { reads.slot(CONTENT_TYPE.0) } else { usize::MAX },
            plan,
            writer: Writer::new(config.ascii, config.max_line),
            evaluated: Vec::new(),
        }
    }

    /// The facts of the current stream that the line needs.
    fn facts<H: Host>(&self, host: &H, values: &Values<H>, resolver: &mut Resolver, tcp: bool) -> Facts {
        if !self.plan.needs.labels {
            return Facts::unknown(Direction::Outbound);
        }
        let facts = if tcp {
            resolver.facts_of_connection(host)
        } else {
            let grpc = values.bytes(self.content_type).is_some_and(is_grpc);
            resolver.facts_of_request(host, AlreadyRead { grpc: Some(grpc), ..AlreadyRead::default() })
        };
        values.know(&facts, None);
        facts
    }

    /// Writes the line of the current stream to filter state.
    fn write<H: Host>(
        &mut self,
        host: &H,
        values: &Values<H>,
        stream: &Stream,
        connection: Option<(ConnectionEvent, [i64; 2])>,
        within_tick: bool,
    ) {
        self.evaluated.clear();
        if !within_tick {
            let engines = self.plan.engines.iter();
            self.evaluated.extend(engines.map(|(engine, kind)| engine.value(host, *kind)));
        }
        let now = if self.needs_time { nanoseconds(host) } else { 0 };
        let moment = Moment { values, evaluated: &self.evaluated, stream, now, connection };
        let line = self.writer.line(&self.plan, &moment);
        if let Err(error) = host.set_filter_state(LINE, line) {
            log::warn!("access_log: a line is lost: {error}");
        }
    }
}

/// Writes the decision for other access loggers.
fn tell(host: &impl Host, decision: bool) {
    let text: &[u8] = if decision { b"yes" } else { b"no" };
    if let Err(error) = host.set_filter_state(DECISION, text) {
        log::debug!("access log: the decision is not told: {error}");
    }
}

#[cfg(test)]
mod tests;
