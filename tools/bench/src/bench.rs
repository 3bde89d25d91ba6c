//! What all parts of a run need.

use std::time::{Duration, Instant};

use local_mesh::client::Client;
use local_mesh::interrupt::Interrupt;
use tokio::runtime::Runtime;

use crate::machine::Cores;

/// When memory is looked at, after something happened.
const SETTLED: Duration = Duration::from_millis(1500);

/// Of one run.
pub struct Bench {
    /// Set by Ctrl-C.
    pub interrupt: Interrupt,
    /// For admin pages.
    pub client: Client,
    /// Where load and upstreams run; the thread that waits for it does all the work.
    pub runtime: Runtime,
    /// Which core is whose.
    pub cores: Cores,
    /// When the run began.
    pub begin: Instant,
}

impl Bench {
    /// Gives a proxy the time to come to rest.
    pub fn settle(&self) {
        self.interrupt.sleep(SETTLED);
    }

    /// Tells what begins.
    pub fn say(&self, what: &str) {
        println!("[{:5.1} s] {what}", self.begin.elapsed().as_secs_f64());
    }
}
