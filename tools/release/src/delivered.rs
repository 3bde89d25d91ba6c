//! Whether a release has the module of each EnvoyFilter and WasmPlugin beside it, and whether Kubernetes takes its ConfigMaps.
//!
//! It looks at the files that users get, and knows nothing of how they were made.

use anyhow::{anyhow, Context, Result};
use catalog::{CONFIG_MAP_LIMIT, TABLE};
use envoy_filter::yaml::{self, Node};
use envoy_filter::MODULES;
use serde_json::Value;

use crate::files::{sha256, text, Files};

/// The kustomizations whose ConfigMaps pods mount with what is in `kubernetes/filters/` and directly in `envoy/`.
const MOUNTED: [&str; 2] = ["kubernetes/modules/kustomization.yaml", "kubernetes/kustomization.yaml"];

/// The one that is mounted besides, with files of the other directories of `envoy/`.
const SINGLE: &str = "kubernetes/single-modules/kustomization.yaml";

/// The one of the server from which modules are fetched.
const SERVER: &str = "kubernetes/remote/server/kustomization.yaml";

/// A ConfigMap of a kustomization.
struct ConfigMap {
    kustomization: String,
    name: String,
    /// The paths of its files in the release.
    files: Vec<String>,
}

/// What is missing, a line each: which file names which module, where that is missing, and what to change.
pub fn problems(release: &Files) -> Result<Vec<String>> {
    let config_maps = config_maps(release)?;
    let images = images(release)?;
    let mut problems = Vec::new();
    for (path, content) in release.iter().filter(|(path, _)| is_resource(path)) {
        let content = text(content).with_context(|| path.clone())?;
        for module in after_each(content, MODULES, |c| !matches!(c, ' ' | '"' | '\'' | '\n')) {
            problems.extend(mounted(release, &config_maps, path, module));
        }
        for code in content.split(" uri: ").skip(1) {
            problems.extend(fetched(release, &config_maps, path, code));
        }
        if content.contains("\nkind: WasmPlugin\n") {
            for plugin in content.split("\n---\n") {
                problems.extend(pulled(&images, path, plugin));
            }
        }
    }
    for module in release.keys().filter_map(|path| path.strip_prefix("modules/")) {
        if !images.iter().any(|(name, _)| module.strip_suffix(".wasm") == Some(name)) {
            problems.push(format!("oci/index.json: there is no image of {module}, which is in modules/"));
        }
    }
    problems.extend(config_maps.iter().filter_map(|config_map| too_large(release, config_map)));
    problems.sort();
    problems.dedup();
    Ok(problems)
}

/// A resource that somebody applies, not a part of a kustomization.
fn is_resource(path: &str) -> bool {
    path.ends_with(".yaml")
        && (path.starts_with("envoy/") || path.starts_with("kubernetes/"))
        && !path.ends_with("/kustomization.yaml")
}

/// What is wrong with a module that a proxy reads from a mount.
fn mounted(release: &Files, config_maps: &[ConfigMap], path: &str, module: &str) -> Vec<String> {
    let row = format!("`module(\"{}\", …)` in MODULES of {TABLE}", module.trim_end_matches(".wasm").replace('_', "-"));
    if !release.contains_key(&format!("modules/{module}")) {
        return vec![format!("{path} names {module}, which modules/ does not have: add {row}")];
    }
    let is_default = path.starts_with("kubernetes/filters/") || path.matches('/').count() == 1;
    let missing = |kustomization: &&str| {
        let file = |path: &String| path.rsplit('/').next() == Some(module) && release.contains_key(path);
        !config_maps.iter().any(|map| map.kustomization == *kustomization && map.files.iter().any(file))
    };
    let missing_in: Vec<&str> = MOUNTED.into_iter().filter(missing).collect();
    if missing_in.is_empty() || (!is_default && !missing(&SINGLE)) {
        return Vec::new();
    }
    let config_map = if is_default { "`ConfigMap::Default`" } else { "`ConfigMap::Single`" };
    let places = if is_default { missing_in.join(" and ") } else { format!("{} and {SINGLE}", missing_in.join(", ")) };
    vec![format!("{path} names {module}, which is missing in the ConfigMap of {places}: give {config_map} to {row}")]
}

/// What is wrong with a module that an agent fetches and checks.
/// `code` begins with where it is.
fn fetched(release: &Files, config_maps: &[ConfigMap], path: &str, code: &str) -> Option<String> {
    let uri = code.lines().next().unwrap_or_default();
    let sum = code.lines().find_map(|line| line.trim().strip_prefix("sha256: "));
    let module = uri.rsplit('/').next().unwrap_or_default();
    let served = config_maps.iter().filter(|map| map.kustomization == SERVER).flat_map(|map| &map.files);
    let file = served.into_iter().find(|file| file.rsplit('/').next() == Some(module));
    match file.and_then(|file| release.get(file)) {
        None => Some(format!(
            "{path} names {uri}, which is missing in the ConfigMap of {SERVER}: give `ConfigMap::Default` to the \
             module's row in MODULES of {TABLE}"
        )),
        Some(content) if sum != Some(sha256(content).as_str()) => {
            Some(format!("{path} names {uri} with another SHA-256 than that of the file which {SERVER} lists"))
        }
        Some(_) => None,
    }
}

/// What is wrong with a module that an agent pulls as an image.
fn pulled(images: &[(String, String)], path: &str, plugin: &str) -> Option<String> {
    let field =
        |name: &str| plugin.lines().find_map(|line| line.trim().strip_prefix(name)).map(|v| v.trim_matches('"'));
    let (url, sum) = (field("url: ").unwrap_or_default(), field("sha256: ").unwrap_or_default());
    let known = images.iter().any(|(_, digest)| digest == sum);
    (!known).then(|| format!("{path} names {url} with the SHA-256 {sum:?}, which no image in oci/index.json has"))
}

/// What Kubernetes would refuse.
fn too_large(release: &Files, config_map: &ConfigMap) -> Option<String> {
    let ConfigMap { kustomization, name, files } = config_map;
    if let Some(file) = files.iter().find(|file| !release.contains_key(*file)) {
        return Some(format!("{kustomization} lists {file}, which the release does not have"));
    }
    let size = |file: &String| release.get(file).map_or(0, Vec::len);
    let sum: usize = files.iter().map(size).sum();
    let listed: Vec<String> = files.iter().map(|file| format!("{file} {}", size(file))).collect();
    (sum > CONFIG_MAP_LIMIT).then(|| {
        format!(
            "{kustomization}: ConfigMap {name} has {sum} bytes ({}), Kubernetes takes {CONFIG_MAP_LIMIT}: put a module into \
             another ConfigMap, by `config_map` in MODULES of {TABLE}",
            listed.join(", ")
        )
    })
}

/// All ConfigMaps that kustomizations make.
fn config_maps(release: &Files) -> Result<Vec<ConfigMap>> {
    let mut found = Vec::new();
    for (path, content) in release.iter().filter(|(path, _)| path.ends_with("/kustomization.yaml")) {
        let directory = path.strip_suffix("kustomization.yaml").unwrap_or_default();
        let documents = yaml::documents(text(content)?).map_err(|(_, reason)| anyhow!("{path}: {reason}"))?;
        let strings = |node: Option<&Node>| -> Vec<String> {
            node.map(Node::items).unwrap_or_default().iter().filter_map(Node::as_text).map(str::to_owned).collect()
        };
        for map in documents.iter().filter_map(|d| d.get("configMapGenerator")).flat_map(Node::items) {
            let files = strings(map.get("files")).into_iter().map(|file| format!("{directory}{file}")).collect();
            let name = map.get("name").and_then(Node::as_text).unwrap_or_default().to_owned();
            found.push(ConfigMap { kustomization: path.clone(), name, files });
        }
    }
    Ok(found)
}

/// Names and digests of the images.
fn images(release: &Files) -> Result<Vec<(String, String)>> {
    let index: Value = serde_json::from_slice(release.get("oci/index.json").context("there is no oci/index.json")?)?;
    let manifests = index.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let image = |manifest: &Value| {
        let name = text(manifest.pointer("/annotations/org.opencontainers.image.ref.name"));
        (name, text(manifest.get("digest")).trim_start_matches("sha256:").to_owned())
    };
    Ok(manifests.iter().map(image).collect())
}

/// What follows each `start` in a text, as long as characters are part of it.
fn after_each<'a>(text: &'a str, start: &'a str, part: fn(char) -> bool) -> impl Iterator<Item = &'a str> {
    text.match_indices(start).filter_map(move |(at, _)| {
        let rest = text.get(at + start.len()..)?;
        rest.get(..rest.find(|c| !part(c)).unwrap_or(rest.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A release as small as can be, of modules `a`, which is mounted by default, and `b`, which is not.
    fn release() -> Files {
        let kustomization =
            |files: &str| format!("configMapGenerator:\n- name: m\n  files:\n  - {files}\n").into_bytes();
        let mounting = |module: &str| format!("filename: {MODULES}{module}\n").into_bytes();
        let fetching = format!("  uri: http://server/a.wasm\ncluster: _\nsha256: {}\n", sha256(b"a"));
        let plugin = "a: b\nkind: WasmPlugin\nspec:\n  url: oci://x/a:1\n  sha256: \"d1\"\n";
        let image = |name: &str, digest: &str| {
            let annotations = serde_json::json!({"org.opencontainers.image.ref.name": name});
            serde_json::json!({"digest": format!("sha256:{digest}"), "annotations": annotations})
        };
        let index = serde_json::json!({"manifests": [image("a", "d1"), image("b", "d2")]});
        let files: [(&str, Vec<u8>); 15] = [
            ("modules/a.wasm", b"a".to_vec()),
            ("modules/b.wasm", b"b".to_vec()),
            ("envoy/a.yaml", mounting("a.wasm")),
            ("envoy/separate/b.yaml", mounting("b.wasm")),
            ("kubernetes/filters/a.yaml", mounting("a.wasm")),
            ("kubernetes/remote/a.yaml", fetching.into_bytes()),
            ("kubernetes/wasm-plugin/a.yaml", plugin.into()),
            ("kubernetes/kustomization.yaml", kustomization("modules/a.wasm")),
            ("kubernetes/modules/kustomization.yaml", kustomization("a.wasm")),
            ("kubernetes/modules/a.wasm", b"a".to_vec()),
            ("kubernetes/single-modules/kustomization.yaml", kustomization("b.wasm")),
            ("kubernetes/single-modules/b.wasm", b"b".to_vec()),
            ("kubernetes/remote/server/kustomization.yaml", kustomization("a.wasm")),
            ("kubernetes/remote/server/a.wasm", b"a".to_vec()),
            ("oci/index.json", index.to_string().into_bytes()),
        ];
        files.map(|(name, content)| (name.to_owned(), content)).into()
    }

    /// The problems of a release in which a text stands in place of another in one file; or without the file.
    fn changed(path: &str, from: &str, to: &str) -> Vec<String> {
        let mut files = release();
        let content = String::from_utf8(files.remove(path).unwrap()).unwrap();
        assert!(content.contains(from), "{content}");
        if from != to {
            files.insert(path.to_owned(), content.replace(from, to).into_bytes());
        }
        problems(&files).unwrap()
    }

    #[test]
    fn a_release_that_has_all_has_no_problem() {
        assert_eq!(problems(&release()).unwrap(), [""; 0]);
    }

    /// Changes one file, or removes it if nothing is changed in it, and expects a problem that begins with `expected`.
    fn expect(path: &str, from: &str, to: &str, expected: &str) {
        let problems = changed(path, from, to);
        assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{expected}\n{problems:#?}");
    }

    #[test]
    fn a_module_that_a_mount_lacks_is_named_with_the_file_that_names_it_and_the_place() {
        let [modules, default] = MOUNTED;
        let row = "add `module(\"new-one\", …)`";
        let no_row = format!("envoy/a.yaml names new_one.wasm, which modules/ does not have: {row}");
        expect("envoy/a.yaml", "a.wasm", "new_one.wasm", &no_row);
        expect("modules/a.wasm", "", "", "envoy/a.yaml names a.wasm, which modules/ does not have: ");

        let lacks = |path: &str, module: &str| format!("{path} names {module}, which is missing in the ConfigMap of ");
        let give = |place: &str| format!("{place}: give `ConfigMap::Default` to `module(\"a\", …)`");
        expect(modules, "a.wasm", "b.wasm", &(lacks("kubernetes/filters/a.yaml", "a.wasm") + &give(modules)));
        expect(default, "a.wasm", "b.wasm", &(lacks("envoy/a.yaml", "a.wasm") + &give(default)));
        let both = format!("{modules} and {default}: give `ConfigMap::Default` to `module(\"b\", …)`");
        expect("envoy/a.yaml", "a.wasm", "b.wasm", &(lacks("envoy/a.yaml", "b.wasm") + &both));
        let file = format!("{modules} lists kubernetes/modules/a.wasm, which the release does not have");
        expect("kubernetes/modules/a.wasm", "", "", &file);
    }

    #[test]
    fn a_file_for_single_filters_may_name_what_either_mount_has() {
        assert_eq!(changed("envoy/separate/b.yaml", "b.wasm", "a.wasm"), [""; 0]);
        let places = format!("{}, {} and {SINGLE}: give `ConfigMap::Single` to ", MOUNTED[0], MOUNTED[1]);
        let expected = format!("envoy/separate/b.yaml names b.wasm, which is missing in the ConfigMap of {places}");
        expect(SINGLE, "b.wasm", "c.wasm", &expected);
    }

    #[test]
    fn a_module_that_is_not_served_or_has_no_image_is_named() {
        let uri = "kubernetes/remote/a.yaml names http://server/a.wasm";
        expect(SERVER, "a.wasm", "b.wasm", &format!("{uri}, which is missing in the ConfigMap of {SERVER}: "));
        expect("kubernetes/remote/server/a.wasm", "a", "other", &format!("{uri} with another SHA-256"));
        let plugin = "kubernetes/wasm-plugin/a.yaml names oci://x/a:1 with the SHA-256 \"d3\", which no image ";
        expect("kubernetes/wasm-plugin/a.yaml", "d1", "d3", plugin);
        expect("oci/index.json", "\"b\"", "\"c\"", "oci/index.json: there is no image of b.wasm");
    }

    #[test]
    fn a_config_map_that_kubernetes_would_refuse_is_told_with_what_is_in_it() {
        let mut files = release();
        files.insert("kubernetes/modules/a.wasm".to_owned(), vec![0; CONFIG_MAP_LIMIT]);
        assert_eq!(problems(&files).unwrap(), [""; 0]);
        files.insert("kubernetes/modules/a.wasm".to_owned(), vec![0; CONFIG_MAP_LIMIT + 1]);
        let problems = problems(&files).unwrap();
        let expected = "kubernetes/modules/kustomization.yaml: ConfigMap m has 1048577 bytes (kubernetes/modules/a.wasm 1048577), \
                        Kubernetes takes 1048576: ";
        // The other ConfigMap takes the same file.
        assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{problems:#?}");
    }
}
