//! What the threads of the pods share.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use local_mesh::Client;

use super::names::Names;
use super::spec::Pod;
use crate::api::Api;
use crate::files::write;

/// The node.
#[derive(Debug)]
pub struct Node {
    /// Asks the API server.
    pub api: Api,
    /// Asks pods.
    pub client: Client,
    /// Where the pods' files are.
    pub directory: PathBuf,
    /// The names that there are.
    pub names: Mutex<Names>,
    log: Mutex<File>,
    stopping: AtomicBool,
    numbers: AtomicU16,
}

impl Node {
    /// A node whose log, and whose pods' files, will be below `directory`.
    pub fn new(api: &Api, client: &Client, directory: &Path) -> Result<Self> {
        let log = directory.join("kubelet.log");
        Ok(Self {
            api: api.clone(),
            client: client.clone(),
            directory: directory.join("pods"),
            names: Mutex::default(),
            log: Mutex::new(File::create(&log).with_context(|| format!("cannot create {}", log.display()))?),
            stopping: AtomicBool::new(false),
            numbers: AtomicU16::new(2),
        })
    }

    /// Writes the hosts file of a pod with an address, below its directory.
    pub fn write_names(&self, pod: &Pod, address: &str, directory: &Path) -> Result<()> {
        let hosts = lock(&self.names).hosts(pod, address);
        write(&directory.join("names/hosts"), hosts.as_bytes())
    }

    /// The number of the next pod.
    pub fn next_number(&self) -> u16 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends all pods.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether all pods are to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Writes a line to the log.
    pub fn say(&self, text: &str) {
        // A log that cannot be written must not end the node.
        let _ = writeln!(lock(&self.log), "{text}");
    }
}

/// What a thread that panicked held is still good: nothing here is written in two steps.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
