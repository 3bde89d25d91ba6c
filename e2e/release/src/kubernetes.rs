//! The directory for Kubernetes: `envoy/kubernetes/` with the modules, EnvoyFilters and digests that it needs beside them,
//! since kustomize reads nothing from outside of its directory.

use std::collections::BTreeMap;

use anyhow::{ensure, Context, Result};

use crate::files::sha256;
use crate::{text, Files, ALL_FILTERS, VERSION};

/// Stands in the sources for the digest of an image.
const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Stands in the sources for where the images are, and their version.
const IMAGES: &str = "registry.example.com/remixer";
const IMAGE_VERSION: &str = ":0.0.0";

/// Where EnvoyFilters find modules in a proxy's container.
const MOUNTED: &str = "/var/local/remixer/";

/// Where proxies fetch modules in the variant that mounts none.
const SERVED: &str = "http://remixer.istio-system.svc.cluster.local/";

/// The files; `filters` are those below `envoy/`, `digests` those of the images of the modules.
pub fn files(
    filters: &Files,
    modules: &Files,
    digests: &BTreeMap<String, String>,
    images: &str,
) -> Result<Files> {
    let mut files = Files::new();
    for (name, content) in filters {
        if let Some(name) = name.strip_prefix("kubernetes/") {
            let filled = fill(text(content)?, digests, images).with_context(|| format!("envoy/kubernetes/{name}"))?;
            files.insert(name.to_owned(), filled.into_bytes());
        } else if name.ends_with(".yaml") && !name.contains('/') {
            let filter = text(content)?;
            files.insert(format!("filters/{name}"), content.clone());
            let remote = fetched(filter, modules).with_context(|| format!("envoy/{name}"))?;
            files.insert(format!("remote/{name}"), remote.into_bytes());
        }
    }
    let labels = "stats-bootstrap.yaml";
    let content = filters.get(labels).with_context(|| format!("envoy/{labels} is missing"))?;
    files.insert(format!("wasm-plugin/{labels}"), content.clone());
    for (name, module) in modules {
        match name.as_str() {
            ALL_FILTERS => {
                files.insert(format!("modules/{name}"), module.clone());
                files.insert(format!("remote/{name}"), module.clone());
            }
            _ => {
                files.insert(format!("single-modules/{name}"), module.clone());
            }
        }
    }
    list_single_modules(&mut files)?;
    Ok(files)
}

/// The digest of the module with all filters, where the images are, and which version.
fn fill(source: &str, digests: &BTreeMap<String, String>, images: &str) -> Result<String> {
    let digest = digests.get(ALL_FILTERS).context("there is no image of all filters")?;
    Ok(source.replace(DIGEST, digest).replace(&format!("{IMAGES}{IMAGE_VERSION}"), &format!("{images}:{VERSION}")))
}

/// An EnvoyFilter whose modules are fetched and checked rather than mounted.
fn fetched(filter: &str, modules: &Files) -> Result<String> {
    let mut out = String::new();
    let mut lines = filter.lines().peekable();
    while let Some(line) = lines.next() {
        let module = lines.peek().and_then(|next| next.trim_start().strip_prefix(&format!("filename: {MOUNTED}")));
        match module.filter(|_| line.trim_start() == "local:") {
            None => out.push_str(&format!("{line}\n")),
            Some(module) => {
                let content = modules.get(module).with_context(|| format!("there is no {module}"))?;
                let indent = line.strip_suffix("local:").unwrap_or_default();
                for field in [
                    "remote:".to_owned(),
                    "  http_uri:".to_owned(),
                    format!("    uri: {SERVED}{module}"),
                    "    cluster: remixer_modules".to_owned(),
                    "    timeout: 10s".to_owned(),
                    format!("  sha256: {}", sha256(content)),
                    "  retry_policy: { num_retries: 10 }".to_owned(),
                ] {
                    out.push_str(&format!("{indent}{field}\n"));
                }
                lines.next();
            }
        }
    }
    ensure!(!out.contains(MOUNTED), "a module is named in a form that is not known here");
    Ok(out)
}

/// Which single modules there are depends on what was built.
fn list_single_modules(files: &mut Files) -> Result<()> {
    let path = "single-modules/kustomization.yaml";
    let names: Vec<&str> =
        files.keys().filter_map(|name| name.strip_prefix("single-modules/")).filter(|n| n.ends_with(".wasm")).collect();
    let list: String = names.iter().map(|name| format!("\n      - {name}")).collect();
    let source = files.get(path).with_context(|| format!("envoy/kubernetes/{path} is missing"))?;
    let filled = text(source)?.replace("\n    files: []", &format!("\n    files:{list}"));
    ensure!(names.is_empty() || filled.contains(&list), "envoy/kubernetes/{path} has no `files: []`");
    files.insert(path.to_owned(), filled.into_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_module_becomes_a_fetched_one_with_its_digest() {
        let modules = Files::from([("a.wasm".to_owned(), b"x".to_vec())]);
        let filter = "# c\ncode:\n  local:\n    filename: /var/local/remixer/a.wasm\nnext: 1\n";
        let remote = fetched(filter, &modules).unwrap();
        assert!(remote.starts_with("# c\ncode:\n  remote:\n    http_uri:\n"), "{remote}");
        assert!(remote.contains(&format!("\n    sha256: {}\n", sha256(b"x"))) && remote.ends_with("\nnext: 1\n"));
        assert!(fetched(&filter.replace("a.wasm", "b.wasm"), &modules).is_err());
        assert!(fetched("filename: '/var/local/remixer/a.wasm'", &modules).is_err());
    }
}
