//! A pod from its start to its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use local_mesh::wait_until;

use super::container::{Container, Place};
use super::node::{lock, Node};
use super::probe;
use super::spec::{Container as Spec, Pod};
use super::status::{State, Status};
use super::volumes::Volumes;
use crate::command::run;
use crate::files::make_directory;
use crate::network::Namespace;

/// The longest that an init container may run, or a container may take to be started.
const START: Duration = Duration::from_secs(120);

/// The longest that a pod may take to end.
const END: Duration = Duration::from_secs(30);

/// How often its files are compared with the ConfigMaps that they come from.
const RENEWAL: Duration = Duration::from_secs(3);

/// How often a pod is looked at, while something is awaited and when all is well.
const SOON: Duration = Duration::from_millis(200);
const LATER: Duration = Duration::from_secs(1);

/// A pod of this node.
#[derive(Debug)]
pub struct Life {
    /// As the API server had it when it came.
    pub pod: Pod,
    /// Its files.
    pub directory: PathBuf,
    /// The first process of each of its containers.
    pub processes: Mutex<BTreeMap<String, u32>>,
    /// Its address, once it has one.
    pub address: Mutex<String>,
    /// Whether it is to end.
    pub ending: AtomicBool,
}

/// Everything of a pod that runs. The containers are gone before the network is.
struct Run {
    containers: Vec<Container>,
    beside: Vec<(usize, Container)>,
    network: Namespace,
}

impl Life {
    /// A pod that is to run, with a directory for its files.
    pub fn new(pod: Pod, directory: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            pod,
            directory,
            processes: Mutex::default(),
            address: Mutex::default(),
            ending: AtomicBool::new(false),
        })
    }

    /// Runs it until it is to end, or the node is.
    pub fn live(&self, node: &Node) {
        let mut status = Status {
            address: String::new(),
            since: now(),
            init: vec![State::Waiting; self.pod.spec.init_containers.len()],
            containers: vec![State::Waiting; self.pod.spec.containers.len()],
            problem: None,
        };
        let run = self.start(node, &mut status).and_then(|mut run| {
            node.say(&format!("{} runs at {}", self.pod.full_name(), status.address));
            self.watch(node, &mut run, &mut status)?;
            Ok(run)
        });
        if let Err(error) = &run {
            node.say(&format!("{}: {error:#}", self.pod.full_name()));
            status.problem = Some(format!("{error:#}"));
            self.tell(node, &status);
            while !self.is_ending(node) {
                thread::sleep(SOON);
            }
        }
        if let (Ok(run), false) = (&run, node.is_stopping()) {
            self.end(run);
        }
        drop(run);
        if !node.is_stopping() {
            if let Err(error) = node.api.delete(&self.pod.path()) {
                node.say(&format!("{}: {error:#}", self.pod.full_name()));
            }
            node.say(&format!("{} has ended", self.pod.full_name()));
        }
    }

    fn start(&self, node: &Node, status: &mut Status) -> Result<Run> {
        // What an earlier pod of that name has left.
        let _ = fs::remove_dir_all(&self.directory);
        make_directory(&self.directory)?;
        let network = Namespace::create(node.next_number())?;
        for setting in &self.pod.spec.security_context.sysctls {
            network.set(&setting.name, &setting.value)?;
        }
        status.address = network.address().to_string();
        status.address.clone_into(&mut lock(&self.address));
        self.tell(node, status);
        self.fill_volumes(node, status)?;
        node.write_names(&self.pod, &status.address, &self.directory)?;
        let mut run = Run { containers: Vec::new(), beside: Vec::new(), network };
        for (index, spec) in self.pod.spec.init_containers.iter().enumerate() {
            let container = self.container(node, &run, spec)?;
            let state = if spec.runs_beside() {
                self.wait_for_start(node, &run, &container)?;
                run.beside.push((index, container));
                State::Running { ready: false }
            } else {
                container.wait(START)?;
                State::Ended(0)
            };
            if let Some(place) = status.init.get_mut(index) {
                *place = state;
            }
        }
        for spec in &self.pod.spec.containers {
            let container = self.container(node, &run, spec)?;
            run.containers.push(container);
        }
        Ok(run)
    }

    /// Makes the files of its volumes. What they are made of may still come: until then the pod waits.
    fn fill_volumes(&self, node: &Node, status: &mut Status) -> Result<()> {
        let (address, directory) = (status.address.clone(), self.directory.join("volumes"));
        let volumes = Volumes::new(&node.api, &self.pod, &address, &directory);
        while let Err(error) = volumes.fill() {
            ensure!(!self.is_ending(node), "it is to end");
            let problem = Some(format!("{error:#}"));
            if status.problem != problem {
                status.problem = problem;
                self.tell(node, status);
            }
            thread::sleep(SOON);
        }
        status.problem = None;
        Ok(())
    }

    fn container(&self, node: &Node, run: &Run, spec: &Spec) -> Result<Container> {
        let place = Place { pod: &self.pod, network: &run.network, directory: &self.directory };
        let container =
            Container::start(&node.api, &place, spec).with_context(|| format!("container {}", spec.name))?;
        if let Ok(id) = wait_for_id(&container) {
            lock(&self.processes).insert(spec.name.clone(), id);
        }
        Ok(container)
    }

    /// Waits until those after it may start.
    fn wait_for_start(&self, node: &Node, run: &Run, container: &Container) -> Result<()> {
        let spec = container.spec();
        let Some(probe) = &spec.startup_probe else { return Ok(()) };
        let begin = Instant::now();
        while !probe::succeeds(&node.client, run.network.address(), spec, probe)? {
            ensure!(container.code().is_none(), "container {} has ended", spec.name);
            ensure!(!self.is_ending(node), "it is to end");
            ensure!(begin.elapsed() < START, "container {} is not started after {START:?}", spec.name);
            thread::sleep(SOON);
        }
        Ok(())
    }

    /// Looks after it until it is to end.
    fn watch(&self, node: &Node, run: &mut Run, status: &mut Status) -> Result<()> {
        let mut told = None;
        let mut renewed = Instant::now();
        let (address, directory) = (status.address.clone(), self.directory.join("volumes"));
        let volumes = Volumes::new(&node.api, &self.pod, &address, &directory);
        while !self.is_ending(node) {
            let state = |container: &Container| self.state(node, &run.network, container);
            status.containers = run.containers.iter().map(state).collect::<Result<_>>()?;
            for (index, container) in &run.beside {
                if let Some(place) = status.init.get_mut(*index) {
                    *place = state(container)?;
                }
            }
            // A job has done its work: what ran beside it has none any more.
            if matches!(status.phase(), "Succeeded" | "Failed") && !run.beside.is_empty() {
                end_all(run.beside.iter().map(|(_, container)| container));
                run.beside.clear();
            }
            if told.as_ref() != Some(&*status) {
                self.tell(node, status);
                told = Some(status.clone());
            }
            if renewed.elapsed() > RENEWAL {
                // What cannot be renewed now stays as it is.
                if let Err(error) = volumes.renew() {
                    node.say(&format!("{}: {error:#}", self.pod.full_name()));
                }
                renewed = Instant::now();
            }
            thread::sleep(if status.is_ready(&self.pod) { LATER } else { SOON });
        }
        Ok(())
    }

    fn state(&self, node: &Node, network: &Namespace, container: &Container) -> Result<State> {
        if let Some(code) = container.code() {
            return Ok(State::Ended(code));
        }
        let ready = match &container.spec().readiness_probe {
            Some(probe) => probe::succeeds(&node.client, network.address(), container.spec(), probe)?,
            None => true,
        };
        Ok(State::Running { ready })
    }

    /// Ends the containers, then those beside them, the last first.
    fn end(&self, run: &Run) {
        end_all(run.containers.iter());
        end_all(run.beside.iter().rev().map(|(_, container)| container));
    }

    fn tell(&self, node: &Node, status: &Status) {
        let path = format!("{}/status", self.pod.path());
        if let Err(error) = node.api.patch(&path, &status.json(&self.pod, &now())) {
            // Deleted by force, or the API server is about to end.
            node.say(&format!("{}: {error:#}", self.pod.full_name()));
        }
    }

    fn is_ending(&self, node: &Node) -> bool {
        self.ending.load(Ordering::Relaxed) || node.is_stopping()
    }
}

/// Ends containers together. Who does not end in time is killed when dropped.
fn end_all<'a>(containers: impl Iterator<Item = &'a Container>) {
    let containers: Vec<&Container> = containers.collect();
    for container in &containers {
        if let Some(hook) = container.spec().lifecycle.pre_stop.as_ref().and_then(|hook| hook.exec.as_ref()) {
            let command: Vec<&str> = hook.command.iter().map(String::as_str).collect();
            // A hook that fails keeps nobody from ending.
            let _ = container.exec(&command);
        }
        container.terminate();
    }
    let _ = wait_until(END, || containers.iter().all(|container| container.code().is_some()));
}

/// The container's first process is there a moment after the program that makes it, and its file system a moment after that.
fn wait_for_id(container: &Container) -> Result<u32> {
    let has_root = |id: &u32| fs::read_link(format!("/proc/{id}/root")).is_ok_and(|root| root != Path::new("/"));
    let found = || container.id().ok().filter(has_root);
    local_mesh::wait_for(Duration::from_secs(5), || match (found(), container.code()) {
        (None, None) => None,
        (id, _) => Some(id),
    })?
    .context("it has ended")
}

/// The time as the API server takes it.
fn now() -> String {
    run("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).unwrap_or_default().trim().to_owned()
}
