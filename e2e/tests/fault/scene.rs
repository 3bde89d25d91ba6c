//! A small mesh with rules, and helpers to observe it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use local_mesh::{envoy_filter, tools, Answer, Mesh, Options, PluginConfig, Request, Topology, Update};

pub use e2e::load::SERVER;
pub use e2e::machine::{loud, quiet};
pub use e2e::wait::{ms, wait_for, wait_until, WAIT};

/// A client's sidecar. The server is outside the mesh, so that there is only one proxy.
pub const ONE_PROXY: &str = "
name: shop
workloads:
  - { name: client, app: client, version: v1, address: 127.22.0.1, calls: [server] }
  - { name: server, app: server, address: 127.22.0.2, sidecar: false }
services:
  - { name: server, port: 9080, protocol: http }
";

/// A sidecar on each side.
pub const PAIR: &str = "
name: shop
workloads:
  - { name: client, app: client, version: v1, namespace: front, address: 127.22.0.1, calls: [server] }
  - { name: server, app: server, namespace: back, address: 127.22.0.2 }
services:
  - { name: server, namespace: back, port: 9080, protocol: http }
";

/// Tolerance for a delay: a step of Envoy's timer, and the time that a busy machine adds.
pub const LATE: Duration = Duration::from_millis(60);

/// A fault for every request; `ALL` stands for it in texts of configurations.
pub const ALL: &str = r#""percentage": {"value": 100}"#;

/// One line for each request, in Envoy's output.
pub const ACCESS_LOG: &str = "{ applyTo: NETWORK_FILTER, match: { listener: { filterChain: {
      filter: { name: envoy.filters.network.http_connection_manager } } } },
    patch: { operation: MERGE, value: { typed_config: {
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      access_log: [ { name: envoy.access_loggers.stdout, typed_config: {
        '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog,
        log_format: { text_format_source: { inline_string:
          \"LOG %REQ(:PATH)% code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% \
fs=%FILTER_STATE(wasm.fault_flags:PLAIN)%\\n\" } } } } ] } } } }";

/// The parts of a mesh.
pub struct Setting<'a> {
    /// Workloads and services.
    pub topology: &'a str,
    /// Outbound rules.
    pub outbound: &'a str,
    /// Inbound rules.
    pub inbound: &'a str,
    /// EnvoyFilters in addition to those of fault injection, by file name.
    pub filters: &'a [&'a str],
    /// Additional patches.
    pub patches: &'a [&'a str],
    /// Number of Envoy's workers.
    pub workers: u32,
    /// Version of Envoy, if not the newest.
    pub envoy: Option<&'a str>,
}

/// A running mesh.
pub struct Scene {
    /// The mesh.
    pub mesh: Mesh,
    /// Whether a plugin may log errors.
    pub may_complain: bool,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { topology: ONE_PROXY, outbound: "{}", inbound: "{}", filters: &[], patches: &[], workers: 1, envoy: None }
    }
}

impl Setting<'_> {
    /// Starts it.
    pub fn start(&self) -> Scene {
        self.start_with(|_| {})
    }

    /// Starts it with changed options.
    pub fn start_with(&self, change: impl FnOnce(&mut Options)) -> Scene {
        let has_server = !self.topology.contains("sidecar: false");
        let mut files = vec!["fault-outbound", "fault-bootstrap"];
        if has_server {
            files.push("fault-inbound");
        }
        files.extend(self.filters);
        let patches = [ACCESS_LOG].iter().chain(self.patches).map(|patch| envoy_filter(patch)).collect();
        let mut options = Options {
            filters: files.iter().map(|name| tools::filters().join(name).with_extension("yaml")).collect(),
            patches,
            plugins: vec![
                configured("remixer-fault-outbound", self.outbound),
                configured("remixer-fault-inbound", self.inbound),
            ],
            every_patch_must_match: true,
            envoy_version: self.envoy.map(str::to_owned),
            concurrency: self.workers,
            log_level: "warning,wasm:info".to_owned(),
            ..Options::default()
        };
        change(&mut options);
        let mesh = Mesh::start(Topology::parse(self.topology).unwrap(), options).unwrap();
        Scene { mesh, may_complain: false }
    }
}

/// [`ONE_PROXY`] with these outbound rules.
pub fn outbound(rules: &str) -> Scene {
    Setting { outbound: rules, ..Setting::default() }.start()
}

/// A configuration with one rule: this fault, and more fields of the rule.
pub fn rule(fault: &str, more: &str) -> String {
    format!(r#"{{"http": [{}]}}"#, named("r", fault, more))
}

/// A rule with this name and fault, and more fields.
pub fn named(name: &str, fault: &str, more: &str) -> String {
    let fault = fault.replace("ALL", ALL);
    format!(r#"{{"name": "{name}", "fault": {{{fault}}} {more}}}"#)
}

/// A rule for a path, with the path as its name.
pub fn for_path(path: &str, fault: &str) -> String {
    named(path.trim_start_matches('/'), fault, &format!(r#", "match": [{{"uri": {{"exact": "{path}"}}}}]"#))
}

/// A configuration with these rules.
pub fn rules(rules: &[String]) -> String {
    format!(r#"{{"http": [{}]}}"#, rules.join(","))
}

/// A configuration of a plugin, in all proxies.
pub fn configured(plugin: &str, configuration: &str) -> PluginConfig {
    PluginConfig { workload: None, plugin: plugin.to_owned(), configuration: configuration.to_owned() }
}

/// The patch in the README for users of `engine: envoy`.
pub fn native_filter() -> String {
    let readme = include_str!("../../../filters/fault/README.md");
    let (_, after) = readme.split_once("```yaml\n").expect("a patch in the README");
    after.split_once("```").expect("its end").0.to_owned()
}

impl Scene {
    /// GET from the client's application.
    pub fn get(&self, path: &str) -> Request {
        self.request(Request::get(self.proxy(), path))
    }

    /// Sets the server's name in a request.
    pub fn request(&self, request: Request) -> Request {
        let namespace = &self.mesh.topology().service("server").unwrap().namespace;
        request.host(&format!("server.{namespace}:9080"))
    }

    /// The address for requests of the client's application.
    pub fn proxy(&self) -> std::net::SocketAddr {
        self.mesh.sidecar("client").unwrap().outbound()
    }

    /// Sends a request.
    pub fn send(&self, request: &Request) -> Answer {
        self.mesh.client().send(request).unwrap()
    }

    /// The status of the answer to a request.
    pub fn status(&self, request: &Request) -> u16 {
        self.send(request).status
    }

    /// Sends a request. Returns its status and duration.
    pub fn timed(&self, request: &Request) -> (u16, Duration) {
        let begin = Instant::now();
        let status = self.status(request);
        (status, begin.elapsed())
    }

    /// Checks that the answer is delayed as expected, and does not come earlier.
    pub fn expect_delay(&self, request: &Request, status: u16, delay: Duration) {
        let ((answered, took), stall) = with_longest_stall(|| self.timed(request));
        assert_eq!(answered, status);
        // The client and Envoy may both be delayed by the machine.
        let latest = delay + LATE + stall * 2;
        assert!((delay..latest).contains(&took), "{took:?} instead of {delay:?}; the machine stalled for {stall:?}");
    }

    /// Number of requests that the server's application has answered.
    pub fn served(&self) -> u64 {
        self.mesh.application("server").unwrap().served()
    }

    /// A metric of a workload's proxy, by the values of some labels.
    pub fn counts(&self, workload: &str, metric: &str, labels: &[&str]) -> BTreeMap<String, u64> {
        self.mesh.sidecar(workload).unwrap().counts(metric, labels).unwrap()
    }

    /// Checks counters of the client's proxy: name, values of its labels, value.
    pub fn expect(&self, expected: &[(&str, &str, u64)]) {
        for (metric, labels, value) in expected {
            let names: &[&str] = if metric.contains("abort") { &["rule", "result"] } else { &["rule"] };
            let seen = || self.counts("client", metric, names).get(*labels).copied().unwrap_or_default();
            wait_for(&format!("{metric} {labels}"), value, seen);
        }
    }

    /// Number of requests that the client's proxy is delaying.
    pub fn active(&self) -> u64 {
        self.counts("client", "fault_active", &[]).values().sum()
    }

    /// The line in the access log of the client's proxy for the only request to this path.
    pub fn log_of(&self, path: &str) -> String {
        let begin = format!("LOG {path} ");
        let mut found = String::new();
        wait_until(|| {
            let log = self.mesh.sidecar("client").unwrap().output();
            log.lines().find_map(|line| line.split_once(&begin).map(|(_, said)| said.clone_into(&mut found))).is_some()
        });
        found
    }

    /// Pushes other rules to the client's proxy.
    pub fn push(&self, rules: &str) -> Update {
        let plugins = vec![configured("remixer-fault-outbound", rules), configured("remixer-fault-inbound", "{}")];
        self.mesh.push("client", |options| options.plugins = plugins).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for sidecar in self.mesh.sidecars() {
            let complaint = sidecar.complaint();
            assert!(self.may_complain || complaint.is_none(), "{complaint:?}");
            let active = || self.counts(sidecar.name(), "fault_active", &[]).values().sum::<u64>();
            wait_for("fault_active at the end", &0, active);
        }
    }
}

/// Does `work`. Returns the longest time for which the machine kept a ready thread waiting.
pub fn with_longest_stall<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !is_over.load(Ordering::Relaxed) {
                let begin = Instant::now();
                std::thread::sleep(ms(2));
                longest = longest.max(begin.elapsed().saturating_sub(ms(2)));
            }
            longest
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        (done, watch.join().unwrap())
    })
}
