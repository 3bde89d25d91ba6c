//! The cluster as tests use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use local_mesh::interrupt::Interrupt;
use local_mesh::Client;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::api::Api;
use crate::command::run_with;
use crate::control_plane::ControlPlane;
use crate::json::{at, list, text};
use crate::kubelet::Kubelet;
use crate::pod::Pod;
use crate::{isolation, network, parts};

/// The longest that pods may take until they take requests.
const READY: Duration = Duration::from_secs(90);

/// A running cluster. Its pods end when it is dropped, then what looks after them.
#[derive(Debug)]
pub struct Cluster {
    kubelet: Arc<Kubelet>,
    plane: ControlPlane,
    interrupt: Interrupt,
    client: Client,
    directory: PathBuf,
    _runtime: Runtime,
}

impl Cluster {
    /// Starts one without Istio. Its files are below `directory`, where those of the cluster before are removed.
    pub fn start(directory: &Path) -> Result<Self> {
        isolation::check()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let interrupt = Interrupt::on_signals(runtime.handle())?;
        let client = Client::new(runtime.handle().clone());
        if directory.exists() {
            fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
        }
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        network::prepare()?;
        let plane = ControlPlane::start(directory, &client, &interrupt)?;
        let kubelet = Arc::new(Kubelet::start(plane.api(), &client, directory)?);
        Ok(Self { kubelet, plane, interrupt, client, directory: directory.to_owned(), _runtime: runtime })
    }

    /// Installs Istio as its documentation does with Helm: its definitions, then istiod, by files of values and settings as
    /// `--set` takes them. Ready when it returns.
    pub fn install_istio(&self, values: &[&Path], settings: &[&str]) -> Result<()> {
        let chart = |name| parts::chart(name).map(|path| path.display().to_string());
        let (base, istiod, version) =
            (chart("base")?, chart("istiod")?, format!("global.tag={}", parts::ISTIO_VERSION));
        self.helm(&["install", "istio-base", &base, "--create-namespace"])?;
        let values: Vec<String> = values.iter().map(|path| path.display().to_string()).collect();
        let mut arguments = vec!["install", "istiod", &istiod];
        for path in &values {
            arguments.extend(["-f", path]);
        }
        // As in the charts of a release.
        for setting in ["global.hub=docker.io/istio", &version].iter().chain(settings) {
            arguments.extend(["--set", setting]);
        }
        self.helm(&arguments)?;
        fs::write(self.directory.join("istio.yaml"), self.helm(&["get", "manifest", "istiod"])?)?;
        self.wait_ready("istio-system", "app=istiod", 1).map(drop)
    }

    /// Runs kubectl; gives what it wrote to stdout.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with(arguments, "")
    }

    /// Applies resources, on the server's side.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], yaml)
    }

    /// Runs istioctl; gives what it wrote to stdout.
    pub fn istioctl(&self, arguments: &[&str]) -> Result<String> {
        self.interrupt.check()?;
        let mut command = Command::new(parts::istio("istioctl")?);
        run_with(command.env("KUBECONFIG", self.plane.kubeconfig()), arguments, "")
    }

    fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.interrupt.check()?;
        let mut command = Command::new(parts::helm()?);
        let all = [arguments, &["--namespace", "istio-system"]].concat();
        run_with(command.env("KUBECONFIG", self.plane.kubeconfig()).env("HOME", &self.directory), &all, "")
    }

    /// Waits until exactly `count` pods have a label, and all of them take requests.
    pub fn wait_ready(&self, namespace: &str, selector: &str, count: usize) -> Result<Vec<Pod>> {
        let begin = Instant::now();
        loop {
            self.interrupt.check()?;
            self.plane.check()?;
            let pods = self.select(namespace, selector)?;
            if pods.len() == count && pods.iter().all(is_ready) {
                return Ok(pods.iter().map(|pod| self.pod_of(pod)).collect());
            }
            if begin.elapsed() > READY {
                let seen: Vec<String> = pods.iter().map(|pod| self.describe(pod)).collect();
                bail!("not {count} pods of {namespace} with {selector} are ready after {READY:?}: {}", seen.join("; "));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The only pod with a label, once it takes requests.
    pub fn wait_ready_one(&self, namespace: &str, selector: &str) -> Result<Pod> {
        self.wait_ready(namespace, selector, 1)?.pop().context("no pod")
    }

    /// Pods with a label, however they are.
    pub fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
        Ok(self.select(namespace, selector)?.iter().map(|pod| self.pod_of(pod)).collect())
    }

    /// The API server.
    pub fn api(&self) -> &Api {
        self.plane.api()
    }

    /// A client on the node.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The directory of the cluster's logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.interrupt.check()?;
        let mut command = Command::new(parts::kubernetes("kubectl")?);
        run_with(command.env("KUBECONFIG", self.plane.kubeconfig()), arguments, input)
    }

    fn select(&self, namespace: &str, selector: &str) -> Result<Vec<Value>> {
        ensure!(selector.chars().all(|c| c.is_ascii_alphanumeric() || "=./-_".contains(c)), "selector {selector}");
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={}", selector.replace('=', "%3D"));
        let mut pods = self.api().list(&path)?;
        pods.retain(|pod| at(pod, "/metadata/deletionTimestamp").is_null());
        Ok(pods)
    }

    fn pod_of(&self, value: &Value) -> Pod {
        let text = |path: &str| text(value, path);
        let [namespace, name, address] = ["/metadata/namespace", "/metadata/name", "/status/podIP"].map(text);
        Pod::new(&self.kubelet, &self.client, namespace, name, address)
    }

    fn describe(&self, pod: &Value) -> String {
        let fields = ["/metadata/name", "/status/phase", "/status/message", "/status/containerStatuses"];
        fields.map(|path| at(pod, path).to_string()).join(" ")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kubelet.stop();
    }
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = list(pod, "/status/conditions").iter();
    conditions.any(|condition| text(condition, "/type") == "Ready" && text(condition, "/status") == "True")
}
