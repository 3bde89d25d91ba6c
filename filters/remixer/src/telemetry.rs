//! Metadata exchange and stats in one pass.

use core::time::Duration;

use mesh_common::config::ConfigError;
use mesh_common::host::{Host, WarmCalls};
use mesh_common::peer::Peer;
use metadata_exchange::exchange::{self, Exchange, Shares};
use stats::facts::{is_grpc, Known};
use stats::stats::Stats;

use crate::config::Config;

/// What a warm request takes, with a peer that takes part, mutual TLS, and the standard metrics and labels.
pub const WARM_CALLS: WarmCalls = WarmCalls { inbound: 16, outbound: 18 };

/// Both filters on one worker.
pub struct Telemetry {
    /// How often live requests are to be reported.
    pub reporting_period: Duration,
    exchange: Exchange,
    stats: Stats,
}

/// What is remembered of a request.
#[derive(Debug, Default)]
pub struct Request {
    /// Nothing until the request's headers have come.
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
        ConfigError::unless_empty(problems)?;
        exchange::declare_peers(host);
        let shares = if config.share_peers { Shares::Peers } else { Shares::Nothing };
        let exchange = Exchange::new(&local, config.metadata_exchange.max_peer_cache_size, host).sharing(shares);
        Ok(Self { reporting_period: stats.reporting_period, exchange, stats })
    }

    /// The request passes on its way to the application or upstream. Returns whether it is to be reported while it lives.
    pub fn on_request_headers(&mut self, host: &impl Host, request: &mut Request) -> bool {
        let mut exchange = self.exchange.on_request_headers(host);
        let grpc = *exchange.found.grpc.get_or_insert_with(|| is_grpc(host));
        request.exchange = Some(exchange);
        grpc
    }

    /// The response passes on its way back.
    pub fn on_response_headers(&mut self, host: &impl Host, request: &mut Request) {
        if let Some(exchange) = &mut request.exchange {
            self.exchange.on_response_headers(host, exchange);
        }
    }

    /// A request lives on.
    pub fn on_request_tick(&mut self, host: &impl Host, request: &mut Request) {
        self.stats.on_request_tick(host, &mut request.stats);
    }

    /// A request ends.
    pub fn on_request_end(&mut self, host: &impl Host, request: &mut Request) {
        let known = match request.exchange.take() {
            Some(exchange) => {
                let exchange::Found { peer, certificate, grpc } = exchange.found;
                Known { peer: Some(peer), certificate, grpc }
            }
            None => Known::default(),
        };
        self.stats.on_request_end(host, &mut request.stats, known);
    }

    /// Forgets what a configuration update may have changed. Call it every reporting period.
    pub fn refresh(&mut self) {
        self.stats.refresh();
    }
}

#[cfg(test)]
mod tests;
