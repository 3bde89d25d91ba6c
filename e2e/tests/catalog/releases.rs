//! What a release has of each module: all variants for Kubernetes, images, and the images for Docker.

use std::fs;

use catalog::MODULES;
use release::{delivered, Files, Inputs};

use super::repository::{root, Repository};

/// What is not delivered by a release of modules that need not be built: each is as large as its budget.
pub fn delivered() -> Vec<String> {
    let directory = std::env::temp_dir().join(format!("catalog-test-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    for module in MODULES {
        fs::write(directory.join(module.file()), vec![0; module.budget]).unwrap();
    }
    let made = release::release(&Inputs {
        root: &root(),
        modules: &directory,
        images: "registry.test/remixer",
        programs: &Files::new(),
    });
    fs::remove_dir_all(&directory).unwrap();
    match made {
        Ok(release) => delivered::problems(&release).unwrap(),
        Err(error) => format!("{error:#}").lines().map(str::to_owned).collect(),
    }
}

/// The images for Docker have all modules.
pub fn images_for_docker(repository: &Repository) -> Vec<String> {
    const ALL: &str = "COPY --from=build --chmod=644 /src/dist/*.wasm /var/local/remixer/\n";
    let missing = ["proxy", "mesh"].into_iter().filter(|stage| {
        let (_, rest) = repository.text("Dockerfile").split_once(&format!(" AS {stage}\n")).unwrap_or_default();
        !rest.split("\nFROM ").next().unwrap().contains(ALL)
    });
    missing.map(|stage| format!("Dockerfile: stage {stage} lacks modules: add `{}`", ALL.trim())).collect()
}
