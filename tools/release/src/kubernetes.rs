//! The directory for Kubernetes: `envoy/kubernetes/` with the modules, EnvoyFilters and digests that it needs beside them,
//! since kustomize reads nothing from outside of its directory.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{anyhow, ensure, Context, Result};
use catalog::{ConfigMap, EnvoyFilter, FILTERS, TABLE};
use envoy_filter::{bootstrap_override, MODULES};

use crate::files::{sha256, text, Files};
use crate::names::{ALL_FILTERS, VERSION};

/// What every proxy that counts has in its bootstrap. That of other filters is for the proxies to which these are attached: each
/// expression is tried on every new metric.
const OF_STATS: &str = "stats-bootstrap.yaml";

/// Stands in the sources for the digest of an image.
const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Stands in the sources for where the images are, and their version.
const IMAGES: &str = "registry.example.com/remixer";
const IMAGE_VERSION: &str = ":0.0.0";

/// The EnvoyFilters whose metrics Envoy counts.
const COUNTED: &str = "envoy-counts/";

/// What limits an EnvoyFilter to the pods that have the modules.
const SELECTOR: &str = "  workloadSelector:\n    labels: { remixer: enabled }\n";

/// Where proxies fetch modules in the variant that mounts none.
const SERVED: &str = "http://remixer.istio-system.svc.cluster.local/";

/// The files; `filters` are those below `envoy/`, `digests` those of the images of the modules.
pub fn files(filters: &Files, modules: &Files, digests: &BTreeMap<String, String>, images: &str) -> Result<Files> {
    let mut files = Files::new();
    let mut bootstraps = Vec::new();
    for (name, content) in filters {
        if let Some(name) = name.strip_prefix("kubernetes/") {
            let filled = fill(text(content)?, digests, images).with_context(|| format!("envoy/kubernetes/{name}"))?;
            files.insert(name.to_owned(), filled.into_bytes());
        } else if name.ends_with("-bootstrap.yaml") && !name.contains('/') {
            bootstraps.push((PathBuf::from(name), text(content)?.to_owned()));
        } else if name.ends_with(".yaml") && !name.contains('/') {
            let filter = selecting(text(content)?).with_context(|| format!("envoy/{name}"))?;
            let may_be_fetched = row(name).is_some_and(|row| row.may_be_fetched);
            let made = |code| {
                let filter = Discovery { modules, code, may_pass: may_be_fetched }.of(&filter);
                anyhow::Ok(filter.with_context(|| format!("envoy/{name}"))?.into_bytes())
            };
            files.insert(format!("filters/{name}"), made(Code::Mounted)?);
            if may_be_fetched {
                files.insert(format!("remote/{name}"), made(Code::Fetched)?);
            }
        } else if let Some(file) = name.strip_prefix(COUNTED) {
            let filter = Discovery { modules, code: Code::Fetched, may_pass: true }.of(text(content)?);
            let made = filter.and_then(|filter| since(&filter, versions(text(content)?)?));
            files.insert(format!("mesh/{file}"), made.with_context(|| format!("envoy/{name}"))?.into_bytes());
        }
    }
    const INSTEAD: &str = "instead-of-istio.yaml";
    let instead = text(files.get(&format!("istio/{INSTEAD}")).with_context(|| format!("{INSTEAD} is missing"))?)?;
    let counted = text(filters.get(&format!("{COUNTED}telemetry.yaml")).context("no telemetry that Envoy counts")?)?;
    let of_all = since(&everywhere(instead)?, versions(counted)?).context(INSTEAD)?;
    files.insert(format!("mesh/{INSTEAD}"), of_all.into_bytes());
    files.insert("bootstrap/all/custom_bootstrap.json".to_owned(), bootstrap(&bootstraps)?.into_bytes());
    bootstraps.retain(|(name, _)| name.as_os_str() == OF_STATS);
    files.insert("bootstrap/custom_bootstrap.json".to_owned(), bootstrap(&bootstraps)?.into_bytes());
    for config_map in ConfigMap::ALL {
        for directory in directories(config_map) {
            for file in catalog::modules_in(config_map).map(catalog::Module::file) {
                let module = modules.get(&file).with_context(|| format!("{file} is not built: run \"make build\""))?;
                files.insert(format!("{directory}/{file}"), module.clone());
            }
            list_modules(&mut files, &format!("{directory}/kustomization.yaml"), config_map, "")?;
        }
    }
    list_modules(&mut files, "kustomization.yaml", ConfigMap::Default, "modules/")?;
    Ok(files)
}

/// Where the modules of a ConfigMap are; each has a kustomization that makes it.
fn directories(config_map: ConfigMap) -> &'static [&'static str] {
    match config_map {
        ConfigMap::Default => &["modules", "remote/server"],
        ConfigMap::Single => &["single-modules"],
    }
}

/// What the table of filters says of an EnvoyFilter.
fn row(file: &str) -> Option<&'static EnvoyFilter> {
    FILTERS.iter().flat_map(|filter| filter.envoy_filters).find(|filter| filter.file == file)
}

/// Writes the modules of a ConfigMap, which are in `directory`, into the list of a kustomization that is empty in the sources.
fn list_modules(files: &mut Files, path: &str, config_map: ConfigMap, directory: &str) -> Result<()> {
    const EMPTY: &str = "files: [] # the modules, which a release has";
    let source = text(files.get(path).with_context(|| format!("envoy/kubernetes/{path} is missing"))?)?;
    let place = source.lines().find_map(|line| line.strip_suffix(EMPTY));
    let indent = place.with_context(|| format!("envoy/kubernetes/{path} has no line `{EMPTY}`"))?;
    let mut names: Vec<String> = catalog::modules_in(config_map).map(catalog::Module::file).collect();
    names.sort_unstable();
    let list: String = names.iter().map(|name| format!("\n{indent}  - {directory}{name}")).collect();
    let filled = source.replace(EMPTY, &format!("files:{list}"));
    files.insert(path.to_owned(), filled.into_bytes());
    Ok(())
}

/// The digest of the module with all filters, where the images are, and which version.
fn fill(source: &str, digests: &BTreeMap<String, String>, images: &str) -> Result<String> {
    let digest = digests.get(ALL_FILTERS).context("there is no image of all filters")?;
    Ok(source.replace(DIGEST, digest).replace(&format!("{IMAGES}{IMAGE_VERSION}"), &format!("{images}:{VERSION}")))
}

/// What is for the bootstrap, which EnvoyFilters cannot reach in Istio.
fn bootstrap(filters: &[(PathBuf, String)]) -> Result<String> {
    let filters = envoy_filter::parse(filters).map_err(|problems| anyhow!("{problems:?}"))?;
    let json = bootstrap_override(&filters).map_err(|problem| anyhow!("{problem}"))?;
    Ok(format!("{json:#}\n"))
}

/// An EnvoyFilter for the pods that say by a label that they have the modules: any other proxy could not read them.
fn selecting(filter: &str) -> Result<String> {
    const SPEC: &str = "\nspec:\n";
    ensure!(!filter.contains("workloadSelector:"), "it selects workloads already");
    let (head, spec) = filter.split_once(SPEC).context("it has no spec")?;
    Ok(format!("{head}{SPEC}{SELECTOR}{spec}"))
}

/// The same for all pods.
fn everywhere(filter: &str) -> Result<String> {
    ensure!(filter.contains(SELECTOR), "it selects no workloads in the form that is known here");
    Ok(filter.replace(SELECTOR, ""))
}

/// The line of a match that names the versions of Istio whose Envoy counts.
fn versions(filter: &str) -> Result<&str> {
    filter.lines().find(|line| line.starts_with("      proxy: ")).context("no patch names versions of Istio")
}

/// An EnvoyFilter for these versions only, in each of its patches: others keep Istio's own metrics.
fn since(filter: &str, versions: &str) -> Result<String> {
    const MATCH: &str = "    match:\n";
    let line = format!("{versions}\n");
    let all = filter.replace(&line, "").replace(MATCH, &format!("{MATCH}{line}"));
    ensure!(all.matches(&line).count() == all.matches("  - applyTo: ").count(), "not every patch has a match");
    Ok(all)
}

/// Where a proxy has its modules from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    /// A volume of the pod.
    Mounted,
    /// The server. Istio's agent fetches a module and checks it, but for what it gets by ECDS alone.
    Fetched,
}

/// How an EnvoyFilter becomes one whose filters ask for their configuration (ECDS). A module that is missing or broken then
/// costs that filter alone; as a part of a listener, it would cost the listener.
#[derive(Debug, Clone, Copy)]
struct Discovery<'a> {
    modules: &'a Files,
    code: Code,
    /// Whether inbound connections may pass without the module.
    may_pass: bool,
}

impl Discovery<'_> {
    /// It works on lines, which keeps the comments; what is not in the form of our files is an error.
    fn of(&self, filter: &str) -> Result<String> {
        const PATCH: &str = "  - applyTo: ";
        let mut out = String::new();
        let mut patch = String::new();
        for line in filter.split_inclusive('\n') {
            if line.starts_with(PATCH) {
                out.push_str(&self.asking(&std::mem::take(&mut patch))?);
            }
            patch.push_str(line);
        }
        out.push_str(&self.asking(&patch)?);
        let named = out.matches(MODULES).count();
        let discovered = out.matches("  - applyTo: EXTENSION_CONFIG\n").count();
        let expected = if self.code == Code::Mounted { discovered } else { 0 };
        ensure!(named == expected, "a module is named in a form that is not known here");
        Ok(out)
    }

    /// A patch whose value has a module as two patches, the first with the configuration that the filter of the second asks
    /// for; any other as it is.
    fn asking(&self, patch: &str) -> Result<String> {
        let Some((_, rest)) = patch.split_once(&format!("filename: {MODULES}")) else { return Ok(patch.to_owned()) };
        let module = rest.lines().next().unwrap_or_default();
        let content = self
            .modules
            .get(module)
            .with_context(|| format!("it names {module}, which is no module of MODULES in {TABLE}"))?;
        let form = "a patch is not in the form that is known here";
        let field = |name: &str| patch.lines().find_map(|line| line.trim_start().strip_prefix(name)).context(form);
        let (before, typed) = patch.split_once("        typed_config:\n").context(form)?;
        let context = field("context: ")?;
        let kind = field("\"@type\": ")?;
        // Envoy takes nothing of an answer with two configurations of one name. So what users copy, files with rules, has the name
        // of the plugin, which copies change.
        let of_plugin = typed.lines().find_map(|line| line.strip_prefix("            name: "));
        let name = match of_plugin {
            Some(name) => name.to_owned(),
            None => format!("remixer{}.{}", field("name: remixer")?, context.to_lowercase()),
        };
        let renamed = format!("        name: {name}\n");
        let at = before.rfind("        name: ").context(form)?;
        let before = format!("{}{renamed}", before.get(..at).unwrap_or_default());
        let typed = match self.code {
            Code::Mounted => typed.to_owned(),
            Code::Fetched => fetched(typed, module, content).context(form)?,
        };
        let rbac = kind.replace("wasm.v3.Wasm", "rbac.v3.RBAC");
        let mut default = format!("\"@type\": {rbac}");
        if kind.contains(".network.") {
            default.push_str("\n            stat_prefix: remixer");
        }
        let why = if self.may_pass || context != "SIDECAR_INBOUND" {
            "Where the module is missing or broken: an RBAC without rules lets all pass."
        } else {
            default.push_str("\n            rules: { policies: { plaintext: { permissions: [{ any: true }], principals: [{ not_id: { authenticated: {} } }] } } }");
            "Where the module is missing or broken: no mutual TLS, because frames of peers must not reach the application."
        };
        Ok(format!(
            "  - applyTo: EXTENSION_CONFIG
    match:
      context: {context}
    patch:
      operation: ADD
      value:
{renamed}        typed_config:
{typed}{before}        config_discovery:
          config_source:
            ads: {{}}
            initial_fetch_timeout: 20s
          # {why}
          default_config:
            {default}
          type_urls:
          - {kind}
          - {rbac} # also what the agent says when it cannot fetch a module, and fail_open is set
"
        ))
    }
}

/// The same configuration of a plugin with its module from the server; `None` if it is not in the form of our files.
fn fetched(typed: &str, module: &str, content: &[u8]) -> Option<String> {
    let (head, tail) = typed.split_once("local:\n")?;
    let indent = head.rsplit('\n').next().unwrap_or_default();
    let tail = tail.split_once('\n').map_or("", |(_, tail)| tail);
    let remote = [
        "remote:".to_owned(),
        "  http_uri:".to_owned(),
        format!("    uri: {SERVED}{module}"),
        "    cluster: _ # the agent needs none".to_owned(),
        "    timeout: 10s".to_owned(),
        format!("  sha256: {}", sha256(content)),
    ]
    .join(&format!("\n{indent}"));
    Some(format!("{head}{remote}\n{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTER: &str = "# c
  - applyTo: HTTP_FILTER
    match:
      context: GATEWAY
    patch:
      operation: INSERT_FIRST
      value:
        name: remixer.a
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
          code:
            local:
              filename: /var/local/remixer/a.wasm
          next: 1
";

    fn discovered(filter: &str, code: Code, may_pass: bool) -> Result<String> {
        let modules = Files::from([("a.wasm".to_owned(), b"x".to_vec())]);
        Discovery { modules: &modules, code, may_pass }.of(filter)
    }

    #[test]
    fn a_mounted_module_becomes_a_fetched_one_with_its_digest() {
        let remote = discovered(FILTER, Code::Fetched, true).unwrap();
        assert!(remote.starts_with("# c\n  - applyTo: EXTENSION_CONFIG\n"), "{remote}");
        let digest = format!("\n              sha256: {}\n          next: 1\n  - applyTo: HTTP_FILTER\n", sha256(b"x"));
        assert!(remote.contains(&digest), "{remote}");
        assert_eq!(remote.matches("        name: remixer.a.gateway\n").count(), 2, "{remote}");
    }

    #[test]
    fn a_plugin_with_a_name_is_asked_for_by_that() {
        let named = FILTER.replace("          code:\n", "            name: *name\n          code:\n");
        for code in [Code::Mounted, Code::Fetched] {
            let asking = discovered(&named, code, true).unwrap();
            assert_eq!(asking.matches("        name: *name\n").count(), 3, "{asking}");
            assert!(!asking.contains("remixer.a"), "{asking}");
        }
    }

    #[test]
    fn a_filter_has_a_default_for_a_module_that_is_missing() {
        let inbound = FILTER.replace("GATEWAY", "SIDECAR_INBOUND").replace(".http.", ".network.");
        for (filter, may_pass, expected) in [
            (FILTER, true, "\n            \"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC\n          type_urls:"),
            (&inbound, true, "network.rbac.v3.RBAC\n            stat_prefix: remixer\n          type_urls:"),
            (&inbound, false, "network.rbac.v3.RBAC\n            stat_prefix: remixer\n            rules: { policies"),
            (&FILTER.replace(".http.", ".network."), false, "network.rbac.v3.RBAC\n            stat_prefix: remixer\n          type_urls:"),
        ] {
            let mounted = discovered(filter, Code::Mounted, may_pass).unwrap();
            assert!(mounted.contains(expected), "{mounted}");
            assert!(mounted.contains("              filename: /var/local/remixer/a.wasm\n          next: 1\n"), "{mounted}");
        }
    }

    #[test]
    fn what_envoy_counts_is_for_versions_that_can_and_for_all_pods() {
        let versions = "      proxy: { proxyVersion: '^9' }";
        assert!(super::versions(FILTER).is_err());
        let filter = FILTER.replace("    match:\n", &format!("    match:\n{versions}\n"));
        assert_eq!(super::versions(&filter).unwrap(), versions);
        for given in [FILTER, &filter] {
            assert_eq!(since(given, versions).unwrap(), filter);
        }
        assert!(since(&FILTER.replace("match:", "match: {}"), versions).is_err());

        let of_all = "metadata: {}\nspec:\n  configPatches: []\n";
        assert_eq!(everywhere(&selecting(of_all).unwrap()).unwrap(), of_all);
        assert!(everywhere(of_all).is_err());
    }

    #[test]
    fn what_is_not_known_is_no_filter_without_its_module() {
        for wrong in [
            FILTER.replace("a.wasm", "b.wasm"),
            FILTER.replace("filename: /var", "filename: '/var"),
            FILTER.replace("context: GATEWAY", "listener: {}"),
        ] {
            for code in [Code::Mounted, Code::Fetched] {
                assert!(discovered(&wrong, code, true).is_err(), "{wrong}");
            }
        }
        assert_eq!(discovered("# none\n", Code::Fetched, true).unwrap(), "# none\n");
    }
}
