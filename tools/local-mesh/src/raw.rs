//! A server of bytes, for what no proper server does.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::listen;

/// No connection waits longer than this for its next byte, so that a test that went wrong ends.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// Listens where a workload with `serve: false` has its application; it ends when dropped.
#[derive(Debug)]
pub struct RawServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RawServer {
    /// Hands each connection to `serve`, on a thread of its own.
    pub fn start(address: SocketAddr, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Result<Self> {
        let listener = listen(address).with_context(|| format!("cannot listen on {address}"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, serve) = (Arc::clone(&stop), Arc::new(serve));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take_while(|_| !stopped.load(Ordering::Relaxed)) {
                if stream.set_read_timeout(Some(IDLE_LIMIT)).is_ok() {
                    let serve = Arc::clone(&serve);
                    std::thread::spawn(move || serve(stream));
                }
            }
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // One more connection, so that it looks; if none can be made, it has ended.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join(); // a panic in it would have been the test's own
        }
    }
}
