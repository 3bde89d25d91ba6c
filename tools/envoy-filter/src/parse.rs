//! Reads files and documents into resources.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use self::reader::{At, Reader};
use crate::{
    problem::Problem,
    resource::EnvoyFilter,
    yaml::{self, Kind, Node},
};

mod patch;
pub(crate) mod reader;
mod rules;
#[cfg(test)]
mod tests;
mod value;

const HEAD: (&str, &str) = ("networking.istio.io/v1alpha3", "EnvoyFilter");

/// The fields of Kubernetes' ObjectMeta.
const METADATA: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Reads resources from files, and from the `.yaml` and `.yml` files of directories (without subdirectories, like `kubectl
/// apply -f`). Either everything is valid, or all problems of all files are returned.
pub fn load(paths: &[PathBuf]) -> Result<Vec<EnvoyFilter>, Vec<Problem>> {
    let mut texts = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        match files(path) {
            Ok(files) => {
                for file in files {
                    match fs::read_to_string(&file) {
                        Ok(text) => texts.push((file, text)),
                        Err(error) => problems.push(Problem::of_file(&file, format!("cannot be read: {error}"))),
                    }
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    match parse(&texts) {
        Ok(filters) if problems.is_empty() => Ok(filters),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

/// Reads resources from texts, each with a file name.
pub fn parse(texts: &[(PathBuf, String)]) -> Result<Vec<EnvoyFilter>, Vec<Problem>> {
    let mut filters: Vec<EnvoyFilter> = Vec::new();
    let mut problems = Vec::new();
    for (file, text) in texts {
        match yaml::documents(text) {
            Err(error) => problems.push(Problem::of_yaml(file, error)),
            Ok(documents) if documents.is_empty() => {
                problems.push(Problem::of_file(file, "holds no resource"));
            }
            Ok(documents) => {
                for document in &documents {
                    let mut reader = Reader::new(file);
                    let filter = resource(&mut reader, document);
                    if let Some(filter) = filter {
                        if let Some(first) = filters
                            .iter()
                            .find(|known| known.name == filter.name && known.namespace == filter.namespace)
                        {
                            let name = At::root(document).down("metadata.name");
                            reader.problem(
                                &name,
                                format!(
                                    "{}/{} is already defined in {}",
                                    filter.namespace,
                                    filter.name,
                                    first.file.display()
                                ),
                            );
                        }
                        filters.push(filter);
                    }
                    problems.extend(reader.into_problems());
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(filters)
    } else {
        Err(problems)
    }
}

/// The files for a path.
fn files(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error: std::io::Error| Problem::of_file(path, format!("cannot be read: {error}"));
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml")) && file.is_file() {
            found.push(file);
        }
    }
    if found.is_empty() {
        return Err(Problem::of_file(path, "holds no .yaml file"));
    }
    found.sort();
    Ok(found)
}

/// The fields that every resource has.
pub(crate) struct Head<'n> {
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) spec: At<'n>,
}

/// Reads the fields that every resource has. Only the expected version and kind are accepted.
pub(crate) fn head<'n>(
    reader: &mut Reader<'_>,
    document: &'n Node,
    (api_version, kind): (&str, &str),
) -> Option<Head<'n>> {
    let root = At::root(document);
    let fields = reader.object(&root, &["apiVersion", "kind", "metadata", "spec", "status"])?;
    for (name, expected) in [("apiVersion", api_version), ("kind", kind)] {
        if let Some(at) = reader.required(&fields, name) {
            if let Some(found) = reader.string(&at) {
                if found != expected {
                    reader.problem(&at, format!("{found:?} is not known; allowed: {expected}"));
                }
            }
        }
    }

    let mut name = None;
    let mut namespace = Some("default".to_owned());
    if let Some(at) = reader.required(&fields, "metadata") {
        if let Some(metadata) = reader.object(&at, &METADATA) {
            name = reader.required(&metadata, "name").and_then(|at| reader.string(&at));
            if let Some(at) = metadata.get("namespace") {
                namespace = reader.string(at);
            }
            for field in ["labels", "annotations"] {
                if let Some(at) = metadata.get(field) {
                    reader.strings(at);
                }
            }
        }
    }
    let spec = reader.required(&fields, "spec")?;
    Some(Head { name, namespace, spec })
}

/// Reads an `EnvoyFilter`.
pub(crate) fn resource(reader: &mut Reader<'_>, document: &Node) -> Option<EnvoyFilter> {
    let Head { name, namespace, spec } = head(reader, document, HEAD)?;
    let allowed = ["workloadSelector", "configPatches", "priority", "targetRefs"];
    let spec = reader.object(&spec, &allowed)?;
    if let Some(at) = spec.get("targetRefs") {
        reader.unsupported(at, "is not supported here: it is for waypoints; use workloadSelector");
    }
    let workload_selector = match spec.get("workloadSelector") {
        None => BTreeMap::new(),
        Some(at) => selector(reader, at).unwrap_or_default(),
    };
    let priority = match spec.get("priority") {
        None => 0,
        Some(at) => reader.int32(at).unwrap_or_default(),
    };
    let mut patches = Vec::new();
    if let Some(at) = reader.required(&spec, "configPatches") {
        match &at.node.kind {
            Kind::List(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    patches.extend(patch::read(reader, &at.item(index, item)));
                }
            }
            Kind::List(_) => reader.problem(&at, "is empty; a patch is needed"),
            _ => reader.problem(&at, format!("is {}; a list of patches is needed", at.node.quoted())),
        }
    }

    Some(EnvoyFilter {
        name: name?,
        namespace: namespace?,
        workload_selector,
        priority,
        patches,
        file: reader.file.to_path_buf(),
    })
}

fn selector(reader: &mut Reader<'_>, at: &At<'_>) -> Option<BTreeMap<String, String>> {
    let fields = reader.object(at, &["labels"])?;
    let at = reader.required(&fields, "labels")?;
    let labels = reader.strings(&at)?;
    if labels.is_empty() {
        reader.problem(&at, "is empty, which would select every workload; leave workloadSelector out to say so");
    }
    Some(labels)
}
