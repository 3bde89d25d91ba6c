//! What the API server is told of a pod.

use serde_json::{json, Value};

use super::spec::{Container, Pod};
use crate::network::NODE;

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not started yet.
    Waiting,
    /// Runs; and whether it takes requests.
    Running {
        /// Whether it takes requests.
        ready: bool,
    },
    /// Has ended with a code.
    Ended(i32),
}

/// How a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its address.
    pub address: String,
    /// When it began.
    pub since: String,
    /// Its init containers, as far as they run or have run.
    pub init: Vec<State>,
    /// Its containers.
    pub containers: Vec<State>,
    /// Why it cannot run.
    pub problem: Option<String>,
}

impl State {
    fn is_ready(self) -> bool {
        self == Self::Running { ready: true }
    }
}

impl Status {
    /// Whether all containers take requests, those beside them too.
    pub fn is_ready(&self, pod: &Pod) -> bool {
        let beside = pod.spec.init_containers.iter().zip(&self.init).filter(|(spec, _)| spec.runs_beside());
        self.problem.is_none()
            && self.containers.iter().all(|state| state.is_ready())
            && beside.into_iter().all(|(_, state)| state.is_ready())
    }

    /// The phase of the pod's life.
    pub fn phase(&self) -> &'static str {
        let ended = |state: &State| matches!(state, State::Ended(_));
        match self.containers.as_slice() {
            _ if self.problem.is_some() => "Pending",
            all if all.iter().all(|state| *state == State::Ended(0)) => "Succeeded",
            all if all.iter().all(ended) => "Failed",
            all if all.contains(&State::Waiting) => "Pending",
            _ => "Running",
        }
    }

    /// As the API server takes it.
    pub fn json(&self, pod: &Pod, now: &str) -> Value {
        let statuses = |specs: &[Container], states: &[State]| -> Vec<Value> {
            specs.iter().zip(states).map(|(spec, state)| self.container(spec, *state)).collect()
        };
        let condition = |kind: &str, holds: bool| {
            let status = if holds { "True" } else { "False" };
            json!({"type": kind, "status": status, "lastTransitionTime": now})
        };
        let started = !self.containers.contains(&State::Waiting);
        let ready = self.is_ready(pod);
        json!({"status": {
            "phase": self.phase(),
            "message": self.problem,
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "hostIP": NODE,
            "hostIPs": [{"ip": NODE}],
            "startTime": self.since,
            "initContainerStatuses": statuses(&pod.spec.init_containers, &self.init),
            "containerStatuses": statuses(&pod.spec.containers, &self.containers),
            "conditions": [
                condition("PodScheduled", true),
                condition("Initialized", started),
                condition("ContainersReady", ready),
                condition("Ready", ready),
            ],
        }})
    }

    fn container(&self, spec: &Container, state: State) -> Value {
        let running = matches!(state, State::Running { .. });
        let told = match state {
            State::Waiting => json!({"waiting": {"reason": "PodInitializing"}}),
            State::Running { .. } => json!({"running": {"startedAt": self.since}}),
            State::Ended(code) => {
                json!({"terminated": {"exitCode": code, "startedAt": self.since, "finishedAt": self.since}})
            }
        };
        json!({
            "name": spec.name,
            "image": spec.image,
            "imageID": spec.image,
            "ready": state.is_ready() || (state == State::Ended(0) && !spec.runs_beside()),
            "started": running,
            "restartCount": 0,
            "state": told,
        })
    }
}
