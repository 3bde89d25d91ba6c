//! Handlers: the targets of reports.

use std::{collections::BTreeMap, rc::Rc};

use crate::{
    diagnostic::{Code, Diagnostics, ObjectName, Place},
    fields::{At, Fields},
};

use super::{prometheus::Prometheus, unsupported};

/// A handler.
#[derive(Debug)]
pub struct Handler {
    /// Its name.
    pub name: Rc<ObjectName>,
    /// Its place.
    pub place: Place,
    /// Its adapter.
    pub adapter: Adapter,
}

/// The adapter of a handler.
#[derive(Debug)]
pub enum Adapter {
    /// `prometheus`
    Prometheus(Prometheus),
    /// `stdio`
    Stdio(Stdio),
    /// `fluentd`
    Fluentd(Fluentd),
    /// `kubernetesenv`: generates attributes.
    Kubernetes,
    /// Not migrated; this was reported.
    None,
}

/// The stdio adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Stdio {
    /// Whether lines are JSON.
    pub json: bool,
    /// Levels by severity: `info`, `warn`, `error`. A severity without a level has `info`.
    pub levels: BTreeMap<String, &'static str>,
    /// The level of metrics.
    pub metric_level: &'static str,
    /// The target of lines.
    pub sink: Sink,
}

/// Where stdio writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file of Mixer.
    File,
}

/// The fluentd adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Fluentd {
    /// Host and port.
    pub address: String,
    /// Whether durations are whole milliseconds instead of text.
    pub integer_duration: bool,
}

/// The names of levels in lines, in the order of the enum.
const LEVELS: [&str; 3] = ["info", "warn", "error"];
const LEVEL_NAMES: [&str; 3] = ["INFO", "WARNING", "ERROR"];
/// The default severities of stdio.
const SEVERITIES: [(&str, &[&str]); 3] = [
    ("info", &["INFORMATIONAL", "informational", "INFO", "info"]),
    ("warn", &["WARNING", "warning", "WARN", "warn"]),
    ("error", &["ERROR", "error", "ERR", "err", "FATAL", "fatal"]),
];

impl Handler {
    /// Reads a handler.
    pub(super) fn read(at: &At<'_>, usable: bool, diagnostics: &mut Diagnostics) -> Self {
        let place = at.place();
        let name = place.object.clone().unwrap_or_default();
        let position = at.node.get("spec").map_or(place.position, |spec| spec.position);
        let nothing = envoy_filter::yaml::Node { position, kind: envoy_filter::yaml::Kind::Null };
        let spec = at.field("spec", at.node.get("spec").unwrap_or(&nothing));
        let adapter = if name.kind == "handler" {
            let known = ["compiled_adapter", "adapter", "params", "connection"];
            let fields = spec.fields(&known, diagnostics);
            let params = fields.get("params").cloned().unwrap_or_else(|| spec.field("params", &nothing));
            match fields.text("compiled_adapter", diagnostics) {
                Some(adapter) => Adapter::read(&adapter, &params, &name.name, diagnostics),
                None => {
                    out_of_process(&fields, &spec, diagnostics);
                    Adapter::None
                }
            }
        } else {
            Adapter::read(&name.kind, &spec, &name.name, diagnostics)
        };
        Self { name, place, adapter: if usable { adapter } else { Adapter::None } }
    }
}

fn out_of_process(fields: &Fields<'_>, spec: &At<'_>, diagnostics: &mut Diagnostics) {
    let Some(adapter) = fields.text("adapter", diagnostics) else {
        diagnostics.add(Code::Field, &spec.place(), "has no compiledAdapter");
        return;
    };
    let address = fields.get("connection").and_then(|at| at.node.get("address")).and_then(|node| node.as_text());
    let message = format!(
        "handler uses an out-of-process adapter ({adapter:?} at {}): only compiledAdapter prometheus, stdio, fluentd can \
         be migrated.",
        address.unwrap_or("no address")
    );
    diagnostics.add(Code::OutOfProcess, &spec.place(), message);
}

impl Adapter {
    fn read(adapter: &str, params: &At<'_>, handler: &str, diagnostics: &mut Diagnostics) -> Self {
        match adapter {
            "prometheus" => Self::Prometheus(Prometheus::read(params, handler, diagnostics)),
            "stdio" => Stdio::read(params, diagnostics).map_or(Self::None, Self::Stdio),
            "fluentd" => Fluentd::read(params, diagnostics).map_or(Self::None, Self::Fluentd),
            "kubernetesenv" => Self::Kubernetes,
            _ => {
                unsupported::adapter(adapter, &params.place(), diagnostics);
                Self::None
            }
        }
    }
}

impl Stdio {
    fn read(at: &At<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let before = diagnostics.errors();
        let known = [
            "log_stream",
            "severity_levels",
            "metric_level",
            "output_level",
            "output_as_json",
            "output_path",
            "max_megabytes_before_rotation",
            "max_days_before_rotation",
            "max_rotated_files",
        ];
        let fields = at.fields(&known, diagnostics);
        let stream = fields
            .get("log_stream")
            .and_then(|at| at.choice(&["STDOUT", "STDERR", "FILE", "ROTATED_FILE"], diagnostics))
            .unwrap_or(0);
        let sink = match stream {
            0 => Sink::Stdout,
            1 => Sink::Stderr,
            _ => Sink::File,
        };
        let path = fields.text("output_path", diagnostics).filter(|path| !path.is_empty());
        match (sink, &path) {
            (Sink::File, None) => diagnostics.add(Code::Field, &at.place(), "a file needs output_path"),
            (Sink::File, Some(path)) => {
                let message = format!(
                    "Mixer wrote {path} on its own disk; the sidecar writes to its standard output. Let what collects the \
                     containers' output write files"
                );
                diagnostics.add(Code::FileSink, &at.place(), message);
            }
            (_, Some(_)) => diagnostics.add(Code::Field, &at.place(), "output_path is only for FILE and ROTATED_FILE"),
            (Sink::Stderr, None) => {
                let message = "Mixer wrote to standard error; the sidecar writes to its standard output";
                diagnostics.add(Code::FileSink, &at.place(), message);
            }
            (Sink::Stdout, None) => {}
        }
        if let Some(at) = fields.get("output_level") {
            let message = "output_level had no effect: all entries were written, and are";
            diagnostics.add(Code::OutputLevel, &at.place(), message);
        }
        for field in ["max_megabytes_before_rotation", "max_days_before_rotation", "max_rotated_files"] {
            if let Some(at) = fields.get(field) {
                at.integer(diagnostics);
            }
        }
        let mut level = |at: &At<'_>| {
            let level = at.choice(&LEVEL_NAMES, diagnostics).unwrap_or(0);
            LEVELS.get(level).copied().unwrap_or("info")
        };
        let metric_level = fields.get("metric_level").map_or("info", &mut level);
        let levels = match fields.get("severity_levels") {
            // A configured map replaces the whole default map.
            Some(at) => {
                at.entries(&mut Diagnostics::default()).iter().map(|(name, at)| (name.clone(), level(at))).collect()
            }
            None => SEVERITIES
                .iter()
                .flat_map(|(level, names)| names.iter().map(|name| ((*name).to_owned(), *level)))
                .collect(),
        };
        let json = fields.get("output_as_json").and_then(|at| at.boolean(diagnostics)).unwrap_or(true);
        (diagnostics.errors() == before).then_some(Self { json, levels, metric_level, sink })
    }
}

impl Fluentd {
    fn read(at: &At<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let before = diagnostics.errors();
        let known = [
            "address",
            "integer_duration",
            "instance_buffer_size",
            "max_batch_size_bytes",
            "push_interval_duration",
            "push_timeout_duration",
        ];
        let fields = at.fields(&known, diagnostics);
        let address = fields.text("address", diagnostics).unwrap_or_else(|| "localhost:24224".into());
        let port =
            address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok())?);
        if port.is_none() {
            diagnostics.add(Code::Field, &at.place().field("address"), format!("{address:?} is not host:port"));
        }
        for field in ["instance_buffer_size", "max_batch_size_bytes"] {
            if let Some(at) = fields.get(field) {
                at.integer(diagnostics);
            }
        }
        for field in ["push_interval_duration", "push_timeout_duration"] {
            if let Some(at) = fields.get(field) {
                at.duration(diagnostics);
            }
        }
        let integer_duration = fields.get("integer_duration").and_then(|at| at.boolean(diagnostics)).unwrap_or(false);
        let message = format!(
            "Mixer sent this to {address}; a module cannot. The entries go to the sidecar's standard output as JSON with \
             `tag` and `time`: let Fluentd read the containers' output"
        );
        diagnostics.add(Code::Fluentd, &at.place(), message);
        (diagnostics.errors() == before).then_some(Self { address, integer_duration })
    }
}
