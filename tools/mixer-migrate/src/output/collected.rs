//! What is collected while the parts of the output are written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::resource::Plugin;
use crate::{
    diagnostic::Place,
    scene::{describe, Scene},
};

/// How often Mixer's proxies reported live connections.
pub const REPORTING: &str = "10s";

/// The namespace whose rules apply to the whole mesh.
pub const ROOT: &str = "istio-system";

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
    /// Adds a plugin's configuration in a scene.
    pub(super) fn add(&mut self, namespace: &str, plugin: Plugin, scene: Scene, configuration: Json) {
        self.plugins.entry((namespace.to_owned(), plugin)).or_default().push((scene, configuration));
    }
}

/// What became of fields, in which scenes.
#[derive(Debug, Default)]
pub struct Fields(Vec<(Place, String, Vec<Scene>)>);

impl Fields {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A field became something in a scene.
    pub fn add(&mut self, place: &Place, became: String, scene: Scene) {
        match self.0.iter_mut().find(|(known, text, _)| known == place && *text == became) {
            Some((_, _, scenes)) if !scenes.contains(&scene) => scenes.push(scene),
            Some(_) => {}
            None => self.0.push((place.clone(), became, vec![scene])),
        }
    }

    /// For [`Output::moves`].
    pub fn into_moves(self) -> impl Iterator<Item = (Place, String)> {
        self.0.into_iter().map(|(place, became, scenes)| (place, format!("{became} ({})", describe(&scenes))))
    }
}

/// Namespaces with that of the mesh first, since every other one has what it has, too.
pub fn in_order(namespaces: BTreeSet<&str>) -> impl Iterator<Item = &str> {
    let (mesh, others): (Vec<&str>, Vec<&str>) = namespaces.into_iter().partition(|name| *name == ROOT);
    mesh.into_iter().chain(others)
}
