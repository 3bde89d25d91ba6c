//! Data collected while writing the parts of the output.

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

/// Everything that is written, and the migration of each field.
#[derive(Debug, Default)]
pub struct Output {
    /// Plugin configurations by namespace and kind: one for each scene in which the plugin does something.
    pub plugins: BTreeMap<(String, Plugin), Vec<(Scene, Json)>>,
    /// Labels of metrics in addition to Istio's.
    pub labels: BTreeSet<String>,
    /// Buckets of native histograms, by metric name.
    pub buckets: BTreeMap<String, Vec<f64>>,
    /// The migration of each field: its place, and its new location.
    pub moves: Vec<(Place, String)>,
}

impl Output {
    /// Adds a plugin's configuration in a scene.
    pub(super) fn add(&mut self, namespace: &str, plugin: Plugin, scene: Scene, configuration: Json) {
        self.plugins.entry((namespace.to_owned(), plugin)).or_default().push((scene, configuration));
    }
}

/// The migration of fields, by scene.
#[derive(Debug, Default)]
pub struct Fields(Vec<(Place, String, Vec<Scene>)>);

impl Fields {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the result for a field in a scene.
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

/// Namespaces, with the mesh's first: every other namespace has its configuration, too.
pub fn in_order(namespaces: BTreeSet<&str>) -> impl Iterator<Item = &str> {
    let (mesh, others): (Vec<&str>, Vec<&str>) = namespaces.into_iter().partition(|name| *name == ROOT);
    mesh.into_iter().chain(others)
}
