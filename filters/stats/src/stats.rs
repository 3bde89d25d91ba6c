//! The filter on one worker: labels, then records.

use mesh_common::direction::Direction;
use mesh_common::host::{Host, MetricKind};
use mesh_common::metric_name;
use mesh_common::peer::Peer;
use mesh_common::property;

use crate::config::Config;
use crate::labels::Labeler;
use crate::recorder::{Measured, Recorder};
use crate::symbols::Symbols;

const NANOSECONDS_PER_MILLISECOND: i64 = 1_000_000;

/// Stats on one worker.
pub struct Stats {
    /// Known where the root id tells it, else asked of each stream's listener.
    direction: Option<Direction>,
    symbols: Symbols,
    labeler: Labeler,
    recorder: Recorder,
}

impl Stats {
    /// Reads who this proxy is and sets `istio_build`. Call it while the plugin is configured.
    pub fn new(config: &Config, host: &impl Host) -> Self {
        let version = match Peer::local(host, &[]).istio_version {
            version if version.is_empty() => mesh_common::labels::UNKNOWN.into(),
            version => version,
        };
        let build = host.define_metric(MetricKind::Gauge, &metric_name::build(&version));
        if let Err(error) = build.and_then(|id| host.record_metric(id, 1)) {
            log::warn!("stats: istio_build is not set: {error}");
        }
        let mut symbols = Symbols::default();
        let root_id = host.text(property::PLUGIN_ROOT_ID).unwrap_or_default();
        Self {
            direction: Direction::of_root_id(&root_id),
            labeler: Labeler::new(host, &mut symbols, !config.disable_host_header_fallback),
            recorder: Recorder::new(config.max_series),
            symbols,
        }
    }

    /// A stream ends.
    pub fn on_log(&mut self, host: &impl Host) {
        let direction = self.direction.unwrap_or_else(|| Direction::of_listener(host));
        let labels = self.labeler.labels(host, &mut self.symbols, direction);
        let measured = Measured {
            duration_milliseconds: host
                .int(property::REQUEST_DURATION)
                .and_then(|duration| unsigned(duration.checked_div(NANOSECONDS_PER_MILLISECOND)?)),
            request_bytes: host.int(property::REQUEST_TOTAL_SIZE).and_then(unsigned),
            response_bytes: host.int(property::RESPONSE_TOTAL_SIZE).and_then(unsigned),
        };
        self.recorder.record(host, &self.symbols, &labels, &measured);
    }
}

fn unsigned(number: i64) -> Option<u64> {
    u64::try_from(number).ok()
}
