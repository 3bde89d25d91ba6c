//! A small mesh with rules, and what can be seen of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use local_mesh::{envoy_filter, tools, Answer, Mesh, Options, PluginConfig, Request, Topology, Update};

pub use e2e::load::SERVER;
pub use e2e::machine::{loud, quiet};
pub use e2e::wait::{ms, wait_for, wait_until, WAIT};

/// A client's sidecar; the server is outside the mesh, so that this is the only proxy.
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

/// How late a delayed request may be: a step of Envoy's timer, and what a busy machine adds.
pub const LATE: Duration = Duration::from_millis(60);

/// A fault for every request: `ALL` in texts of configurations stands for it.
pub const ALL: &str = r#""percentage": {"value": 100}"#;

/// One line per request, in Envoy's output.
pub const ACCESS_LOG: &str = "{ applyTo: NETWORK_FILTER, match: { listener: { filterChain: {
      filter: { name: envoy.filters.network.http_connection_manager } } } },
    patch: { operation: MERGE, value: { typed_config: {
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      access_log: [ { name: envoy.access_loggers.stdout, typed_config: {
        '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog,
        log_format: { text_format_source: { inline_string:
          \"LOG %REQ(:PATH)% code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% \
fs=%FILTER_STATE(wasm.fault_flags:PLAIN)%\\n\" } } } } ] } } } }";

/// What a mesh is made of.
pub struct Setting<'a> {
    /// Workloads and services.
    pub topology: &'a str,
    /// Rules on the way out.
    pub outbound: &'a str,
    /// Rules on the way in.
    pub inbound: &'a str,
    /// EnvoyFilters besides those of faults, by their file's name.
    pub filters: &'a [&'a str],
    /// Further patches.
    pub patches: &'a [&'a str],
    /// Envoy's workers.
    pub workers: u32,
    /// Another Envoy than the newest.
    pub envoy: Option<&'a str>,
}

/// A running mesh.
pub struct Scene {
    /// The mesh.
    pub mesh: Mesh,
    /// Whether a plugin may complain.
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

    /// Starts it, with more options.
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
            plugins: vec![configured("fault_outbound", self.outbound), configured("fault_inbound", self.inbound)],
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

/// [`ONE_PROXY`] with these rules on the way out.
pub fn outbound(rules: &str) -> Scene {
    Setting { outbound: rules, ..Setting::default() }.start()
}

/// A configuration of one rule: with this fault, and more fields of the rule.
pub fn rule(fault: &str, more: &str) -> String {
    format!(r#"{{"http": [{}]}}"#, named("r", fault, more))
}

/// A rule of this name, with this fault, and more fields.
pub fn named(name: &str, fault: &str, more: &str) -> String {
    let fault = fault.replace("ALL", ALL);
    format!(r#"{{"name": "{name}", "fault": {{{fault}}} {more}}}"#)
}

/// A rule for a path, which is named after it.
pub fn for_path(path: &str, fault: &str) -> String {
    named(path.trim_start_matches('/'), fault, &format!(r#", "match": [{{"uri": {{"exact": "{path}"}}}}]"#))
}

/// A configuration of these rules.
pub fn rules(rules: &[String]) -> String {
    format!(r#"{{"http": [{}]}}"#, rules.join(","))
}

/// A configuration of a plugin, wherever it is.
pub fn configured(plugin: &str, configuration: &str) -> PluginConfig {
    PluginConfig { workload: None, plugin: plugin.to_owned(), configuration: configuration.to_owned() }
}

/// The patch that the README tells users of `engine: envoy` to apply.
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

    /// Gives a request the server's name.
    pub fn request(&self, request: Request) -> Request {
        let namespace = &self.mesh.topology().service("server").unwrap().namespace;
        request.host(&format!("server.{namespace}:9080"))
    }

    /// Where the client's application sends its requests.
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

    /// Sends a request; its status, and how long it took.
    pub fn timed(&self, request: &Request) -> (u16, Duration) {
        let begin = Instant::now();
        let status = self.status(request);
        (status, begin.elapsed())
    }

    /// Checks that a request is answered as late as it should be, and not earlier.
    pub fn expect_delay(&self, request: &Request, status: u16, delay: Duration) {
        let ((answered, took), stall) = with_longest_stall(|| self.timed(request));
        assert_eq!(answered, status);
        // The client and Envoy may each be kept from running.
        let latest = delay + LATE + stall * 2;
        assert!((delay..latest).contains(&took), "{took:?} instead of {delay:?}; the machine stalled for {stall:?}");
    }

    /// How many requests the server's application has answered.
    pub fn served(&self) -> u64 {
        self.mesh.application("server").unwrap().served()
    }

    /// A metric of a workload's proxy by the values of some of its labels.
    pub fn counts(&self, workload: &str, metric: &str, labels: &[&str]) -> BTreeMap<String, u64> {
        self.mesh.sidecar(workload).unwrap().counts(metric, labels).unwrap()
    }

    /// Checks counters of the client's proxy: name, values of its labels, value.
    pub fn expect(&self, expected: &[(&str, &str, u64)]) {
        for (metric, labels, value) in expected {
            let names: &[&str] = if metric.contains("abort") { &["rule", "code"] } else { &["rule"] };
            let seen = || self.counts("client", metric, names).get(*labels).copied().unwrap_or_default();
            wait_for(&format!("{metric} {labels}"), value, seen);
        }
    }

    /// How many requests are being delayed at the client's proxy.
    pub fn active(&self) -> u64 {
        self.counts("client", "fault_active", &[]).values().sum()
    }

    /// What the access log of the client's proxy says of the one request to this path.
    pub fn log_of(&self, path: &str) -> String {
        let begin = format!("LOG {path} ");
        let mut found = String::new();
        wait_until(|| {
            let log = self.mesh.sidecar("client").unwrap().output();
            log.lines().find_map(|line| line.split_once(&begin).map(|(_, said)| said.clone_into(&mut found))).is_some()
        });
        found
    }

    /// Gives the client's proxy other rules.
    pub fn push(&self, rules: &str) -> Update {
        let plugins = vec![configured("fault_outbound", rules), configured("fault_inbound", "{}")];
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

/// Does `work`, and finds out for how long at most the machine let somebody wait meanwhile who was to run.
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
