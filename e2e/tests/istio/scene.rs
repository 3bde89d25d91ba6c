//! The cluster that all tests share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use local_cluster::json::list;
use local_cluster::{parts, Cluster, Pod};
use local_mesh::{tools, wait_for_value, Sample};
use serde_json::Value;

/// The longest that something may take to appear.
pub const WAIT: Duration = Duration::from_secs(30);

/// Where the release's images are.
pub const REGISTRY: &str = "registry.street:5000";

/// What starts metadata exchange over TCP, beside `.`.
const TCP_OUTBOUND: &str = "filters/tcp-metadata-exchange-outbound.yaml";

/// The namespaces, each with a directory of workloads, and whether sidecars are injected.
const NAMESPACES: [(&str, &str); 6] = [
    ("shop", "enabled"),
    ("depot", "enabled"),
    ("street", "disabled"),
    ("gate", "enabled"),
    ("loft", "enabled"),
    ("cellar", "enabled"),
];

/// The workloads, each with its namespace.
const APPS: [(&str, &str); 8] = [
    ("shop", "client"),
    ("shop", "web"),
    ("shop", "db"),
    ("depot", "stock"),
    ("street", "kiosk"),
    ("gate", "gate"),
    ("loft", "lodger"),
    ("cellar", "jar"),
];

/// The files of `envoy/separate` that workloads of `cellar` have.
const SEPARATE: [&str; 2] = ["metadata-exchange.yaml", "stats.yaml"];

/// The cluster, without Istio as long as no test has asked for it.
pub fn bare_cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let start = || Cluster::start(&directory().join("cluster"));
    let started = CLUSTER.get_or_init(|| start().map_err(|error| format!("{error:#}")));
    started.as_ref().unwrap_or_else(|error| panic!("there is no cluster: {error}"))
}

/// The cluster with Istio, installed for stock Envoy, with a release's `kubernetes/` attached as its README says, and with the
/// workloads of `apps/`.
pub fn mesh() -> &'static Cluster {
    static MESH: OnceLock<Result<(), String>> = OnceLock::new();
    let started = MESH.get_or_init(|| attach(bare_cluster()).map_err(|error| format!("{error:#}")));
    started.as_ref().unwrap_or_else(|error| panic!("there is no mesh: {error}"));
    bare_cluster()
}

/// Where everything of these tests is.
pub fn directory() -> PathBuf {
    tools::root().join("target/istio")
}

/// A path of the release's `kubernetes/`.
pub fn kubernetes(path: &str) -> String {
    directory().join("release/kubernetes").join(path).display().to_string()
}

fn attach(cluster: &Cluster) -> anyhow::Result<()> {
    write_release()?;
    let gateways = parts::istio("gateway-api.yaml")?.display().to_string();
    cluster.kubectl(&["apply", "--server-side", "-f", &gateways])?;
    cluster.install_istio(&[Path::new(&kubernetes("istio/values.yaml"))], &[&insecure_registry()])?;
    for (namespace, injection) in NAMESPACES {
        cluster.kubectl(&["create", "namespace", namespace])?;
        cluster.kubectl(&["label", "namespace", namespace, &format!("istio-injection={injection}")])?;
    }
    cluster.kubectl(&["apply", "--server-side", "-k", &kubernetes("")])?;
    for namespace in ["shop", "depot", "gate", "cellar"] {
        cluster.kubectl(&["apply", "--server-side", "-k", &kubernetes("modules"), "-n", namespace])?;
    }
    for (namespace, _) in NAMESPACES {
        cluster.kubectl(&["apply", "--server-side", "-k", &app(namespace)])?;
    }
    for (namespace, app) in APPS {
        cluster.wait_ready_one(namespace, &format!("app={app}"))?;
    }
    // Every called workload has the label: so connections may begin with the peer's metadata.
    cluster.kubectl(&["apply", "-f", &kubernetes(TCP_OUTBOUND)]).map(drop)
}

/// The setting that the tests' registry needs, which has no certificate.
pub fn insecure_registry() -> String {
    format!("meshConfig.defaultConfig.proxyMetadata.WASM_INSECURE_REGISTRIES={REGISTRY}")
}

/// A path of the workloads.
pub fn app(path: &str) -> String {
    directory().join("apps").join(path).display().to_string()
}

/// What `make release` makes, without programs, and the workloads beside it.
fn write_release() -> anyhow::Result<()> {
    let (root, modules, programs) = (tools::root(), tools::dist(), release::Files::new());
    let inputs =
        release::Inputs { root: &root, modules: &modules, images: &format!("{REGISTRY}/remixer"), programs: &programs };
    for name in ["release", "apps"] {
        let path = directory().join(name);
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    release::files::write(&release::release(&inputs)?, &directory().join("release"))?;
    let apps = release::files::read_all(&root.join("e2e/tests/istio/apps"), "")?;
    release::files::write(&apps, &directory().join("apps"))?;
    // A kustomization reads no file from outside of its directory.
    for name in SEPARATE {
        fs::copy(directory().join("release/envoy/separate").join(name), app(&format!("cellar/{name}")))?;
    }
    Ok(())
}

/// The pod of an app.
pub fn pod(namespace: &str, app: &str) -> Pod {
    mesh().wait_ready_one(namespace, &format!("app={app}")).unwrap()
}

/// Replaces the pods of a deployment in `shop`.
pub fn restart(deployment: &str) {
    let rollout = ["-n", "shop", "rollout"];
    mesh().kubectl(&[&rollout[..], &["restart", "deployment", deployment]].concat()).unwrap();
    mesh().kubectl(&[&rollout[..], &["status", "deployment", deployment, "--timeout=60s"]].concat()).unwrap();
}

/// Detaches the filters of `.`.
pub fn detach_filters() {
    mesh().kubectl(&["delete", "-f", &kubernetes(TCP_OUTBOUND)]).unwrap();
    mesh().kubectl(&["delete", "-k", &kubernetes("filters")]).unwrap();
}

/// Attaches them again.
pub fn attach_filters() -> anyhow::Result<()> {
    mesh().kubectl(&["apply", "-k", &kubernetes("filters")])?;
    mesh().kubectl(&["apply", "-f", &kubernetes(TCP_OUTBOUND)]).map(drop)
}

/// Resources that are applied until dropped.
#[derive(Debug)]
pub struct Applied {
    flag: &'static str,
    path: String,
}

impl Applied {
    /// Those of a file.
    pub fn file(path: &str) -> Self {
        Self::of("-f", path)
    }

    /// Those of a text.
    pub fn yaml(name: &str, text: &str) -> Self {
        let path = directory().join(format!("{name}.yaml"));
        fs::write(&path, text).unwrap();
        Self::file(&path.display().to_string())
    }

    /// Those of a kustomization.
    pub fn directory(path: &str) -> Self {
        Self::of("-k", path)
    }

    fn of(flag: &'static str, path: &str) -> Self {
        mesh().kubectl(&["apply", "--server-side", "--force-conflicts", flag, path]).unwrap();
        Self { flag, path: path.to_owned() }
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        let arguments = ["delete", "--ignore-not-found", "--wait=false", self.flag, &self.path];
        restored(mesh().kubectl(&arguments).map(drop));
    }
}

/// What is as it was before is no matter of the test that ends; what is not would be one of all tests after it.
pub fn restored(result: anyhow::Result<()>) {
    match result {
        Err(error) if std::thread::panicking() => println!("not restored: {error:#}"),
        result => result.unwrap(),
    }
}

/// What is attached instead of `.`, until dropped.
#[derive(Debug)]
pub struct Instead(&'static str);

impl Instead {
    /// Attaches a directory of `kubernetes/`.
    pub fn attach(directory: &'static str) -> Self {
        let instead = Self(directory);
        detach_filters();
        mesh().kubectl(&["apply", "--server-side", "-k", &kubernetes(directory)]).unwrap();
        instead
    }
}

impl Drop for Instead {
    fn drop(&mut self) {
        let has_its_own = |(namespace, app): &(&str, &str)| {
            let pod = mesh().wait_ready_one(namespace, &format!("app={app}"));
            pod.is_ok_and(|pod| has_mounted_telemetry(&pod))
        };
        let pods = [("shop", "client"), ("shop", "web"), ("depot", "stock")];
        restored(
            mesh()
                .kubectl(&["delete", "-k", &kubernetes(self.0)])
                .and_then(|_| attach_filters())
                .and_then(|()| local_mesh::wait_until(WAIT, || pods.iter().all(has_its_own))),
        );
    }
}

/// What the proxy of a pod is configured with. What nothing asks for any more may still be in it.
pub fn config(pod: &Pod) -> String {
    dump(pod, "config_dump")
}

/// Its listeners, with the names of the filters that they ask for.
pub fn listeners(pod: &Pod) -> String {
    dump(pod, "config_dump?resource=dynamic_listeners")
}

/// The filters that it has been given by name, each as JSON. What nothing asks for any more may still be among them.
pub fn filters(pod: &Pod) -> Vec<String> {
    let filters = dump(pod, "config_dump?resource=ecds_filters");
    let filters: Value = serde_json::from_str(&filters).unwrap_or_default();
    list(&filters, "/configs").iter().map(|filter| filter["ecds_filter"].to_string()).collect()
}

/// Whether it has the telemetry of `.`, with the module that is mounted.
fn has_mounted_telemetry(pod: &Pod) -> bool {
    let filters = filters(pod);
    let mut of_telemetry = filters.iter().filter(|filter| filter.contains("\"remixer.telemetry.sidecar_outbound\""));
    of_telemetry.any(|filter| filter.contains("/var/local/remixer/remixer.wasm"))
        && listeners(pod).contains("remixer.telemetry.sidecar_outbound")
}

fn dump(pod: &Pod, path: &str) -> String {
    pod.exec("istio-proxy", &["pilot-agent", "request", "GET", path]).unwrap_or_default()
}

/// Labels of a series.
pub type Labels = BTreeMap<String, String>;

/// Labels, and what is different in them.
pub fn with(labels: &Labels, changes: &[(&str, &str)]) -> Labels {
    let mut labels = labels.clone();
    labels.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    labels
}

/// What a proxy is to report: metrics that grow together, the first a counter; each with how much more of it there is, and all
/// with the same labels and no others.
#[derive(Debug)]
pub struct Report<'a> {
    /// Whose proxy.
    pub pod: &'a Pod,
    /// All labels.
    pub labels: Labels,
    /// Metrics.
    pub more: &'a [(&'a str, f64)],
}

impl Report<'_> {
    fn value(&self, metric: &str) -> f64 {
        let samples = self.pod.samples(metric).unwrap();
        samples.iter().filter(|sample| sample.labels == self.labels).map(|sample| sample.value).fold(0.0, |a, b| a + b)
    }

    /// How often what is to happen once more has happened.
    fn times(&self) -> f64 {
        self.more.first().map_or(0.0, |(counter, more)| self.value(counter) / more)
    }
}

/// How often each has happened. What happened just before is counted within moments.
fn settled(reports: &[Report<'_>]) -> Vec<f64> {
    let times = || reports.iter().map(Report::times).collect::<Vec<_>>();
    let mut before = times();
    let settled = local_mesh::wait_for(WAIT, || {
        std::thread::sleep(Duration::from_millis(300));
        let now = times();
        (std::mem::replace(&mut before, now.clone()) == now).then_some(now)
    });
    settled.unwrap()
}

/// Does something, and waits until all proxies have reported it.
pub fn reported<T>(reports: &[Report<'_>], act: impl FnOnce() -> T) -> T {
    let times = settled(reports);
    let result = act();
    for (report, times) in reports.iter().zip(times) {
        for (metric, more) in report.more {
            // Histograms show what they have of the seconds before.
            if let Err(error) = wait_for_value(WAIT, &((times * more).round() + more), || report.value(metric)) {
                let seen = nearest(report, metric);
                panic!("{metric} of {}: {error:#}\nexpected {:?}\n{seen}", report.pod.name(), report.labels);
            }
        }
    }
    result
}

/// The series of a metric that are most like those expected, by what differs.
fn nearest(report: &Report<'_>, metric: &str) -> String {
    let differs = |sample: Sample| {
        let names: BTreeSet<&String> = sample.labels.keys().chain(report.labels.keys()).collect();
        let [seen, expected] = [&sample.labels, &report.labels];
        let differ = names.into_iter().filter(|name| seen.get(*name) != expected.get(*name));
        let told: Vec<String> =
            differ.map(|name| format!("{name}: {:?} for {:?}", seen.get(name), expected.get(name))).collect();
        (told.len(), format!("{} with {}", sample.value, told.join(", ")))
    };
    let mut seen: Vec<(usize, String)> = report.pod.samples(metric).unwrap().into_iter().map(differs).collect();
    seen.sort();
    seen.into_iter().take(3).map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}
