//! The filter on one worker: a decision, then a line.

use core::time::Duration;

use mesh_common::batch::{Batch, Values};
use mesh_common::config::ConfigError;
use mesh_common::evaluation::Value;
use mesh_common::host::{Host, StateKind, WarmCalls};
use mesh_common::peer::Peer;
use mesh_common::property;

use crate::config::{Config, Format};
use crate::fields::Made;
use crate::line::{Event, Moment, Writer};
use crate::plan::{Place, Plan};
use crate::policy::{Policy, DECISION};
use crate::sides::{Reader, Sides};
use crate::time::nanoseconds;

/// Filter state in which the native access logger finds the line, with its newline; Envoy adds the prefix `wasm.`.
pub const LINE: &str = "access_log";

/// What a warm request takes with the default fields: the attributes, the peer, the line.
pub const WARM_CALLS: WarmCalls = WarmCalls { inbound: 3, outbound: 3 };
/// What a request takes that the policy leaves out: the attributes that the policy needs, and to tell the decision.
pub const WARM_CALLS_WITHOUT_LINE: WarmCalls = WarmCalls { inbound: 2, outbound: 2 };

/// The access log on one worker.
pub struct AccessLog {
    /// How often there are to be lines of live connections.
    pub reporting_period: Option<Duration>,
    lines: Lines,
    policy: Policy,
    batch: Batch,
    reader: Reader,
    open_line: bool,
}

/// What makes lines of what is known already.
pub struct Lines {
    plan: Plan,
    writer: Writer,
    evaluated: Vec<Option<Value>>,
    none: bool,
    needs_time: bool,
}

/// What is remembered of a live connection.
#[derive(Debug, Default)]
pub struct Connection {
    /// What the policy said, once it did.
    decision: Option<bool>,
    /// Bytes received and sent by the line before.
    told: [i64; 2],
    /// Whether there is a line in filter state.
    has_line: bool,
}

impl Lines {
    /// Plans the lines of requests, or of connections. The attributes that they take are added to `batch`, which must be
    /// compiled afterwards.
    pub fn new(
        config: &Config,
        tcp: bool,
        host: &impl Host,
        batch: &mut Batch,
        problems: &mut Vec<mesh_common::config::Problem>,
    ) -> Self {
        let plan = Plan::new(config, tcp, host, batch, problems);
        let times = |place: &Place| matches!(place, Place::Made(Made::Elapsed | Made::ElapsedWhenClosed));
        let needs_time = plan.needs_now || tcp && plan.cells.iter().flat_map(|cell| &cell.places).any(times);
        Self {
            plan,
            writer: Writer::new(config.ascii, config.max_line),
            evaluated: Vec::new(),
            none: config.format == Format::None,
            needs_time,
        }
    }

    /// Makes the line of the current stream and puts it into filter state. `values` are what the batch read, `sides` who
    /// called whom.
    pub fn write(
        &mut self,
        host: &impl Host,
        values: &Values,
        sides: &impl Sides,
        connection: Option<(Event, [i64; 2])>,
        within_tick: bool,
    ) {
        self.evaluated.clear();
        if !within_tick {
            let engines = self.plan.engines.iter();
            self.evaluated.extend(engines.map(|(engine, kind)| engine.value(host, *kind)));
        }
        let now = if self.needs_time { nanoseconds(host) } else { 0 };
        let moment = Moment { values, evaluated: &self.evaluated, sides, now, connection };
        let line = self.writer.line(&self.plan, &moment);
        if let Err(error) = host.set_filter_state(LINE, line) {
            log::warn!("access log: a line is lost: {error}");
        }
    }
}

impl AccessLog {
    /// Reads the configuration and who this proxy is. Call it while the plugin is configured.
    pub fn new(json: &[u8], host: &impl Host) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let config = Config::parse_with(json, &mut problems);
        let tcp = [property::PLUGIN_VM_ID, property::PLUGIN_ROOT_ID]
            .into_iter()
            .any(|path| host.property(path).is_some_and(|id| id.starts_with(b"tcp_")));
        let mut batch = Batch::default();
        let lines = Lines::new(&config, tcp, host, &mut batch, &mut problems);
        let policy = Policy::new(&config.policy, host, &mut problems);
        ConfigError::unless_empty(problems)?;
        let local = Peer::local(host, &[]);
        let reader = Reader::new(local, lines.plan.needs, !config.disable_host_header_fallback, &mut batch);
        batch.compile(host);
        for key in [LINE, DECISION] {
            if let Err(error) = host.declare_filter_state(key, StateKind::Text) {
                log::warn!("access log: filter state {key} is bytes to expressions: {error}");
            }
        }
        Ok(Self { reporting_period: config.period, lines, policy, batch, reader, open_line: config.open_line })
    }

    /// A request ends.
    pub fn on_request_end(&mut self, host: &impl Host) {
        if self.policy.is_all() {
            self.line(host, None, false);
            return;
        }
        let decision = self.policy.decide(host, false, false);
        tell(host, decision);
        if decision {
            self.line(host, None, false);
        }
    }

    /// A connection begins.
    pub fn on_connection_open(&mut self, host: &impl Host, connection: &mut Connection) {
        if self.open_line {
            self.on_connection(host, connection, Event::Open, false);
        } else if self.reporting_period.is_some() && !self.policy.is_known_in_tick() {
            connection.decision = Some(self.policy.decide(host, true, false));
        }
    }

    /// A connection lives on. Called within a tick.
    pub fn on_connection_tick(&mut self, host: &impl Host, connection: &mut Connection) {
        self.on_connection(host, connection, Event::Continue, true);
    }

    /// A connection ends.
    pub fn on_connection_end(&mut self, host: &impl Host, connection: &mut Connection) {
        self.on_connection(host, connection, Event::Close, false);
    }

    /// Whether connections have lines before they end.
    pub fn has_live_lines(&self) -> bool {
        self.open_line || self.reporting_period.is_some()
    }

    fn on_connection(&mut self, host: &impl Host, connection: &mut Connection, event: Event, within_tick: bool) {
        let ends = event == Event::Close;
        // Whether it is an error shows in the end; all else is decided once.
        let decision = match connection.decision {
            Some(true) => true,
            Some(false) if !ends => false,
            _ if self.policy.needs_end() && !ends => false,
            _ => self.policy.decide(host, true, within_tick),
        };
        if !self.policy.is_all() && (connection.decision != Some(decision)) {
            tell(host, decision);
        }
        connection.decision = Some(decision);
        if decision {
            self.line(host, Some((event, &mut *connection)), within_tick);
            connection.has_line = true;
        } else if connection.has_line {
            let _ = host.set_filter_state(LINE, b"");
            connection.has_line = false;
        }
    }

    fn line(&mut self, host: &impl Host, connection: Option<(Event, &mut Connection)>, within_tick: bool) {
        if self.lines.none {
            return;
        }
        let values = self.batch.read(host, within_tick);
        let found = self.reader.read(host, &values);
        let told = connection.as_ref().map(|(event, connection)| (*event, connection.told));
        self.lines.write(host, &values, &found, told, within_tick);
        if let Some((_, connection)) = connection {
            let slots = &self.lines.plan.slots;
            connection.told = [slots.received, slots.sent].map(|slot| values.int(slot).unwrap_or(0));
        }
    }
}

/// Tells other access loggers what was decided.
fn tell(host: &impl Host, decision: bool) {
    let text: &[u8] = if decision { b"yes" } else { b"no" };
    if let Err(error) = host.set_filter_state(DECISION, text) {
        log::debug!("access log: the decision is not told: {error}");
    }
}

#[cfg(test)]
mod tests;
