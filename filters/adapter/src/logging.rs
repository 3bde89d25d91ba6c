//! Log lines go to Envoy's log.

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::abi;

struct EnvoyLog;

impl Log for EnvoyLog {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            abi::log(envoy_level(record.level()), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Connects the log macros with Envoy's log, at Envoy's level.
///
/// Call it when a root context is created: while a module is initialized, Envoy rejects host calls.
pub fn start() {
    // For the second root context of a VM, the logger is already set.
    let _ = log::set_logger(&EnvoyLog);
    log::set_max_level(match abi::log_level() {
        Some(0) => LevelFilter::Trace,
        Some(1) => LevelFilter::Debug,
        Some(2) => LevelFilter::Info,
        Some(4) | Some(5) => LevelFilter::Error,
        _ => LevelFilter::Warn,
    });
}

fn envoy_level(level: Level) -> u32 {
    match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    }
}
