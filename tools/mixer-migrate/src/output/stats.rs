//! The configuration of the stats module.
//!
//! The plugin runs in addition to Istio's own metrics. It keeps only those standard metrics that Mixer's configuration has.
//! The module writes its own labels if they have the same value; all other labels are expressions.

mod metric;
pub(super) mod standard;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use ::stats::plan::MAX_CONDITIONS;
use serde_json::{json, Map, Value as Json};

use crate::{
    diagnostic::{Code, Diagnostics},
    model::{Compiled, Model},
    remarks,
    scene::{describe, Protocol, Scene, Side, SCENES},
    simplify::{condition, simplify, Condition, Rest},
    sources::Sources,
    spec::{MetricSpec, Protocols},
    Options,
};

use super::{
    check,
    collected::{in_order, Fields, Output, REPORTING, ROOT},
    resource::Plugin,
};
use metric::{names_service, takes_host, Metric};

/// Writes the plugins for these metrics.
pub(super) fn write(
    specs: &[MetricSpec],
    model: &Model,
    options: &Options,
    output: &mut Output,
    diagnostics: &mut Diagnostics,
) {
    let namespaces: BTreeSet<&str> = specs.iter().map(|spec| spec.origin.namespace.as_str()).collect();
    let mut scenes_of: Vec<Vec<Scene>> = vec![Vec::new(); specs.len()];
    let mut fields: Fields = Fields::new();
    let mut of_mesh: Vec<(Scene, Vec<Metric>)> = Vec::new();
    for namespace in in_order(namespaces) {
        for scene in SCENES {
            let mesh = of_mesh.iter().find(|(known, _)| *known == scene).map_or(&[][..], |(_, metrics)| metrics);
            let plugin = plugin(scene);
            // Single metrics are checked only if all together are rejected, because that doubles the work.
            let mut attempt = |each| {
                let gathering = Gathering { namespace, scene, model, options, mesh, buckets: &output.buckets, each };
                let (metrics, written) = gathering.metrics(specs, diagnostics);
                let configuration = configuration(scene, &metrics);
                let problems = if metrics.is_empty() { Vec::new() } else { check::problems(plugin, &configuration) };
                (metrics, written, configuration, problems)
            };
            let (mut metrics, mut written, mut configuration, mut problems) = attempt(false);
            if !problems.is_empty() {
                (metrics, written, configuration, problems) = attempt(true);
            }
            if metrics.is_empty() {
                continue;
            }
            if !problems.is_empty() {
                // Each metric alone is accepted, but not all together.
                for (spec, _, _) in written {
                    for problem in &problems {
                        diagnostics.add(Code::NotExpressible, &spec.origin.place, check::message(plugin, problem));
                    }
                }
                continue;
            }
            let takes = scene.side == Side::Outbound && metrics.iter().any(|metric| metric.takes_host);
            for (spec, index, became) in written {
                if takes && names_service(spec) && !takes_host(spec) {
                    let message =
                        "another metric takes the Host header where the service is not known, and all metrics of \
                                   a proxy do so then: here, Mixer said what stands for the service";
                    diagnostics.add(Code::Differs, &spec.origin.place, message);
                }
                if let Some(scenes) = scenes_of.get_mut(index) {
                    scenes.push(scene);
                }
                for ((_, compiled), became) in spec.labels.iter().zip(became) {
                    fields.add(&compiled.place, became, scene);
                }
            }
            for metric in &metrics {
                let added = metric.labels.iter().map(|(name, _)| name.clone());
                output.labels.extend(added.filter(|name| !standard::LABELS.contains(&name.as_str())));
                output.labels.extend(metric.buckets.iter().map(|_| "le".to_owned()));
                if let Some(bounds) = &metric.native_buckets {
                    output.buckets.insert(metric.full_name(), bounds.clone());
                }
            }
            output.add(namespace, plugin, scene, configuration);
            if namespace == ROOT {
                of_mesh.push((scene, metrics));
            }
        }
    }
    for (spec, scenes) in specs.iter().zip(scenes_of) {
        tell(spec, &scenes, model, output, diagnostics);
    }
    output.moves.extend(fields.into_moves());
}

/// Data for the metrics of a scene.
struct Gathering<'a> {
    namespace: &'a str,
    scene: Scene,
    model: &'a Model,
    options: &'a Options,
    /// The metrics of the whole mesh, which apply in addition.
    mesh: &'a [Metric],
    /// The buckets of other scenes and namespaces.
    buckets: &'a BTreeMap<String, Vec<f64>>,
    /// Whether to check each metric alone.
    each: bool,
}

/// A written specification, its index, and the migration of its labels.
type Written<'s> = (&'s MetricSpec, usize, Vec<String>);

impl Gathering<'_> {
    fn metrics<'s>(&self, specs: &'s [MetricSpec], diagnostics: &mut Diagnostics) -> (Vec<Metric>, Vec<Written<'s>>) {
        let sources = Sources::new(self.scene, self.model);
        let (mut metrics, mut written) = (Vec::new(), Vec::new());
        for (index, spec) in specs.iter().enumerate() {
            if spec.origin.namespace != self.namespace
                || is_accidental(spec, self.scene, self.model, self.options, diagnostics)
            {
                continue;
            }
            let Some(metric) = Metric::of(spec, &sources, self.options, diagnostics) else {
                continue;
            };
            if self.each && !is_taken(&metric, spec, self.scene, diagnostics) {
                continue;
            }
            let became = metric.labels.iter().map(|(name, label)| label.describe(name)).collect();
            if add(&mut metrics, self.mesh, metric, spec, self.buckets, diagnostics) {
                written.push((spec, index, became));
            }
        }
        (metrics, written)
    }
}

fn tell(spec: &MetricSpec, scenes: &[Scene], model: &Model, output: &mut Output, diagnostics: &mut Diagnostics) {
    let went = format!("{} by {} of {}: {}", spec.name, spec.origin.rule, spec.origin.handler, describe(scenes));
    output.moves.push((spec.origin.place.clone(), went));
    let expressions = spec.labels.iter().map(|(_, compiled)| compiled).chain([&spec.value]);
    remarks::expressions(&spec.origin, expressions, spec.origin.condition.iter(), scenes, model, diagnostics);
    if scenes.is_empty() {
        return;
    }
    for (label, compiled) in &spec.labels {
        remarks::cardinality(label, compiled, diagnostics);
    }
}

/// Whether a TCP report matches only because the rule does not check the protocol.
fn is_accidental(
    spec: &MetricSpec,
    scene: Scene,
    model: &Model,
    options: &Options,
    diagnostics: &mut Diagnostics,
) -> bool {
    if scene.protocol == Protocol::Http || options.tcp_parity || spec.origin.protocols != Protocols::Both {
        return false;
    }
    let mut asks = false;
    if let Some(condition) = &spec.origin.condition {
        condition.expression.walk(&mut |part| {
            asks |= matches!(&part.kind, crate::cexl::Kind::Attribute(name) if name == "context.protocol" || name.starts_with("connection.") && name != "connection.mtls");
        });
    }
    if SCENES
        .iter()
        .filter(|scene| scene.protocol == Protocol::Http)
        .all(|scene| !has_samples(spec, &Sources::new(*scene, model)))
    {
        return false;
    }
    let counts_connections = matches!(&spec.value.expression.kind, crate::cexl::Kind::Fallback(first, _) if matches!(&first.kind, crate::cexl::Kind::Attribute(name) if name.starts_with("connection.")));
    if asks || counts_connections {
        return false;
    }
    let message = format!(
        "the rule does not ask for the protocol, so {} also counted reports of TCP connections (at open, every 10 s and at \
         close); the result counts requests only. --tcp=parity keeps them",
        spec.name
    );
    diagnostics.add(Code::TcpDropped, &spec.origin.place, message);
    true
}

/// Whether a metric can have samples in a scene.
fn has_samples(spec: &MetricSpec, sources: &Sources<'_>) -> bool {
    let has_value = |compiled: &Compiled| matches!(simplify(&compiled.expression, sources), Rest::Some(_));
    let condition = spec.origin.condition.as_ref().map(|compiled| condition(&compiled.expression, sources));
    condition != Some(Condition::Never)
        && has_value(&spec.value)
        && spec.labels.iter().all(|(_, compiled)| has_value(compiled))
}

fn plugin(scene: Scene) -> Plugin {
    if scene.protocol == Protocol::Http {
        Plugin::Stats
    } else {
        Plugin::TcpStats
    }
}

/// Whether the module accepts a metric alone.
fn is_taken(metric: &Metric, spec: &MetricSpec, scene: Scene, diagnostics: &mut Diagnostics) -> bool {
    let plugin = plugin(scene);
    let problems = check::problems(plugin, &configuration(scene, std::slice::from_ref(metric)));
    for problem in &problems {
        let label = problem.path.split_once(".dimensions.").map(|(_, label)| label);
        let label = spec.labels.iter().find(|(name, _)| Some(name.as_str()) == label);
        let place = label.map_or(&spec.origin.place, |(_, compiled)| &compiled.place);
        diagnostics.add(Code::NotExpressible, place, check::message(plugin, problem));
    }
    problems.is_empty()
}

/// Adds a metric to those of a scene. `mesh` are the metrics of the whole mesh, which apply in addition. `buckets` are
/// those of other scenes and namespaces.
fn add(
    metrics: &mut Vec<Metric>,
    mesh: &[Metric],
    metric: Metric,
    spec: &MetricSpec,
    buckets: &BTreeMap<String, Vec<f64>>,
    diagnostics: &mut Diagnostics,
) -> bool {
    let other_buckets = buckets.get(&metric.full_name());
    if metric.native_buckets.as_ref().zip(other_buckets).is_some_and(|(own, others)| own != others) {
        let message =
            format!("{} has other buckets elsewhere, and the bootstrap only one kind: name them apart", spec.name);
        diagnostics.add(Code::NotExpressible, &spec.origin.place, message);
        return false;
    }
    let mut same = metrics.iter_mut().filter(|earlier| earlier.full_name() == metric.full_name());
    if same.any(|earlier| earlier.count_together(&metric)) {
        return true;
    }
    if let Some(earlier) = metrics.iter().chain(mesh).find(|earlier| earlier.full_name() == metric.full_name()) {
        if !earlier.goes_with(&metric) {
            let message =
                format!("{} is fed twice, as another kind or with other labels or buckets: name them apart", spec.name);
            diagnostics.add(Code::NotExpressible, &spec.origin.place, message);
            return false;
        }
    }
    let mut others = metrics.iter().chain(mesh);
    if let Some(other) = others.find(|other| metric.is_part_of(other) || other.is_part_of(&metric)) {
        let message =
            format!("{} and {} would be one histogram to Prometheus: name them apart", spec.name, other.full_name());
        diagnostics.add(Code::NotExpressible, &spec.origin.place, message);
        return false;
    }
    let conditions = metrics.iter().chain([&metric]).filter_map(|metric| metric.condition.as_ref());
    if conditions.collect::<BTreeSet<_>>().len() > MAX_CONDITIONS {
        let message = format!("the stats module has at most {MAX_CONDITIONS} different conditions: put rules together");
        diagnostics.add(Code::NotExpressible, &spec.origin.place, message);
        return false;
    }
    metrics.push(metric);
    true
}

fn configuration(scene: Scene, metrics: &[Metric]) -> Json {
    let unused = standard::METRICS.into_iter().filter(|name| !metrics.iter().any(|metric| metric.is_standard(name)));
    let mut changes: Vec<Json> = unused.map(|name| json!({"name": name, "drop": true})).collect();
    let mut definitions = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        let same = |other: &&Metric| other.full_name() == metric.full_name();
        let is_own = metric.is_own() && metrics.iter().filter(same).count() == 1;
        let mut change = Map::new();
        change.insert("name".into(), metric.name.clone().into());
        if is_own {
            let dimensions = metric.dimensions();
            if !dimensions.is_empty() {
                change.insert("dimensions".into(), dimensions.into());
            }
        } else {
            definitions.push(metric.definition());
        }
        if standard::METRICS.iter().any(|name| metric.is_standard(name)) {
            let has = |label: &&&str| !metric.labels.iter().any(|(name, _)| name == **label);
            let removed: Vec<&str> = standard::labels(scene).iter().filter(has).copied().collect();
            if !removed.is_empty() {
                change.insert("tags_to_remove".into(), removed.into());
            }
        }
        if change.len() > 1 && !metrics.iter().take(index).any(|earlier| same(&earlier)) {
            changes.push(change.into());
        }
    }
    let mut configuration = Map::new();
    // Mixer used the Host header only if an expression did. Inbound, strangers can choose it, so it is never used.
    if scene.side == Side::Inbound || !metrics.iter().any(|metric| metric.takes_host) {
        configuration.insert("disable_host_header_fallback".into(), true.into());
    }
    if !definitions.is_empty() {
        configuration.insert("definitions".into(), definitions.into());
    }
    configuration.insert("metrics".into(), changes.into());
    // The bootstrap's expressions are anchored.
    configuration.insert("anchored_tags".into(), true.into());
    if scene.protocol == Protocol::Tcp {
        configuration.insert("tcp_reporting_duration".into(), REPORTING.into());
    }
    configuration.into()
}
