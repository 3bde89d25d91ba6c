//! What is written: EnvoyFilters with the configurations of stats and access log, and the bootstrap's part.

mod access_log;
mod bootstrap;
pub(crate) mod check;
mod resource;
mod stats;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::{
    cexl::{Expression, Kind, Operator, Value},
    diagnostic::{Code, Diagnostics, Place},
    model::Model,
    scene::{self, Condition, Protocol, Scene, Side},
    source::Sources,
    spec::{Origin, Protocols, Specs},
    translate::{Translator, Untranslatable},
    Options,
};

pub use resource::Plugin;

/// How often Mixer's proxies reported live connections.
const REPORTING: &str = "10s";

/// The namespace whose rules apply to the whole mesh.
const ROOT: &str = "istio-system";

/// What `connection.event` may be.
const EVENTS: [&str; 3] = ["open", "continue", "close"];

/// All scenes, in the order of what is written.
pub const SCENES: [Scene; 4] = [
    Scene { side: Side::Inbound, protocol: Protocol::Http },
    Scene { side: Side::Outbound, protocol: Protocol::Http },
    Scene { side: Side::Inbound, protocol: Protocol::Tcp },
    Scene { side: Side::Outbound, protocol: Protocol::Tcp },
];

/// Everything that is written, and what became of what.
#[derive(Debug, Default)]
pub struct Output {
    /// Plugin configurations by namespace and kind; each has one for every scene in which it does something.
    pub plugins: BTreeMap<(String, Plugin), Vec<(Scene, Json)>>,
    /// Labels of metrics that Istio's own do not have.
    pub labels: BTreeSet<String>,
    /// Buckets of native histograms by the metric's name.
    pub buckets: BTreeMap<String, Vec<f64>>,
    /// What became of what: where it stands, and where it went.
    pub moves: Vec<(Place, String)>,
}

impl Output {
    /// Writes what the specifications ask for.
    pub fn of(specs: &Specs, model: &Model, options: &Options, diagnostics: &mut Diagnostics) -> Self {
        let mut output = Self::default();
        stats::write(&specs.metrics, model, options, &mut output, diagnostics);
        access_log::write(&specs.logs, model, &mut output, diagnostics);
        output
    }

    /// The resources as YAML, nothing if there are none.
    pub fn to_yaml(&self) -> String {
        let mut documents: Vec<String> = self
            .plugins
            .iter()
            .map(|((namespace, plugin), scenes)| resource::write(namespace, *plugin, scenes))
            .collect();
        if self.plugins.keys().any(|(_, plugin)| *plugin == Plugin::Stats || *plugin == Plugin::TcpStats) {
            documents.insert(0, bootstrap::write(&self.labels, &self.buckets));
        }
        documents.join("---\n")
    }

    fn add(&mut self, namespace: &str, plugin: Plugin, scene: Scene, configuration: Json) {
        self.plugins.entry((namespace.to_owned(), plugin)).or_default().push((scene, configuration));
    }
}

/// What became of fields, in which scenes.
#[derive(Debug, Default)]
struct Fields(Vec<(Place, String, Vec<Scene>)>);

impl Fields {
    fn new() -> Self {
        Self::default()
    }

    fn add(&mut self, place: &Place, became: String, scene: Scene) {
        match self.0.iter_mut().find(|(known, text, _)| known == place && *text == became) {
            Some((_, _, scenes)) if !scenes.contains(&scene) => scenes.push(scene),
            Some(_) => {}
            None => self.0.push((place.clone(), became, vec![scene])),
        }
    }

    fn into_moves(self) -> impl Iterator<Item = (Place, String)> {
        self.0.into_iter().map(|(place, became, scenes)| (place, format!("{became} ({})", describe(&scenes))))
    }
}

/// Namespaces with that of the mesh first, since every other one has what it has, too.
fn in_order(namespaces: BTreeSet<&str>) -> impl Iterator<Item = &str> {
    let (mesh, others): (Vec<&str>, Vec<&str>) = namespaces.into_iter().partition(|name| *name == ROOT);
    mesh.into_iter().chain(others)
}

/// When a rule holds in a scene.
#[derive(Debug, Default)]
struct When {
    /// The conditions that must all hold.
    conditions: Vec<String>,
    /// The event of a connection that it is for, which is the modules' own business; none if it is for all.
    event: Option<String>,
}

/// When a rule holds in a scene; none if it never does, or if that cannot be told by the filters.
fn when(origin: &Origin, sources: &Sources<'_>, diagnostics: &mut Diagnostics) -> Option<When> {
    let fits = match origin.protocols {
        Protocols::Both => true,
        Protocols::Http => sources.scene().protocol == Protocol::Http,
        Protocols::Tcp => sources.scene().protocol == Protocol::Tcp,
    };
    let Some(compiled) = origin.condition.as_ref().filter(|_| fits) else {
        return fits.then(When::default);
    };
    let left = match scene::condition(&compiled.expression, sources) {
        Condition::Never => return None,
        Condition::Always => return Some(When::default()),
        Condition::When(left) => left,
    };
    let mut when = When::default();
    for part in conjuncts(&left) {
        if let Some(event) = event(part).filter(|event| !EVENTS.contains(event)) {
            let message =
                format!("connection.event is never {event:?} but one of {}: the rule never matched", EVENTS.join(", "));
            diagnostics.add(Code::NeverSet, &compiled.place, message);
            return None;
        }
        match (event(part), Translator::new(sources).value(part)) {
            (Some(event), _) if when.event.is_none() => when.event = Some(event.to_owned()),
            (_, Ok(text)) => when.conditions.push(text),
            (_, Err(Untranslatable(reason))) => {
                diagnostics.add(Code::NotExpressible, &compiled.place, reason);
                return None;
            }
        }
    }
    Some(when)
}

/// The condition that all of these hold; none if there are none. Each counts once.
fn all(conditions: &[String]) -> Option<String> {
    let mut distinct: Vec<&String> = Vec::new();
    for condition in conditions {
        if !distinct.contains(&condition) {
            distinct.push(condition);
        }
    }
    match distinct.as_slice() {
        [] => None,
        // Alone, it needs no brackets.
        [only] => Some((*only).clone()),
        _ => Some(distinct.iter().map(|condition| format!("({condition})")).collect::<Vec<_>>().join(" && ")),
    }
}

/// What `&&` joins.
fn conjuncts(expression: &Expression) -> Vec<&Expression> {
    match &expression.kind {
        Kind::Binary(Operator::And, left, right) => [conjuncts(left), conjuncts(right)].concat(),
        _ => vec![expression],
    }
}

/// The event that a condition asks for: `connection.event == "open"`.
fn event(expression: &Expression) -> Option<&str> {
    let Kind::Binary(Operator::Equal, left, right) = &expression.kind else {
        return None;
    };
    match (&left.kind, &right.kind) {
        (Kind::Attribute(name), Kind::Constant(Value::String(event)))
        | (Kind::Constant(Value::String(event)), Kind::Attribute(name))
            if name == "connection.event" =>
        {
            Some(event)
        }
        _ => None,
    }
}

/// Where something went: `inbound HTTP`.
fn describe(scenes: &[Scene]) -> String {
    if scenes.is_empty() {
        return "nothing is written".to_owned();
    }
    let name = |scene: &Scene| {
        let side = if scene.side == Side::Inbound { "inbound" } else { "outbound" };
        let protocol = if scene.protocol == Protocol::Http { "HTTP" } else { "TCP" };
        format!("{side} {protocol}")
    };
    scenes.iter().map(name).collect::<Vec<_>>().join(", ")
}
