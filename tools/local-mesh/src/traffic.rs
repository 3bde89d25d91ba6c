//! Sends requests through the gateway at a constant rate, with the topology's mix, for a limited time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::client::{Client, Request};
use crate::mesh::Mesh;
use crate::topology::{Shot, Traffic};

/// Most requests in flight. If the mesh is slower, sending waits.
const MAX_IN_FLIGHT: usize = 200;

/// Traffic in progress. Dropping it stops it.
#[derive(Debug)]
pub struct Sending {
    sent: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Sending {
    /// Sends the topology's traffic for `duration`.
    pub fn start(mesh: &Mesh, duration: Duration) -> Result<Self> {
        let traffic = mesh.topology().traffic.clone().context("the topology has no `traffic`")?;
        let gateway = mesh.gateway(&traffic.gateway)?;
        Ok(Self::to(gateway, traffic, duration, mesh.client()))
    }

    /// Sends `traffic` for `duration` to a gateway of this mesh or of another.
    pub fn to(gateway: SocketAddr, traffic: Traffic, duration: Duration, client: &Client) -> Self {
        let (sent, failed, done) = <(Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let counters = (Arc::clone(&sent), Arc::clone(&failed));
        let (sender, finished) = (client.clone(), Arc::clone(&done));
        let task = client.runtime().spawn(async move {
            send(&sender, gateway, &traffic, duration, counters).await;
            finished.store(true, Ordering::Relaxed);
        });
        Self { sent, failed, done, task }
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests without any answer.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether the time is over and all answers have arrived.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send(
    client: &Client,
    gateway: SocketAddr,
    traffic: &Traffic,
    duration: Duration,
    (sent, failed): (Arc<AtomicU64>, Arc<AtomicU64>),
) {
    let mut clock = tokio::time::interval(Duration::from_secs(1) / traffic.per_second);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let slots = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    let mut requests = tokio::task::JoinSet::new();
    let end = Instant::now() + duration;
    for number in 1_u64.. {
        clock.tick().await;
        if Instant::now() >= end {
            break;
        }
        let Some(shot) = traffic.mix.iter().find(|shot| number.is_multiple_of(shot.every)) else { continue };
        for _ in 0..shot.burst {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let (client, request, failed) = (client.clone(), request(gateway, shot), Arc::clone(&failed));
            sent.fetch_add(1, Ordering::Relaxed);
            requests.spawn(async move {
                if client.send_async(&request).await.is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                drop(slot);
            });
        }
        while requests.try_join_next().is_some() {}
    }
    requests.join_all().await;
}

fn request(gateway: SocketAddr, shot: &Shot) -> Request {
    let request = Request::get(gateway, &shot.path).host("bookinfo.example.com");
    shot.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}
