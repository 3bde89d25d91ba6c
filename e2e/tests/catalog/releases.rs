//! What a release has of each module: all variants for Kubernetes, images, and the images for Docker.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use catalog::{ConfigMap, MODULES};
use release::{delivered, Inputs};

use super::{expect_none, root, text};

/// A release of modules that need not be built: each is as large as its budget.
#[test]
fn a_release_has_each_module_beside_the_resources_that_name_it() {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("catalog-test-{}-{number}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    for module in MODULES {
        fs::write(directory.join(module.file()), vec![0; module.budget]).unwrap();
    }
    let made = release::release(&Inputs { root: &root(), modules: &directory, images: "registry.test/remixer" });
    fs::remove_dir_all(&directory).unwrap();
    let made = made.unwrap_or_else(|error| panic!("1 to do:\n{error:#}"));
    expect_none(delivered::problems(&made).unwrap());
    // The check above would not see a release without resources.
    for config_map in ConfigMap::ALL {
        for file in config_map.modules().map(catalog::Module::file) {
            let resources = made.iter().filter(|(path, _)| path.starts_with("envoy/") && path.ends_with(".yaml"));
            let names = |content: &Vec<u8>| String::from_utf8_lossy(content).contains(&format!("/{file}\n"));
            assert!(resources.clone().any(|(_, content)| names(content)), "no EnvoyFilter names {file}");
        }
    }
}

#[test]
fn images_for_docker_have_all_modules() {
    const ALL: &str = "COPY --from=build --chmod=644 /src/dist/*.wasm /var/local/remixer/\n";
    let dockerfile = text("Dockerfile");
    let missing = ["proxy", "mesh"].into_iter().filter(|stage| {
        let (_, rest) = dockerfile.split_once(&format!(" AS {stage}\n")).unwrap_or_default();
        !rest.split("\nFROM ").next().unwrap().contains(ALL)
    });
    expect_none(
        missing.map(|stage| format!("Dockerfile: stage {stage} does not have the modules: add `{}`", ALL.trim())),
    );
}
