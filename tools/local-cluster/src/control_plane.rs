//! etcd, the API server, the controllers, and the proxy that makes addresses of services lead to pods: all on the node.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use local_mesh::interrupt::Interrupt;
use local_mesh::process::Process;
use local_mesh::Client;

use crate::api::Api;
use crate::network::{API_SERVICE, NODE, NODE_NAME, PODS, SERVICES};
use crate::{parts, pki};

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEERS: &str = "http://127.0.0.1:2380";
const API_PORT: u16 = 6443;
const PLAIN_PORT: u16 = 8001;

/// Who has this token may do everything. It lives as long as the cluster does.
const TOKEN: &str = "local-cluster";

/// The longest that a part may take until it answers.
const START: Duration = Duration::from_secs(90);

/// The running control plane; it ends when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    api: Api,
    kubeconfig: PathBuf,
    processes: Vec<Process>,
}

impl ControlPlane {
    /// Starts it, its data and logs below `directory`.
    pub fn start(directory: &Path, client: &Client, interrupt: &Interrupt) -> Result<Self> {
        let path = |name: &str| directory.join(name).display().to_string();
        pki::write(directory, &[Ipv4Addr::LOCALHOST, API_SERVICE, NODE])?;
        let put =
            |name: &str, text: String| fs::write(path(name), text).with_context(|| format!("cannot write {name}"));
        put("tokens", format!("{TOKEN},admin,admin,\"system:masters\"\n"))?;
        put("kubeconfig", kubeconfig(&path("ca.crt")))?;
        let mut plane = Self {
            api: Api::new(client.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, PLAIN_PORT))),
            kubeconfig: directory.join("kubeconfig"),
            processes: Vec::new(),
        };
        let mut start = |program: PathBuf, arguments: &[String]| {
            let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let process = Process::start(&name, &program, arguments, &directory.join(format!("{name}.log")))?;
            plane.processes.push(process);
            anyhow::Ok(())
        };
        start(
            parts::etcd()?,
            &[
                format!("--data-dir={}", path("etcd")),
                format!("--listen-client-urls={ETCD}"),
                format!("--advertise-client-urls={ETCD}"),
                format!("--listen-peer-urls={ETCD_PEERS}"),
                "--unsafe-no-fsync".to_owned(),
            ],
        )?;
        start(parts::kubernetes("kube-apiserver")?, &api_server(&path))?;
        let config = format!("--kubeconfig={}", path("kubeconfig"));
        let port = format!("--port={PLAIN_PORT}");
        start(parts::kubernetes("kubectl")?, &[config.clone(), "proxy".to_owned(), port])?;
        plane.wait(interrupt)?;
        let mut start = |name: &str, arguments: &[String]| {
            let program = parts::kubernetes(name)?;
            plane.processes.push(Process::start(name, &program, arguments, &directory.join(format!("{name}.log")))?);
            anyhow::Ok(())
        };
        start(
            "kube-controller-manager",
            &[
                config.clone(),
                format!("--service-account-private-key-file={}", path("sa.key")),
                format!("--root-ca-file={}", path("ca.crt")),
                "--leader-elect=false".to_owned(),
                "--bind-address=127.0.0.1".to_owned(),
                // The node is always there, and nothing measures pods.
                "--controllers=*,-node-lifecycle-controller,-node-ipam-controller,-taint-eviction-controller,\
                 -horizontal-pod-autoscaler-controller"
                    .to_owned(),
            ],
        )?;
        start(
            "kube-proxy",
            &[
                config,
                format!("--hostname-override={NODE_NAME}"),
                "--proxy-mode=iptables".to_owned(),
                format!("--cluster-cidr={PODS}"),
                "--bind-address=127.0.0.1".to_owned(),
                // What is the machine's alone to set.
                "--conntrack-max-per-core=0".to_owned(),
                "--conntrack-tcp-timeout-established=0s".to_owned(),
                "--conntrack-tcp-timeout-close-wait=0s".to_owned(),
                "--iptables-min-sync-period=100ms".to_owned(),
            ],
        )?;
        Ok(plane)
    }

    /// Asks the API server.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The file by which kubectl and istioctl find the API server.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// An error if a part of it has ended.
    pub fn check(&self) -> Result<()> {
        self.processes.iter().try_for_each(Process::check)
    }

    fn wait(&self, interrupt: &Interrupt) -> Result<()> {
        let begin = std::time::Instant::now();
        while !self.api.is_ready() {
            interrupt.check()?;
            self.check()?;
            anyhow::ensure!(begin.elapsed() < START, "the API server is not ready after {START:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // Who asks goes before who answers.
        while let Some(process) = self.processes.pop() {
            process.stop();
        }
    }
}

fn api_server(path: &dyn Fn(&str) -> String) -> [String; 17] {
    [
        format!("--etcd-servers={ETCD}"),
        format!("--secure-port={API_PORT}"),
        format!("--advertise-address={NODE}"),
        format!("--tls-cert-file={}", path("api.crt")),
        format!("--tls-private-key-file={}", path("api.key")),
        format!("--token-auth-file={}", path("tokens")),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--service-account-signing-key-file={}", path("sa.key")),
        format!("--service-account-key-file={}", path("sa.pub")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        // Webhooks are asked at the addresses of their pods.
        "--enable-aggregator-routing=true".to_owned(),
        "--disable-admission-plugins=TaintNodesByCondition".to_owned(),
        "--profiling=false".to_owned(),
        "--anonymous-auth=false".to_owned(),
        "--bind-address=0.0.0.0".to_owned(),
    ]
}

fn kubeconfig(authority: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: local
  cluster: {{ server: 'https://127.0.0.1:{API_PORT}', certificate-authority: '{authority}' }}
users:
- name: admin
  user: {{ token: {TOKEN} }}
contexts:
- name: local
  context: {{ cluster: local, user: admin }}
current-context: local
"
    )
}
