//! The output of `make release`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use local_mesh::tools;
use plugin_check::{Check, Input};
use release::files::sha256;
use release::{archive, files, Files, Inputs};
use serde_json::Value;

use super::{root, run, Scratch};

/// The release of the built modules.
pub fn release() -> &'static Files {
    static RELEASE: OnceLock<Files> = OnceLock::new();
    RELEASE.get_or_init(made)
}

/// Stands for the program, which takes minutes to build: `make test` does not.
const PROGRAM: &[u8] = b"#!/bin/sh\necho remixer\n";

fn made() -> Files {
    let programs = Files::from([("remixer-linux-x86_64".to_owned(), PROGRAM.to_vec())]);
    let (root, modules) = (root(), tools::dist());
    let inputs = Inputs { root: &root, modules: &modules, images: "registry.test/remixer", programs: &programs };
    release::release(&inputs).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&release()[name]).unwrap()
}

/// The content for a digest in an image.
fn blob(descriptor: &Value) -> &'static [u8] {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let content = &release()[&format!("oci/blobs/sha256/{digest}")];
    assert_eq!((sha256(content).as_str(), Some(content.len() as u64)), (digest, descriptor["size"].as_u64()));
    content
}

/// The image of a module: its digest, and its manifest.
fn image(module: &str) -> (String, Value) {
    let index = json("oci/index.json");
    let manifests = index["manifests"].as_array().unwrap();
    let named = |m: &&Value| m["annotations"]["org.opencontainers.image.ref.name"] == module;
    let descriptor = manifests.iter().find(named).unwrap();
    (descriptor["digest"].as_str().unwrap().replace("sha256:", ""), serde_json::from_slice(blob(descriptor)).unwrap())
}

/// A text of the release, found in its directory.
fn found((path, content): (&String, &Vec<u8>)) -> Option<Input> {
    let directory = PathBuf::from(path).parent()?.to_path_buf();
    let text = String::from_utf8(content.clone()).ok().filter(|_| path.ends_with(".yaml"))?;
    Some(Input { file: path.clone(), text, found_in: Some(directory) })
}

#[test]
fn remixer_check_finds_no_mistake_in_it() {
    let inputs: Vec<Input> = release().iter().filter_map(found).collect();
    let report = Check::of(&inputs);
    assert!(report.mistakes.is_empty(), "{}", report.text());
    assert!(report.plugins > 80, "{}", report.text());
    let fetched: Vec<Input> = inputs.into_iter().filter(|input| input.file.contains("kubernetes/remote/")).collect();
    assert!(Check::of(&fetched).plugins > 10, "{}", Check::of(&fetched).text());
}

#[test]
fn remixer_check_tells_of_copies_with_rules_whose_name_was_not_changed() {
    for directory in ["filters", "remote"] {
        let path = format!("kubernetes/{directory}/fault-outbound.yaml");
        let original = found((&path, &release()[&path])).unwrap();
        let copy = original.text.replace("namespace: istio-system", "namespace: shop").replace("\"http\": []", "");
        let with = |copy: String| {
            let copy = Input { file: "copy.yaml".to_owned(), text: copy, ..original.clone() };
            Check::of(&[original.clone(), copy]).text()
        };
        let told = with(copy.clone());
        assert!(told.contains("is asked for by the name \"remixer-fault-outbound\", as is "), "{told}");
        let renamed = with(copy.replace("&name remixer-fault-outbound", "&name my-faults"));
        assert!(renamed.ends_with(": no mistake\n"), "{renamed}");
    }
}

#[test]
fn it_is_the_same_bytes_twice() {
    let again = made();
    assert_eq!(release().keys().collect::<Vec<_>>(), again.keys().collect::<Vec<_>>());
    assert!(*release() == again);
    assert!(archive::compressed(release(), "x").unwrap() == archive::compressed(&again, "x").unwrap());
}

#[test]
fn it_has_every_part_and_the_digests_of_all() {
    let files = release();
    for name in catalog::MODULES.iter().map(|module| format!("modules/{}", module.file())) {
        assert!(files.contains_key(&name), "{name}");
    }
    for name in [
        "dashboards/alerts.yaml",
        "envoy/telemetry.yaml",
        "envoy/separate/stats.yaml",
        "kubernetes/README.md",
        "kubernetes/bootstrap/custom_bootstrap.json",
        "kubernetes/bootstrap/all/custom_bootstrap.json",
        "README.md",
        "docs/operations.md",
        "docs/configuration.md",
        "filters/stats/README.md",
        "tools/mixer-migrate/README.md",
        "oci/oci-layout",
        "docs/remixer.md",
        "bin/remixer-linux-x86_64",
        "bin/sbom.cdx.json",
        "bin/THIRD-PARTY-LICENSES.txt",
        "sbom.cdx.json",
        "THIRD-PARTY-LICENSES.txt",
        "LICENSE",
        "CHANGELOG.md",
    ] {
        assert!(files.contains_key(name), "{name}");
    }
    for directory in ["remote", "mesh"] {
        assert!(!files.contains_key(&format!("kubernetes/{directory}/tcp-metadata-exchange-inbound.yaml")));
    }
    let sums = String::from_utf8(files["SHA256SUMS"].clone()).unwrap();
    assert_eq!(sums.lines().count(), files.len() - 1);

    let scratch = Scratch::new();
    files::write(files, &scratch.0.join("release")).unwrap();
    run("sha256sum", &["--check", "--quiet", "--strict", "SHA256SUMS"], &scratch.0.join("release")).unwrap();
}

#[test]
fn every_link_of_its_texts_leads_somewhere() {
    let mut count = 0;
    for (name, content) in release().iter().filter(|(name, _)| name.ends_with(".md")) {
        let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
        for link in String::from_utf8(content.clone()).unwrap().split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let mut path = PathBuf::from(directory);
            for part in target.split('/') {
                assert!(part != ".." || path.pop(), "{name}: {target}");
                path.push(if part == ".." { "" } else { part });
            }
            let path = path.to_str().unwrap().trim_end_matches('/').to_owned();
            let is_there = |file: &String| *file == path || file.starts_with(&format!("{path}/"));
            assert!(release().keys().any(is_there), "{name}: {target}");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn ordinary_tar_unpacks_the_archive_to_the_same_files() {
    let scratch = Scratch::new();
    files::put(&scratch.0.join("x.tar.gz"), &archive::compressed(release(), "r-1").unwrap()).unwrap();
    run("tar", &["-xzf", "x.tar.gz"], &scratch.0).unwrap();
    assert!(files::read_all(&scratch.0.join("r-1"), "").unwrap() == *release());
    files::write(release(), &scratch.0.join("written")).unwrap();
    for directory in ["r-1", "written"] {
        let program = scratch.0.join(directory).join("bin/remixer-linux-x86_64");
        assert_eq!(run(program.to_str().unwrap(), &[], &scratch.0).unwrap(), "remixer\n");
        let listed = run("find", &[directory, "-type", "f", "-executable"], &scratch.0).unwrap();
        assert_eq!(listed.trim(), format!("{directory}/bin/remixer-linux-x86_64"));
    }
}

#[test]
fn images_have_the_module_where_istio_looks_for_it() {
    for (name, module) in release().iter().filter_map(|(n, m)| Some((n.strip_prefix("modules/")?, m))) {
        let (_, manifest) = image(name.trim_end_matches(".wasm"));
        assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
        let layers = manifest["layers"].as_array().unwrap();
        let layer = layers.last().unwrap();
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        let mut archive = Vec::new();
        std::io::Read::read_to_end(&mut GzDecoder::new(blob(layer)), &mut archive).unwrap();
        assert!(archive.starts_with(b"plugin.wasm\0"));
        assert_eq!(archive.get(512..512 + module.len()), Some(module.as_slice()), "{name}");
        let config: Value = serde_json::from_slice(blob(&manifest["config"])).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([format!("sha256:{}", sha256(&archive))]));
    }
}

/// People push such a directory with skopeo.
#[test]
fn skopeo_accepts_the_images() {
    let scratch = Scratch::new();
    files::write(release(), &scratch.0.join("release")).unwrap();
    let arguments = ["inspect", "--raw", "oci:release/oci:remixer"];
    let Some(manifest) = run("skopeo", &arguments, &scratch.0) else { return };
    assert_eq!(sha256(manifest.as_bytes()), image("remixer").0);
    let copy = ["--insecure-policy", "copy", "--quiet", "oci:release/oci:remixer", "dir:copied"];
    run("skopeo", &copy, &scratch.0).unwrap();
}

#[test]
fn resources_name_the_digests_of_the_modules_and_images() {
    let files = release();
    let digest = sha256(&files["modules/remixer.wasm"]);
    for directory in ["remote", "mesh"] {
        let path = format!("kubernetes/{directory}/telemetry.yaml");
        let telemetry = String::from_utf8(files[&path].clone()).unwrap();
        let count = telemetry.matches("remote:").count();
        assert!(count == 3 && telemetry.matches(&format!("sha256: {digest}\n")).count() == count, "{path}");
    }
    assert!(files["kubernetes/remote/server/remixer.wasm"] == files["modules/remixer.wasm"]);
    let plugin = String::from_utf8(files["kubernetes/wasm-plugin/telemetry.yaml"].clone()).unwrap();
    assert!(plugin.contains(&image("remixer").0) && !plugin.contains("00000000"), "{plugin}");
    assert!(plugin.contains(&format!("url: oci://registry.test/remixer:{}\n", release::VERSION)), "{plugin}");
}

#[test]
fn the_bill_of_materials_names_what_is_in_the_modules_and_nothing_else() {
    let content = bill("sbom.cdx.json", "THIRD-PARTY-LICENSES.txt", &["proxy-wasm", "serde_json", "prost"]);
    assert_eq!(content["remixer.wasm"], sha256(&release()["modules/remixer.wasm"]));
    for not_linked in ["serde_derive", "prost-derive", "wasm-bindgen-test", "tokio", "stats"] {
        assert!(!content.contains_key(not_linked), "{not_linked}");
    }
}

#[test]
fn the_programs_have_a_bill_of_their_own() {
    let content =
        bill("bin/sbom.cdx.json", "bin/THIRD-PARTY-LICENSES.txt", &["serde_json", "tokio", "clap", "ring", "regex"]);
    assert_eq!(content["remixer-linux-x86_64"], sha256(PROGRAM));
    for not_linked in ["proxy-wasm", "clap_derive", "flate2", "wasm-bindgen-test", "stats", "windows-sys"] {
        assert!(!content.contains_key(not_linked), "{not_linked}");
    }
}

/// Checks a bill of materials and the licences beside it; the digests of what it names.
fn bill(name: &str, licences: &str, linked: &[&str]) -> BTreeMap<String, String> {
    let bill = json(name);
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components: BTreeMap<&str, &Value> =
        bill["components"].as_array().unwrap().iter().map(|c| (c["name"].as_str().unwrap(), c)).collect();
    let content = |name: &str| components[name]["hashes"][0]["content"].as_str().map(str::to_owned).unwrap_or_default();
    for linked in linked {
        assert!(components[linked]["purl"].as_str().unwrap().starts_with(&format!("pkg:cargo/{linked}@")));
        assert_eq!(content(linked).len(), 64, "{linked}");
    }
    let licences = String::from_utf8(release()[licences].clone()).unwrap();
    for (name, component) in components.iter().filter(|(_, c)| c["type"] == "library") {
        let line = format!("- {name} {}: ", component["version"].as_str().unwrap());
        assert!(licences.contains(&line), "{line}");
    }
    components.keys().map(|name| ((*name).to_owned(), content(name))).collect()
}
