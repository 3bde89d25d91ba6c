//! What a run found, and what is derived from it.

use std::path::Path;

use crate::choice;
use crate::idle::Idle;
use crate::latency::Comparison;
use crate::machine::{self, Cores};
use crate::many::Many;
use crate::rounds::Rounds;
use crate::scene::Scene;
use crate::series::NewLabels;
use crate::variants::{Variant, NATIVE_STATS};

/// All results of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Which core was whose.
    pub cores: Cores,
    /// The machine.
    pub processor: String,
    /// Sizes of the modules in bytes.
    pub sizes: Vec<(String, u64)>,
    /// CPU time per request.
    pub scenes: Vec<SceneReport>,
    /// CPU time of new labels, by the bootstrap.
    pub new_labels: Vec<NewLabels>,
    /// What many series take.
    pub many: Vec<Many>,
    /// Memory and time to start.
    pub idle: Vec<Idle>,
    /// Latency.
    pub latency: Option<Comparison>,
}

/// What was measured in one scene.
#[derive(Debug)]
pub struct SceneReport {
    /// The scene.
    pub scene: Scene,
    /// Its variants, the baseline first.
    pub variants: Vec<Variant>,
    /// The measurements, in the same order.
    pub rounds: Rounds,
}

impl Report {
    /// Nothing measured yet.
    pub fn new(modules: &Path, cores: Cores) -> Self {
        let size = |file: &str| std::fs::metadata(modules.join(file)).map(|data| data.len()).ok();
        Self {
            cores,
            processor: machine::processor(),
            sizes: choice::modules()
                .iter()
                .filter_map(|module| Some((module.file.to_owned(), size(module.file)?)))
                .collect(),
            ..Self::default()
        }
    }

    /// What was measured in a scene.
    pub fn scene(&self, scene: Scene) -> Option<&SceneReport> {
        self.scenes.iter().find(|report| report.scene == scene)
    }
}

impl SceneReport {
    /// How many times what the native stats logger adds a variant adds.
    pub fn ratio(&self, variant: usize) -> Option<f64> {
        let native = self.index(NATIVE_STATS).filter(|native| *native != variant)?;
        self.rounds.ratio(variant, native)
    }

    /// The same, by the variant's name.
    pub fn ratio_by_name(&self, variant: &str) -> Option<f64> {
        self.ratio(self.index(variant)?)
    }

    /// How many times what `other` adds a variant adds.
    pub fn ratio_of_names(&self, variant: &str, other: &str) -> Option<f64> {
        self.rounds.ratio(self.index(variant)?, self.index(other)?)
    }

    /// What a variant adds per request, in microseconds.
    pub fn added_by_name(&self, variant: &str) -> Option<f64> {
        Some(self.rounds.added(self.index(variant)?)?.median)
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.variants.iter().position(|variant| variant.name == name)
    }
}
