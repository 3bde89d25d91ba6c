//! A client's proxy that mirrors, with a server and a mirror that record everything.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use local_mesh::{envoy_filter, tools, Answer, Mesh, Options, PluginConfig, Request, Sidecar, Topology, Update};

use crate::backend::Backend;
use e2e::load::SERVER;
pub use e2e::machine::loud;
pub use e2e::wait::{ms, wait_for, wait_until};

/// A client's sidecar. Server and mirror are outside the mesh, so that there is only one proxy.
pub const ONE_PROXY: &str = "
name: shop
workloads:
  - { name: client, app: client, version: v1, address: 127.24.0.1, calls: [server] }
  - { name: server, app: server, address: 127.24.0.2, sidecar: false, serve: false }
  - { name: mirror, app: mirror, address: 127.24.0.3, sidecar: false, serve: false }
services:
  - { name: server, port: 9080, protocol: http }
  - { name: mirror, port: 9080, protocol: http }
";

/// The same, with a service that nothing listens on.
pub const WITH_NOBODY: &str = "
name: shop
workloads:
  - { name: client, app: client, version: v1, address: 127.24.0.1, calls: [server] }
  - { name: server, app: server, address: 127.24.0.2, sidecar: false, serve: false }
  - { name: mirror, app: mirror, address: 127.24.0.3, sidecar: false, serve: false }
  - { name: nobody, app: nobody, address: 127.24.0.4, sidecar: false, serve: false }
services:
  - { name: server, port: 9080, protocol: http, retries: { attempts: 2, on: 5xx } }
  - { name: mirror, port: 9080, protocol: http }
  - { name: nobody, port: 9080, protocol: http }
";

/// The cluster of the server.
pub const SERVER_CLUSTER: &str = "outbound|9080||server.default.svc.cluster.local";

/// The cluster that nothing listens on.
pub const NOBODY: &str = "outbound|9080||nobody.default.svc.cluster.local";

/// The cluster in `envoy/shadow.yaml`, without endpoints.
pub const EMPTY: &str = "remixer_shadow";

/// The cluster of the mirror.
pub const MIRROR: &str = "outbound|9080||mirror.default.svc.cluster.local";

/// Requests with this header are mirrored.
const ASKS: &str = "x-asks";

/// The parts of a scene.
pub struct Setting<'a> {
    /// Workloads and services.
    pub topology: &'a str,
    /// The outbound configuration of the filter.
    pub rules: &'a str,
    /// Additional patches.
    pub patches: &'a [&'a str],
    /// EnvoyFilters in addition to those of shadowing, by file name.
    pub filters: &'a [&'a str],
    /// Number of Envoy's workers.
    pub workers: u32,
    /// Version of Envoy, if not the newest.
    pub envoy: Option<&'a str>,
}

/// A running mesh with its servers.
pub struct Scene {
    /// The mesh.
    pub mesh: Mesh,
    /// The target of requests.
    pub server: Backend,
    /// The target of copies; `None` if there is none.
    pub mirror: Option<Backend>,
    /// Whether a plugin may log errors.
    pub may_complain: bool,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { topology: ONE_PROXY, rules: "{}", patches: &[], filters: &[], workers: 1, envoy: None }
    }
}

impl Setting<'_> {
    /// Starts it.
    pub fn start(&self) -> Scene {
        self.start_with(|_| {})
    }

    /// Starts it with changed options.
    pub fn start_with(&self, change: impl FnOnce(&mut Options)) -> Scene {
        let files = ["shadow.yaml", "shadow-bootstrap.yaml"].iter().chain(self.filters);
        let patches = self.patches.iter().map(|patch| envoy_filter(patch)).collect();
        let mut options = Options {
            filters: files.map(|name| tools::filters().join(name).with_extension("yaml")).collect(),
            patches,
            plugins: vec![configured(self.rules)],
            every_patch_must_match: true,
            envoy_version: self.envoy.map(str::to_owned),
            concurrency: self.workers,
            drain: 5,
            log_level: "warning,wasm:info".to_owned(),
            ..Options::default()
        };
        change(&mut options);
        let mesh = Mesh::start(Topology::parse(self.topology).unwrap(), options).unwrap();
        let backend = |name| {
            let ip = mesh.topology().workload(name)?.address;
            Some(Backend::start(SocketAddr::new(IpAddr::V4(ip), 9080)))
        };
        let server = backend("server").unwrap();
        let mirror = backend("mirror");
        Scene { server, mirror, mesh, may_complain: false }
    }
}

/// [`ONE_PROXY`] with these rules.
pub fn with(rules: &str) -> Scene {
    Setting { rules, ..Setting::default() }.start()
}

/// All requests go to the mirror, which has these additional fields.
pub fn all(more: &str) -> String {
    format!(r#"{{"http": [{{"mirrors": [{}]}}]}}"#, mirror("m", MIRROR, more))
}

/// The same rules, for requests with a special header: see [`Scene::side_by_side`].
pub fn if_asked(rules: &str) -> String {
    rules.replace(r#"{"mirrors""#, &format!(r#"{{"match": [{{"headers": {{"{ASKS}": {{}}}}}}], "mirrors""#))
}

/// A mirror with this name and cluster, and additional fields.
pub fn mirror(name: &str, cluster: &str, more: &str) -> String {
    let separator = if more.is_empty() { "" } else { ", " };
    format!(r#"{{"name": "{name}", "cluster": "{cluster}"{separator}{more}}}"#)
}

/// A configuration of the plugin.
pub fn configured(configuration: &str) -> PluginConfig {
    PluginConfig { workload: None, plugin: "remixer-shadow".to_owned(), configuration: configuration.to_owned() }
}

impl Scene {
    /// The target of copies.
    pub fn mirror(&self) -> &Backend {
        self.mirror.as_ref().expect("somebody is there")
    }

    /// The proxy that mirrors.
    pub fn client(&self) -> &Sidecar {
        self.mesh.sidecar("client").unwrap()
    }

    /// The address for requests of the client's application.
    pub fn proxy(&self) -> SocketAddr {
        self.client().outbound()
    }

    /// GET from the client's application.
    pub fn get(&self, path: &str) -> Request {
        Request::get(self.proxy(), path).host(SERVER)
    }

    /// POST from the client's application.
    pub fn post(&self, path: &str, body: Vec<u8>) -> Request {
        Request::post(self.proxy(), path, body).host(SERVER)
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

    /// Durations of mirrored requests, each next to the same request without a mirror (by [`if_asked`]): other work on the
    /// machine then affects both. The first of each pair is the duration without a mirror.
    pub fn side_by_side(&self, count: u32, every: Duration, build: impl Fn() -> Request) -> Vec<[Duration; 2]> {
        let begin = Instant::now();
        let mut slot = 0;
        let mut time = |is_mirrored: bool| {
            std::thread::sleep((begin + every * slot).saturating_duration_since(Instant::now()));
            slot += 1;
            let request = if is_mirrored { build().header(ASKS, "1") } else { build() };
            let (status, took) = self.timed(&request);
            assert_eq!(status, 200);
            took
        };
        let pair = |number: u32| {
            // They take turns in being first.
            let is_first = number.is_multiple_of(2);
            let [first, second] = [is_first, !is_first].map(&mut time);
            if is_first {
                [second, first]
            } else {
                [first, second]
            }
        };
        (0..count).map(pair).collect()
    }

    /// Writes bytes to the proxy, and reads for this long.
    pub fn raw(&self, bytes: &[u8], wait: Duration) -> String {
        String::from_utf8_lossy(&self.mesh.client().raw(self.proxy(), bytes, wait).unwrap()).into_owned()
    }

    /// A metric, by the values of its labels in the documented order.
    pub fn counts(&self, metric: &str) -> BTreeMap<String, u64> {
        counts(self.client(), metric)
    }

    /// Checks a metric by the values of its labels. No other values may exist.
    pub fn expect(&self, metric: &str, expected: &[(&str, u64)]) {
        let expected: BTreeMap<String, u64> =
            expected.iter().map(|(labels, value)| ((*labels).into(), *value)).collect();
        wait_for(metric, &expected, || self.counts(metric));
    }

    /// The sum of a counter.
    pub fn total(&self, metric: &str) -> u64 {
        self.counts(metric).values().sum()
    }

    /// Pushes other rules to the client's proxy.
    pub fn push(&self, rules: &str) -> Update {
        self.mesh.push("client", |options| options.plugins = vec![configured(rules)]).unwrap()
    }
}

/// A metric of a proxy, by the values of its labels in the documented order.
pub fn counts(sidecar: &Sidecar, metric: &str) -> BTreeMap<String, u64> {
    let (_, labels) = shadow::metrics::METRICS.iter().find(|(name, _)| *name == metric).expect(metric);
    sidecar.counts(metric, labels).unwrap()
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for sidecar in self.mesh.sidecars() {
                for line in sidecar.log().lines().filter(|line| line.contains("wasm")) {
                    eprintln!("{}: {line}", sidecar.name());
                }
            }
            return;
        }
        for sidecar in self.mesh.sidecars() {
            let complaint = sidecar.complaint();
            assert!(self.may_complain || complaint.is_none(), "{complaint:?}");
            for gauge in ["shadow_in_flight", "shadow_buffered_bytes"] {
                wait_for(gauge, &0, || counts(sidecar, gauge).values().sum::<u64>());
            }
        }
    }
}

/// The median. A few disturbed values do not matter.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
