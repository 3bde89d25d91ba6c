//! Converts files to resources.

use std::{collections::HashSet, rc::Rc};

use envoy_filter::yaml::{Node, Position};

use crate::{
    diagnostic::{Code, Diagnostics, Place, Severity},
    input::{Input, Reading, BUILT_IN},
    model::{Adapter, Instance, Model, Template},
    output::Output,
    remarks,
    spec::Specs,
    Options,
};

/// The result of a migration.
#[derive(Debug)]
pub struct Migration {
    /// The diagnostics.
    pub diagnostics: Diagnostics,
    /// The output.
    pub output: Output,
    /// Number of Mixer's objects.
    pub objects: usize,
    /// Number of other objects, which were ignored.
    pub others: usize,
}

impl Migration {
    /// Migrates YAML texts, each with a file name.
    pub fn of(files: &[(String, String)], options: &Options) -> Self {
        let mut diagnostics = Diagnostics::default();
        let reading = Reading { namespace: options.namespace.clone(), last_wins: options.last_wins };
        let mut input = Input::default();
        for (name, text) in files {
            input.add(name, text, &reading, &mut diagnostics);
        }
        let (objects, others) = (input.objects.len(), input.others);
        if objects == 0 && diagnostics.errors() == 0 {
            let file = files.first().map_or("-", |(name, _)| name.as_str());
            let place = Place { file: file.into(), position: Position::default(), object: None, field: String::new() };
            let message =
                "nothing of Mixer's is in the input: its objects have the apiVersion config.istio.io/v1alpha2";
            diagnostics.add(Code::Nothing, &place, message);
        }
        if let Some(version) = options.defaults {
            input.add_defaults(version, &reading);
        }
        let mut model = Model::read(&input, &mut diagnostics);
        if !options.kubernetes {
            model.defaults.bindings = Some(Default::default());
        }
        let specs = Specs::of(&model, &mut diagnostics);
        let mut output = Output::of(&specs, &model, options, &mut diagnostics);
        output.moves.extend(others_moves(&input));
        output.moves.extend(unused(&model, &specs));
        if options.kubernetes && model.defaults.bindings.is_none() {
            assume(&specs, &mut diagnostics);
        }
        replaced(&model, &mut diagnostics);
        Self { diagnostics, output, objects, others }
    }

    /// The resources, if they may be written: if there are no errors, or with `keep_going`.
    pub fn resources(&self, keep_going: bool) -> Option<String> {
        (keep_going || self.diagnostics.count(Severity::Error) == 0).then(|| self.output.to_yaml())
    }
}

/// The result for objects that are neither metrics nor logs. Objects that are not migrated have a diagnostic.
fn others_moves(input: &Input) -> Vec<(Place, String)> {
    let became = |kind: &str, node: &Node| {
        let compiled = |name: &str| node.get("spec")?.get(name)?.as_text();
        match kind {
            "attributemanifest" => Some("read for the types of attributes"),
            "kubernetes" | "kubernetesenv" => Some("read for what unknown workloads are"),
            "instance" if compiled("compiledTemplate") == Some("kubernetes") => {
                Some("read for what unknown workloads are")
            }
            "handler" if compiled("compiledAdapter") == Some("kubernetesenv") => {
                Some("not needed: metadata exchange tells who workloads are")
            }
            "prometheus" | "stdio" | "fluentd" | "handler" => Some("read for what its instances become"),
            "rule" => Some("followed to its instances"),
            _ => None,
        }
    };
    let own = input.objects.iter().filter(|object| *object.file != *BUILT_IN);
    own.filter_map(|object| {
        let place = Place {
            file: Rc::clone(&object.file),
            position: object.node.position,
            object: Some(Rc::clone(&object.name)),
            field: String::new(),
        };
        Some((place, became(&object.name.kind, &object.node)?.to_owned()))
    })
    .collect()
}

/// The result for instances that no rule uses.
fn unused<'m>(model: &'m Model, specs: &'m Specs) -> impl Iterator<Item = (Place, String)> + 'm {
    let of_metrics = specs.metrics.iter().map(|spec| &spec.origin);
    let used: HashSet<&str> =
        of_metrics.chain(specs.logs.iter().map(|spec| &spec.origin)).map(|origin| origin.instance.as_str()).collect();
    let reports = |instance: &&Instance| !matches!(instance.template, Some(Template::Kubernetes));
    let instances = model.instances.iter().filter(reports).filter(|instance| *instance.place.file != *BUILT_IN);
    instances
        .filter(move |instance| !used.contains(instance.name.qualified().as_str()))
        .map(|instance| (instance.place.clone(), "no rule sends it where it can go: nothing is written".to_owned()))
}

/// Reports that the defaults of kubernetesenv are assumed, if they matter.
fn assume(specs: &Specs, diagnostics: &mut Diagnostics) {
    let of_metrics = specs.metrics.iter().flat_map(|spec| spec.labels.iter().map(|(_, compiled)| compiled));
    let of_logs = specs.logs.iter().flat_map(|spec| spec.variables.iter().map(|variable| &variable.value));
    if let Some(compiled) = of_metrics.chain(of_logs).find(|compiled| remarks::uses_kubernetes(&compiled.expression)) {
        let message =
            "no kubernetesenv instance is in the input; Istio's own is assumed: workloads that are not known are \
                       \"unknown\", not absent. --k8s-attributes=absent takes them for absent";
        diagnostics.add(Code::KubernetesAssumed, &compiled.place, message);
    }
}

/// Reports if a handler replaced Istio's own.
fn replaced(model: &Model, diagnostics: &mut Diagnostics) {
    for handler in &model.handlers {
        let name = handler.name.qualified();
        let is_own = matches!(name.as_str(), "prometheus.handler.istio-system" | "handler.prometheus.istio-system");
        if let (true, Adapter::Prometheus(prometheus)) = (is_own, &handler.adapter) {
            // The first name is from 0.8 and older.
            let of_istio = ["istio_request_count", "istio_requests_total"];
            if !prometheus.metrics.iter().any(|metric| of_istio.contains(&metric.name.as_str())) {
                let message =
                    "in the cluster, this replaced Istio's own handler of that name, and istio_requests_total and \
                               the others stopped. Attach envoy/telemetry.yaml to have them again";
                diagnostics.add(Code::DefaultOverwrite, &handler.place, message);
            }
        }
    }
}
