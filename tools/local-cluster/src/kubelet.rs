//! A small kubelet for the one node: takes every pod that there is, and runs what it says as processes. It does what the
//! specifications of our tests, of Istio's injector and of its charts ask for; what else a pod asks for is an error that its
//! status tells.

pub mod container;
mod environment;
mod life;
mod names;
mod node;
mod probe;
pub mod spec;
mod status;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use local_mesh::Client;
use serde_json::{json, Value};

use self::life::Life;
use self::names::Names;
use self::node::{lock, Node};
use self::spec::Pod;
use crate::api::Api;
use crate::json::text;
use crate::network::{NODE, NODE_NAME};
use crate::parts;

/// How often the API server is asked for pods, and for names.
const INTERVAL: Duration = Duration::from_millis(300);

/// A pod, and the thread that looks after it.
type Lived = (Arc<Life>, Option<JoinHandle<()>>);

/// The kubelet; its pods end when it is stopped or dropped.
#[derive(Debug)]
pub struct Kubelet {
    pods: Arc<Pods>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The node's pods.
#[derive(Debug)]
struct Pods {
    node: Arc<Node>,
    lives: Mutex<BTreeMap<String, Lived>>,
}

impl Kubelet {
    /// Starts it; the pods' files will be below `directory`.
    pub fn start(api: &Api, client: &Client, directory: &Path) -> Result<Self> {
        let node = Arc::new(Node::new(api, client, directory)?);
        register(api)?;
        let pods = Arc::new(Pods { node, lives: Mutex::default() });
        let shared = Arc::clone(&pods);
        Ok(Self { pods, thread: Mutex::new(Some(thread::spawn(move || shared.run()))) })
    }

    /// The directory of a pod, with logs and volumes.
    pub fn directory(&self, namespace: &str, name: &str) -> PathBuf {
        self.pods.directory(namespace, name)
    }

    /// Ends it, and all pods.
    pub fn stop(&self) {
        self.pods.node.stop();
        // A thread that panicked has nothing left to end.
        let _ = lock(&self.thread).take().map(JoinHandle::join);
        let lives = std::mem::take(&mut *lock(&self.pods.lives));
        for (_, thread) in lives.into_values() {
            let _ = thread.map(JoinHandle::join);
        }
    }

    /// The first process of a container of a pod.
    pub fn process(&self, namespace: &str, name: &str, container: &str) -> Result<u32> {
        let lives = lock(&self.pods.lives);
        let pod = lives.values().map(|(life, _)| life).find(|life| {
            let metadata = &life.pod.metadata;
            metadata.namespace == namespace && metadata.name == name && !life.ending.load(Ordering::Relaxed)
        });
        let process = pod.and_then(|life| lock(&life.processes).get(container).copied());
        process.with_context(|| format!("no container {container} runs in {namespace}/{name}"))
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop();
    }
}

fn register(api: &Api) -> Result<()> {
    let region = json!({"topology.kubernetes.io/region": "region", "topology.kubernetes.io/zone": "zone"});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE_NAME, "labels": region}});
    api.create("/api/v1/nodes", &node)?;
    let addresses = [json!({"type": "InternalIP", "address": NODE})];
    let ready = [json!({"type": "Ready", "status": "True", "reason": "KubeletReady"})];
    // Istio's injector looks at the version before it makes sidecars of init containers.
    let info = json!({"kubeletVersion": format!("v{}", parts::KUBERNETES_VERSION)});
    let status = json!({"status": {"addresses": addresses, "conditions": ready, "nodeInfo": info}});
    api.patch(&format!("/api/v1/nodes/{NODE_NAME}/status"), &status).map(drop)
}

impl Pods {
    fn run(&self) {
        while !self.node.is_stopping() {
            if let Err(error) = self.look() {
                self.node.say(&format!("{error:#}"));
            }
            thread::sleep(INTERVAL);
        }
    }

    fn directory(&self, namespace: &str, name: &str) -> PathBuf {
        self.node.directory.join(format!("{namespace}_{name}"))
    }

    /// Takes pods that are new, ends those that are to end, and writes names that have changed.
    fn look(&self) -> Result<()> {
        let pods = self.node.api.list("/api/v1/pods")?;
        let listed: BTreeSet<String> = pods.iter().map(|pod| text(pod, "/metadata/uid").to_owned()).collect();
        lock(&self.lives)
            .retain(|uid, (_, thread)| listed.contains(uid) || thread.as_ref().is_some_and(|t| !t.is_finished()));
        for value in pods {
            let said = format!("{}/{}", text(&value, "/metadata/namespace"), text(&value, "/metadata/name"));
            match serde_json::from_value(value) {
                Ok(pod) => self.take(pod)?,
                Err(error) => self.node.say(&format!("{said}: {error}")),
            }
        }
        *lock(&self.node.names) = Names::look_up(&self.node.api)?;
        let lives: Vec<Arc<Life>> = lock(&self.lives).values().map(|(life, _)| Arc::clone(life)).collect();
        for life in lives.iter().filter(|life| life.directory.is_dir()) {
            self.node.write_names(&life.pod, &lock(&life.address), &life.directory)?;
        }
        Ok(())
    }

    fn take(&self, pod: Pod) -> Result<()> {
        if pod.spec.node_name.is_none() {
            return self.bind(&pod);
        }
        let mut lives = lock(&self.lives);
        let known = lives.get(&pod.metadata.uid);
        if pod.metadata.deletion_timestamp.is_some() {
            match known {
                Some((life, _)) => life.ending.store(true, Ordering::Relaxed),
                None => self.node.api.delete(&pod.path())?,
            }
        } else if known.is_none() {
            let directory = self.directory(&pod.metadata.namespace, &pod.metadata.name);
            let life = Life::new(pod, directory);
            let (node, its) = (Arc::clone(&self.node), Arc::clone(&life));
            let thread = thread::spawn(move || its.live(&node));
            lives.insert(life.pod.metadata.uid.clone(), (life, Some(thread)));
        }
        Ok(())
    }

    /// Gives a pod to this node, as the scheduler would.
    fn bind(&self, pod: &Pod) -> Result<()> {
        let target = json!({"apiVersion": "v1", "kind": "Node", "name": NODE_NAME});
        let metadata = json!({"name": pod.metadata.name});
        let binding: Value = json!({"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target});
        self.node.api.create(&format!("{}/binding", pod.path()), &binding).map(drop)
    }
}
