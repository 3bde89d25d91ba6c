//! A running mesh. [`Mesh::start`] starts everything; dropping the value ends everything.

mod claim;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure, Context, Result};
use tokio::runtime::Runtime;

use self::claim::Claim;
use crate::application::Application;
use crate::attach::Attachment;
use crate::client::Client;
use crate::config::{port, Files, SidecarConfig};
use crate::directory::RunDirectory;
use crate::options::Options;
use crate::process::check_free;
use crate::prometheus::Prometheus;
use crate::server::Server;
use crate::sidecar::{Sidecar, Update};
use crate::topology::{Protocol, Topology, Workload};
use crate::{cadvisor, pki, stats_logger, tools};

/// Time limit for all sidecars together to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// A running mesh. The fields end in their order here.
#[derive(Debug)]
pub struct Mesh {
    prometheus: Option<Prometheus>,
    _cadvisor: Option<Server>,
    sidecars: Vec<Sidecar>,
    applications: Vec<(String, Application)>,
    client: Client,
    options: Options,
    topology: Topology,
    tcp_telemetry: bool,
    directory: RunDirectory,
    // The applications end with the runtime; only then is the network free.
    _runtime: Runtime,
    _claim: Claim,
}

impl Mesh {
    /// Starts everything, and returns when all of it is ready. After an error, nothing is left running.
    pub fn start(topology: Topology, options: Options) -> Result<Self> {
        let say = options.progress;
        let (topology, claim) = claim::claim(topology, options.network)?;
        let envoy = tools::envoy(options.envoy_version.as_deref())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let client = Client::new(runtime.handle().clone());
        let directory = RunDirectory::create()?;

        say("writing certificates and configuration");
        pki::write(&topology, &directory.path().join("pki"))?;
        let mut attachment = Attachment::load(&options)?;
        let mut configs = Vec::new();
        let proxied: Vec<&Workload> = topology.workloads.iter().filter(|w| w.sidecar).collect();
        for workload in &proxied {
            configs.push(configure(&topology, workload, &options, &mut attachment, &files(workload, &directory))?);
        }
        if options.every_patch_must_match {
            attachment.check_used()?;
        }
        check_ports(&topology)?;

        say("starting applications");
        let mut applications = Vec::new();
        for workload in &topology.workloads {
            if let Some(application) = Application::start(&topology, workload, runtime.handle())? {
                applications.push((workload.name.clone(), application));
            }
        }

        say(&format!("starting {} sidecars", configs.len()));
        let arguments = arguments(&options);
        let mut sidecars = Vec::new();
        for (workload, config) in proxied.iter().zip(&configs) {
            let identity = (workload.name.as_str(), workload.address);
            let files = files(workload, &directory);
            sidecars.push(Sidecar::start(identity, config, files, (&envoy, &arguments), client.clone())?);
        }
        wait_until_ready(&sidecars, &options)?;

        let cadvisor =
            options.prometheus.then(|| cadvisor::start(&topology, &sidecars, runtime.handle())).transpose()?;
        let prometheus = match options.prometheus {
            true => {
                say("starting Prometheus");
                Some(Prometheus::start(&topology, directory.path(), client.clone(), &options.interrupt)?)
            }
            false => None,
        };
        Ok(Self {
            prometheus,
            _cadvisor: cadvisor,
            sidecars,
            applications,
            client,
            tcp_telemetry: configs.iter().any(SidecarConfig::has_network_wasm),
            options,
            topology,
            directory,
            _claim: claim,
            _runtime: runtime,
        })
    }

    /// The topology, with the real addresses.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// All sidecars, in the topology's order.
    pub fn sidecars(&self) -> &[Sidecar] {
        &self.sidecars
    }

    /// The sidecar (or gateway) of a workload.
    pub fn sidecar(&self, workload: &str) -> Result<&Sidecar> {
        self.sidecars
            .iter()
            .find(|s| s.name() == workload)
            .ok_or_else(|| anyhow!("there is no sidecar of `{workload}`"))
    }

    /// The application of a workload.
    pub fn application(&self, workload: &str) -> Result<&Application> {
        let found = self.applications.iter().find(|(name, _)| name == workload);
        found.map(|(_, application)| application).ok_or_else(|| anyhow!("there is no application of `{workload}`"))
    }

    /// A client. Send its requests to [`Self::gateway`], [`Sidecar::outbound`] or [`Sidecar::inbound`].
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The address of a gateway.
    pub fn gateway(&self, workload: &str) -> Result<SocketAddr> {
        let gateway = self.topology.workload(workload).and_then(|w| Some((w.address, w.gateway.as_ref()?.port)));
        gateway.map(SocketAddr::from).ok_or_else(|| anyhow!("there is no gateway `{workload}`"))
    }

    /// Prometheus, if it runs.
    pub fn prometheus(&self) -> Result<&Prometheus> {
        self.prometheus.as_ref().context("this mesh runs without Prometheus (Options.prometheus)")
    }

    /// Whether there is no EnvoyFilter.
    pub fn is_plain(&self) -> bool {
        self.options.filters.is_empty() && self.options.patches.is_empty()
    }

    /// Whether a filter reports TCP connections.
    pub fn has_tcp_telemetry(&self) -> bool {
        self.tcp_telemetry
    }

    /// An error if a process has ended too early.
    pub fn check(&self) -> Result<()> {
        self.sidecars.iter().try_for_each(Sidecar::check)?;
        self.prometheus.iter().try_for_each(Prometheus::check)
    }

    /// Changes the options (filters, patches, plugins), and pushes the resulting configuration to one workload, like a
    /// control plane. Returns whether Envoy accepted it. The bootstrap of a running proxy cannot change.
    pub fn push(&self, workload: &str, change: impl FnOnce(&mut Options)) -> Result<Update> {
        let mut options = self.options.clone();
        change(&mut options);
        let target = self.topology.workload(workload).ok_or_else(|| anyhow!("there is no workload `{workload}`"))?;
        let mut attachment = Attachment::load(&options)?;
        let files = files(target, &self.directory);
        let config = configure(&self.topology, target, &options, &mut attachment, &files)?;
        self.sidecar(workload)?.push(&config)
    }
}

/// The configuration of one workload under these options.
pub(crate) fn configure(
    topology: &Topology,
    workload: &Workload,
    options: &Options,
    attachment: &mut Attachment,
    files: &Files,
) -> Result<SidecarConfig> {
    let mut config = SidecarConfig::plain(topology, workload, files);
    config.trace(topology, workload, &options.tracing);
    attachment.apply(workload, &mut config)?;
    let mine = options.plugins.iter().filter(|p| p.workload.as_ref().is_none_or(|name| *name == workload.name));
    for plugin in mine {
        let replaced = config.replace_plugin_config(&plugin.plugin, &plugin.configuration);
        ensure!(
            replaced > 0 || plugin.workload.is_none(),
            "{}: no wasm filter has root id or name `{}`, so its configuration cannot be replaced",
            workload.name,
            plugin.plugin
        );
    }
    if options.envoy_counts {
        stats_logger::count(&mut config)?;
    }
    let modules = options.modules.clone().unwrap_or_else(tools::dist);
    for module in config.map_modules(&modules) {
        tools::module(&module)?;
    }
    Ok(config)
}

fn files(workload: &Workload, directory: &RunDirectory) -> Files {
    Files { directory: directory.path().join(&workload.name), pki: directory.path().join("pki") }
}

fn arguments(options: &Options) -> Vec<String> {
    let (level, components) = options.log_level.split_once(',').unwrap_or((options.log_level.as_str(), ""));
    let mut arguments: Vec<String> = [
        ("--concurrency", options.concurrency.to_string()),
        ("--log-level", level.to_owned()),
        ("--drain-time-s", options.drain.to_string()),
        // Access logs are written at once.
        ("--file-flush-interval-msec", "50".to_owned()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    arguments.extend(["--disable-hot-restart".to_owned(), "--drain-strategy".to_owned(), "immediate".to_owned()]);
    if !components.is_empty() {
        arguments.extend(["--component-log-level".to_owned(), components.to_owned()]);
    }
    if let Some(json) = &options.bootstrap_override {
        arguments.extend(["--config-yaml".to_owned(), json.clone()]);
    }
    arguments
}

/// Checks all needed ports before anything starts.
fn check_ports(topology: &Topology) -> Result<()> {
    for workload in &topology.workloads {
        let who = |what: &str| format!("{what} of {}", workload.name);
        let check = |what: &str, port| check_free(&who(what), workload.address, port);
        if workload.serve {
            topology.services_of(workload).take(1).try_for_each(|service| check("the application", service.port))?;
        }
        if !workload.sidecar {
            continue;
        }
        check("the admin page", port::ADMIN)?;
        check("the stats page", port::STATS)?;
        match &workload.gateway {
            Some(gateway) => check("the gateway", gateway.port)?,
            None => {
                check("the outbound listener", port::OUTBOUND)?;
                check("the inbound listener", port::INBOUND)?;
            }
        }
        for service in topology.callees(workload).filter(|s| s.protocol == Protocol::Tcp) {
            check("the outbound listener", service.port)?;
        }
    }
    Ok(())
}

fn wait_until_ready(sidecars: &[Sidecar], options: &Options) -> Result<()> {
    let begin = Instant::now();
    for sidecar in sidecars {
        while !sidecar.is_ready() {
            options.interrupt.check()?;
            sidecars.iter().try_for_each(Sidecar::check)?;
            ensure!(
                begin.elapsed() < READY_TIMEOUT,
                "the sidecar of {} is not ready after {READY_TIMEOUT:?}; its log:\n{}",
                sidecar.name(),
                sidecar.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        sidecar.check_accepted()?;
    }
    Ok(())
}
