//! Ctrl-C and SIGTERM as a flag that every wait of the mesh looks at, so that all ends in the ordinary way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use tokio::runtime::Handle;
use tokio::signal::unix::{signal, SignalKind};

/// Set once by a signal, or by whoever holds it.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// One that Ctrl-C, SIGTERM and SIGHUP set.
    pub fn on_signals(runtime: &Handle) -> Result<Self> {
        let interrupt = Self::default();
        let _guard = runtime.enter();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let mut stream = signal(kind).context("cannot wait for signals")?;
            let flag = Arc::clone(&interrupt.0);
            runtime.spawn(async move {
                while stream.recv().await.is_some() {
                    flag.store(true, Ordering::Relaxed);
                }
            });
        }
        Ok(interrupt)
    }

    /// True once it was set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once it was set.
    pub fn check(&self) -> Result<()> {
        if self.is_set() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Sleeps; wakes early when set.
    pub fn sleep(&self, duration: Duration) {
        let until = Instant::now() + duration;
        while !self.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
