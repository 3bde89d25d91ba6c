//! What all parts of a run need.

use std::time::Instant;

use local_mesh::client::Client;
use local_mesh::interrupt::Interrupt;
use tokio::runtime::Runtime;

use crate::machine::Cores;

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
    /// Tells what begins.
    pub fn say(&self, what: &str) {
        println!("[{:5.1} s] {what}", self.begin.elapsed().as_secs_f64());
    }
}
