//! A mesh with its own configuration, and rows of traffic with the expected growth of series.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::pair::SERVER;
pub use e2e::pair::{status, PAIR};
pub use e2e::wait::WAIT;
use local_mesh::{exposition, stats_tags, tools, Mesh, Options, PluginConfig, Request, Sample, Topology, Update};

/// In a row: the series does not have the label.
const ABSENT: &str = "(absent)";

/// Instead of a version: the newest, with Envoy as the one that counts.
pub const ENVOY_COUNTS: &str = "envoy counts";

/// A little longer than Envoy's flush interval, after which histograms are on the stats page.
const FLUSH: Duration = Duration::from_millis(1200);

/// The parts of a mesh in addition to the EnvoyFilters in `envoy/`.
pub struct Setting<'a> {
    /// Its workloads and services.
    pub topology: &'a str,
    /// Outbound configuration of stats.
    pub outbound: &'a str,
    /// Inbound configuration of stats.
    pub inbound: &'a str,
    /// Additional EnvoyFilters: the content of `spec`.
    pub patches: &'a [&'a str],
}

/// A running mesh with its series. When dropped, it reports the failed rows.
pub struct Scene {
    /// The mesh.
    pub mesh: Mesh,
    failures: Vec<String>,
    /// The series of the previous row, by workload and metric.
    last: BTreeMap<(String, String), Series>,
}

/// The samples of one metric: their values by their labels.
type Series = BTreeMap<BTreeMap<String, String>, f64>;

/// The growth of one metric of one workload that a row expects, by the values of some labels.
struct Growth {
    workload: String,
    metric: String,
    labels: Vec<String>,
    by: BTreeMap<Vec<String>, f64>,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { topology: PAIR, outbound: "{}", inbound: r#"{"disable_host_header_fallback": true}"#, patches: &[] }
    }
}

impl Setting<'_> {
    /// Starts the mesh on a version of Envoy. Each proxy's bootstrap has the output of `remixer stats-tags` for its stats
    /// configuration: the inbound one for workloads behind a service, else the outbound one.
    pub fn start(&self, envoy: &str) -> Scene {
        let topology = Topology::parse(self.topology).unwrap();
        let mut patches: Vec<String> = self.patches.iter().map(|patch| envoy_filter(patch)).collect();
        patches.push(stats_tags::bootstrap(&[self.inbound.as_bytes(), self.outbound.as_bytes()]).unwrap());
        let files = [
            "separate/metadata-exchange",
            "separate/stats",
            "tcp-metadata-exchange-inbound",
            "tcp-metadata-exchange-outbound",
            "tcp-stats",
        ];
        let plugins = [
            ("stats_outbound", self.outbound),
            ("tcp_stats_outbound", self.outbound),
            ("stats_inbound", self.inbound),
            ("tcp_stats_inbound", self.inbound),
        ];
        let options = Options {
            filters: files.map(|name| tools::filters().join(name).with_extension("yaml")).to_vec(),
            patches,
            plugins: plugins.map(|(plugin, configuration)| configured(plugin, configuration)).to_vec(),
            envoy_version: Some(if envoy == ENVOY_COUNTS { tools::ENVOY_VERSION } else { envoy }.to_owned()),
            envoy_counts: envoy == ENVOY_COUNTS,
            ..Options::default()
        };
        Scene { mesh: Mesh::start(topology, options).unwrap(), failures: Vec::new(), last: BTreeMap::new() }
    }
}

impl Scene {
    /// A row: its name, the traffic, and the series that grow. The text has a line for each series: the reporting workload,
    /// the metric, distinguishing labels, and the growth. Other series of these metrics must not grow, except buckets of
    /// histograms. `labels` is the number of labels of a series.
    pub fn row<T>(&mut self, name: &str, send: impl FnOnce(&Mesh) -> T, series: &str) -> T {
        let mut expected = growths(series);
        // Series that must not grow are checked last, after the others have grown.
        expected.sort_by_key(|growth| growth.is_nothing());
        let samples = expected.iter().any(Growth::is_histogram);
        if samples && !self.last.is_empty() {
            std::thread::sleep(FLUSH);
        }
        let mut before = std::mem::take(&mut self.last);
        let before: Vec<Series> = expected
            .iter()
            .map(|growth| before.remove(&growth.key()).unwrap_or_else(|| read(&self.mesh, growth)))
            .collect();
        let sent = send(&self.mesh);
        if expected.iter().any(|growth| growth.is_histogram() && growth.is_nothing()) {
            std::thread::sleep(FLUSH);
        }
        for (growth, before) in expected.iter().zip(&before) {
            let (after, failure) = wait_for(&self.mesh, growth, before);
            self.last.insert(growth.key(), after);
            self.failures.extend(failure.map(|failure| format!("{name}:\n  {failure}\n")));
        }
        sent
    }

    /// Pushes another configuration of one plugin, and waits until the old connections have drained, so that no connection
    /// has the old configuration.
    pub fn push(&mut self, workload: &str, plugin: &str, configuration: &str) -> Update {
        let update = self.mesh.push(workload, |options| {
            options.plugins.retain(|other| other.plugin != plugin);
            options.plugins.push(configured(plugin, configuration));
        });
        let sidecar = self.mesh.sidecar(workload).unwrap();
        let drained = || {
            ["total_filter_chains_draining", "total_listeners_draining"]
                .iter()
                .all(|gauge| sidecar.counter(&format!("listener_manager.{gauge}")).unwrap() == 0)
        };
        local_mesh::wait_until(WAIT, drained).unwrap();
        update.unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let failed = !self.failures.is_empty() && !std::thread::panicking();
        assert!(!failed, "{}", self.failures.join("\n"));
    }
}

/// A configuration for a plugin, in all proxies with this plugin.
pub fn configured(plugin: &str, configuration: &str) -> PluginConfig {
    PluginConfig { workload: None, plugin: plugin.to_owned(), configuration: configuration.to_owned() }
}

/// GET from the application of `client-v1` to the server.
pub fn get(mesh: &Mesh, path: &str) -> Request {
    get_from(mesh, SERVER, path)
}

/// GET from the application of `client-v1` on a new connection: an existing one may still have the old configuration.
pub fn get_from(mesh: &Mesh, host: &str, path: &str) -> Request {
    let request = Request::get(mesh.sidecar("client-v1").unwrap().outbound(), path);
    request.host(host).header("connection", "close")
}

/// An EnvoyFilter with this specification, in YAML's flow style.
fn envoy_filter(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n\
         metadata: {{ name: test, namespace: istio-system }}\nspec: {{ {spec} }}\n"
    )
}

/// Reads the lines of a row.
fn growths(text: &str) -> Vec<Growth> {
    let mut growths: Vec<Growth> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (workload, sample) = line.split_once(' ').unwrap();
        let [sample] = &exposition::parse(sample).unwrap()[..] else { panic!("not one series: {line}") };
        let labels: Vec<String> = sample.labels.keys().cloned().collect();
        let values: Vec<String> = sample.labels.values().cloned().collect();
        let known = growths.iter_mut().find(|growth| growth.workload == workload && growth.metric == sample.name);
        match known {
            Some(growth) => {
                assert_eq!(growth.labels, labels, "all lines of a metric name the same labels: {line}");
                growth.by.insert(values, sample.value);
            }
            None => growths.push(Growth {
                workload: workload.to_owned(),
                metric: sample.name.clone(),
                labels,
                by: BTreeMap::from([(values, sample.value)]),
            }),
        }
    }
    growths
}

/// The current samples of the metric.
fn read(mesh: &Mesh, growth: &Growth) -> Series {
    let samples = mesh.sidecar(&growth.workload).unwrap().stats().unwrap();
    let stray = samples.iter().find(|sample| is_stray(sample));
    assert!(stray.is_none(), "a label has stayed in the metric's name: {stray:?}");
    samples.into_iter().filter(|sample| sample.name == growth.metric).map(|s| (s.labels, s.value)).collect()
}

/// Whether one of our metrics has a label in its name.
fn is_stray(sample: &Sample) -> bool {
    sample.name.contains("istio_") && !sample.name.starts_with("istio_") && !sample.name.starts_with("envoy_")
}

/// Waits until the metric has grown exactly as expected. Returns its samples, and the difference if there is one.
fn wait_for(mesh: &Mesh, growth: &Growth, before: &Series) -> (Series, Option<String>) {
    let end = Instant::now() + WAIT;
    loop {
        let after = read(mesh, growth);
        let grown = growth.between(before, &after);
        if grown == growth.by {
            return (after, None);
        }
        if Instant::now() >= end {
            let Growth { workload, metric, labels, by } = growth;
            let failure =
                format!("{metric} of {workload} by {labels:?}\n  has grown by {grown:?}\n  instead of   {by:?}");
            return (after, Some(failure));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Growth {
    fn key(&self) -> (String, String) {
        (self.workload.clone(), self.metric.clone())
    }

    fn is_histogram(&self) -> bool {
        self.metric.ends_with("_count") || self.is_bucket()
    }

    fn is_bucket(&self) -> bool {
        self.metric.ends_with("_bucket")
    }

    fn is_nothing(&self) -> bool {
        self.by.values().all(|by| *by == 0.0)
    }

    /// The growth of series, by the values of the relevant labels: of the expected series, and of any others.
    fn between(&self, before: &Series, after: &Series) -> BTreeMap<Vec<String>, f64> {
        let mut grown: BTreeMap<_, _> = self.by.keys().map(|values| (values.clone(), 0.0)).collect();
        for (labels, value) in after {
            let values = self.labels.iter().map(|name| match labels.get(name) {
                Some(value) => value.clone(),
                None if name == "labels" => labels.len().to_string(),
                None => ABSENT.to_owned(),
            });
            *grown.entry(values.collect()).or_insert(0.0) += value - before.get(labels).unwrap_or(&0.0);
        }
        grown.retain(|values, by| self.by.contains_key(values) || (*by != 0.0 && !self.is_bucket()));
        grown
    }
}
