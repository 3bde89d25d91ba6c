//! Metadata exchange, stats and, if configured, the access log in one pass.

use core::time::Duration;

use access_log::access_log::{AccessLog, FromStats};
use access_log::config::LogConfig;
use configuration::ConfigError;
use host::{Host, WarmCalls};
use labels::facts::AlreadyRead;
use labels::peer::Peer;
use metadata_exchange::exchange::{self, Exchange, Found, Shares};
use stats::stats::Stats;

use crate::config::TelemetryConfig;

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
pub struct TelemetryRequest {
    /// Nothing until the request's headers have come.
    exchange: Option<exchange::ExchangeStream>,
    stats: stats::stats::ReportedRequest,
}

impl Telemetry {
    /// Reads the configuration. Call it while the plugin is configured.
    pub fn new(json: &[u8], host: &impl Host) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let config = TelemetryConfig::parse_with(json, &mut problems);
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
        stats.declare(host, &local);
        if let Some(log) = &access_log {
            log.declare(host);
        }
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

    /// The request passes on its way to the application or upstream.
    pub fn on_request_headers(&mut self, host: &impl Host, request: &mut TelemetryRequest) {
        request.exchange = Some(self.exchange.on_request_headers(host));
    }

    /// The response passes on its way back.
    pub fn on_response_headers(&mut self, host: &impl Host, request: &mut TelemetryRequest) {
        if let Some(exchange) = &mut request.exchange {
            self.exchange.on_response_headers(host, exchange);
        }
    }

    /// A request lives on.
    pub fn on_request_tick(&mut self, host: &impl Host, request: &mut TelemetryRequest) {
        self.stats.on_request_tick(
            host,
            &mut request.stats,
            already_read(request.exchange.as_ref().map(|exchange| exchange.found.clone())),
        );
    }

    /// A request ends.
    pub fn on_request_end(&mut self, host: &impl Host, request: &mut TelemetryRequest) {
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
