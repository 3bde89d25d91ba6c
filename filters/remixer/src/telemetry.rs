//! Metadata exchange, stats and, if configured, the access log in one pass.

use core::time::Duration;

use access_log::access_log::{AccessLog, FromStats};
use access_log::config::Config as LogConfig;
use configuration::ConfigError;
use host::{Host, WarmCalls};
use labels::facts::AlreadyRead;
use labels::peer::Peer;
use metadata_exchange::exchange::{self, Exchange, Found, Shares};
use stats::stats::Stats;

use crate::config::Config;

/// Host calls of a warm request, if the peer supports the exchange, under mutual TLS, with the standard metrics and labels.
pub const WARM_CALLS: WarmCalls = WarmCalls { inbound: 17, outbound: 18 };

/// The same, with the default line of the access log.
pub const WARM_CALLS_WITH_LINE: WarmCalls = WarmCalls { inbound: 30, outbound: 31 };

/// The filters on one worker.
pub struct Telemetry {
    /// Time between two reports of a live request.
    pub reporting_period: Duration,
    exchange: Exchange,
    stats: Stats,
    access_log: Option<AccessLog>,
}

/// State of a request.
#[derive(Debug, Default)]
pub struct Request {
    /// `None` until the request's headers arrive.
    exchange: Option<exchange::Stream>,
    stats: stats::stats::Request,
}

impl Telemetry {
    /// Reads the configuration. Call it while the plugin is configured.
    pub fn new(json: &[u8], host: &impl Host) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let config = Config::parse_with(json, &mut problems);
        let local = Peer::local(host, &config.metadata_exchange.additional_labels);
        let mut of_stats = Vec::new();
        let stats = Stats::of_config(&config.stats, &local, host, &mut of_stats);
        problems.extend(of_stats.into_iter().map(|problem| problem.within("stats")));
        let mut of_log = Vec::new();
        let access_log =
            config.access_log.as_ref().map(|config| AccessLog::of_config(config, local.clone(), host, &mut of_log));
        problems.extend(of_log.into_iter().map(|problem| problem.within("access_log")));
        ConfigError::unless_empty(problems)?;
        exchange::declare_peers(host);
        // Configured expressions may read the peer; the standard labels do not.
        let log_has_expressions = config.access_log.as_ref().is_some_and(LogConfig::has_expressions);
        let shares = match (config.stats.has_expressions() || log_has_expressions, config.share_peers) {
            (true, _) => Shares::All,
            (false, true) => Shares::Peers,
            (false, false) => Shares::Nothing,
        };
        let exchange = Exchange::new(&local, config.metadata_exchange.max_peer_cache_size, host).sharing(shares);
        Ok(Self { reporting_period: stats.reporting_period, exchange, stats, access_log })
    }

    /// Writes peers to filter state from now on, for a filter that was added later.
    pub fn share_peers(&mut self) {
        self.exchange.share_peers();
    }

    /// The request's headers arrive.
    pub fn on_request_headers(&mut self, host: &impl Host, request: &mut Request) {
        request.exchange = Some(self.exchange.on_request_headers(host));
    }

    /// The response's headers arrive.
    pub fn on_response_headers(&mut self, host: &impl Host, request: &mut Request) {
        if let Some(exchange) = &mut request.exchange {
            self.exchange.on_response_headers(host, exchange);
        }
    }

    /// A request continues. A tick calls this.
    pub fn on_request_tick(&mut self, host: &impl Host, request: &mut Request) {
        self.stats.on_request_tick(
            host,
            &mut request.stats,
            already_read(request.exchange.as_ref().map(|exchange| exchange.found.clone())),
        );
    }

    /// A request ends.
    pub fn on_request_end(&mut self, host: &impl Host, request: &mut Request) {
        let mut before = already_read(request.exchange.take().map(|exchange| exchange.found));
        let Some(log) = &mut self.access_log else {
            self.stats.on_request_end(host, &mut request.stats, before);
            return;
        };
        before.grpc = before.grpc.or(log.is_grpc(host));
        self.stats.on_request_end_telling(host, &mut request.stats, before, |facts, duration| {
            log.on_request_end(host, Some(FromStats { facts, duration }));
        });
    }

    /// Clears what a configuration update may have changed. Call it every reporting period.
    pub fn refresh(&mut self) {
        self.exchange.refresh();
        self.stats.refresh();
        if let Some(log) = &mut self.access_log {
            log.refresh();
        }
    }
}

/// The values that stats need not read, once the request's headers have arrived.
fn already_read(found: Option<Found>) -> AlreadyRead {
    let Some(Found { peer, certificate, came_as_grpc }) = found else {
        return AlreadyRead::default();
    };
    AlreadyRead {
        peer: Some(peer),
        certificate,
        // A later filter may convert another protocol to gRPC, as the gRPC-Web filter does.
        grpc: came_as_grpc.then_some(true),
    }
}

#[cfg(test)]
mod tests;
