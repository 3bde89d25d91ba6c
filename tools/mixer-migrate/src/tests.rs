//! Tests of the whole migration, from YAML to resources and report.

mod command;
mod corpus;
mod diagnostics;
mod expressions;
mod fuzz;
mod lines;
mod lost;
mod refused;
mod resources;
mod tutorials;

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::{
    diagnostic::Severity,
    migration::Migration,
    output::Plugin,
    report::report,
    scene::{Protocol, Scene, Side},
    Options,
};

const HTTP_IN: Scene = Scene { side: Side::Inbound, protocol: Protocol::Http };
const HTTP_OUT: Scene = Scene { side: Side::Outbound, protocol: Protocol::Http };
const TCP_IN: Scene = Scene { side: Side::Inbound, protocol: Protocol::Tcp };
const TCP_OUT: Scene = Scene { side: Side::Outbound, protocol: Protocol::Tcp };

/// Does `work`. One of three attempts must take less than `limit`, because the machine may be busy.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, text: &str, work: impl Fn(&str) -> T) -> T {
    let timed = || {
        let start = Instant::now();
        (work(text), start.elapsed())
    };
    let done = (0..3).map(|_| timed()).find(|(_, took)| *took < limit);
    done.unwrap_or_else(|| panic!("more than {limit:?} for {} bytes of {text:.60}", text.len())).0
}

fn migrate(text: &str) -> Migration {
    migrate_with(text, &Options::default())
}

fn migrate_with(text: &str, options: &Options) -> Migration {
    Migration::of(&[("a.yaml".into(), text.into())], options)
}

/// The diagnostics, one per line.
fn told(text: &str) -> Vec<String> {
    migrate(text).diagnostics.sorted().iter().map(ToString::to_string).collect()
}

/// The codes of the diagnostics, without notes.
fn codes(migration: &Migration) -> Vec<&'static str> {
    let all = migration.diagnostics.sorted();
    all.iter().filter(|told| told.code.severity() != Severity::Note).map(|told| told.code.name()).collect()
}

/// The configuration of a plugin of istio-system.
fn plugin(migration: &Migration, plugin: Plugin, scene: Scene) -> &Json {
    let key = ("istio-system".to_owned(), plugin);
    let scenes = migration.output.plugins.get(&key).unwrap_or_else(|| panic!("{}", report(migration, false)));
    &scenes.iter().find(|(known, _)| *known == scene).expect("scene").1
}

/// An instance, a handler and a rule for a counter `istio_m`, with these fields.
fn counter(value: &str, label: &str, condition: &str) -> String {
    metric("COUNTER", value, label, condition)
}

fn metric(kind: &str, value: &str, label: &str, condition: &str) -> String {
    let quoted = |text: &str| Json::String(text.to_owned()).to_string();
    format!(
        "apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: {{name: i, namespace: istio-system}}
spec:
  compiledTemplate: metric
  params:
    value: {}
    dimensions: {{l: {}}}
---
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: {{name: h, namespace: istio-system}}
spec:
  compiledAdapter: prometheus
  params:
    metrics:
    - {{name: m, instance_name: i.instance.istio-system, kind: {kind}, label_names: [l]}}
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {{name: r, namespace: istio-system}}
spec:
  match: {}
  actions:
  - {{handler: h, instances: [i]}}
",
        quoted(value),
        quoted(label),
        quoted(condition)
    )
}

/// The configuration of the label `l` of [`counter`].
fn label(migration: &Migration, scene: Scene) -> String {
    let kind = if scene.protocol == Protocol::Http { Plugin::Stats } else { Plugin::TcpStats };
    let definitions = plugin(migration, kind, scene)["definitions"].as_array().unwrap();
    definitions.iter().find(|definition| definition["name"] == "m").unwrap()["dimensions"]["l"]
        .as_str()
        .unwrap()
        .to_owned()
}
