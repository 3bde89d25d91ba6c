//! The current source of each attribute, by side and protocol.
//!
//! The local workload belongs to the proxy. The peer is on the other side; metadata exchange identifies it.

mod table;

use crate::{
    cexl::{Type, Value, Vocabulary},
    model::Model,
    scene::{Protocol, Scene, Side},
    source::{Path, Source},
    vocabulary::{is_built_in, Attributes},
};

/// The sources of all attributes in a scene.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'m> {
    scene: Scene,
    model: &'m Model,
}

impl<'m> Sources<'m> {
    /// The sources for the model's attributes.
    pub fn new(scene: Scene, model: &'m Model) -> Self {
        Self { scene, model }
    }

    /// The scene.
    pub fn scene(&self) -> Scene {
        self.scene
    }

    /// Whether only a manifest of the input declares the attribute, and nothing generates it.
    pub fn is_lost(&self, attribute: &str) -> bool {
        !is_built_in(attribute) && matches!(self.of(attribute), Source::Absent | Source::Constant(_))
    }

    /// The attribute of the vocabulary with the same value. It is another one if a kubernetes instance of the input binds
    /// it.
    pub fn meaning<'a>(&'a self, attribute: &'a str) -> &'a str {
        self.model.defaults.meaning(attribute).unwrap_or(attribute)
    }

    /// The source of an attribute.
    pub fn of(&self, attribute: &str) -> Source {
        let default = || self.model.defaults.of(attribute);
        let attribute = self.meaning(attribute);
        let (local, peer) = match self.scene.side {
            Side::Inbound => ("destination.", "source."),
            Side::Outbound => ("source.", "destination."),
        };
        let workload = if let Some(name) = attribute.strip_prefix(local) {
            table::local(name)
        } else if let Some(name) = attribute.strip_prefix(peer) {
            table::peer(name, self.scene.side)
        } else {
            None
        };
        if let Some(source) = workload {
            return with_default(source, default());
        }
        let found = match self.scene.protocol {
            Protocol::Http => table::http(attribute, self.scene.side),
            Protocol::Tcp => table::tcp(attribute, self.scene.side),
        };
        if let Some(source) = found.or_else(|| table::any(attribute, self.scene.side)) {
            return with_default(source, default());
        }
        match default() {
            Some(value) => Source::Constant(value),
            // A map in a user's manifest is the metadata of the filter with the same name.
            None if is_filter(attribute, &self.model.attributes) => Source::Path(Path {
                value: format!("metadata.filter_metadata['{attribute}']"),
                present: Some(format!("'{attribute}' in metadata.filter_metadata")),
                default: None,
                module: false,
            }),
            None => Source::Absent,
        }
    }
}

fn is_filter(attribute: &str, attributes: &Attributes) -> bool {
    !is_built_in(attribute) && attributes.attribute_type(attribute) == Some(Type::StringMap)
}

fn with_default(source: Source, value: Option<Value>) -> Source {
    match source {
        Source::Absent => value.map_or(Source::Absent, Source::Constant),
        Source::Path(path) => Source::Path(Path { default: path.default.or(value), ..path }),
        Source::Module { may_be_absent, present, default } => {
            Source::Module { may_be_absent, present, default: default.or(value) }
        }
        Source::Constant(_) => source,
    }
}
