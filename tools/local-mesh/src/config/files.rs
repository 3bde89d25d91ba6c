//! The files that a proxy's configuration refers to, and their format.

use std::path::PathBuf;

use serde_json::{json, Value};

/// Name of the resource file. Each kind of resource has its own directory.
pub const RESOURCES: &str = "resources.json";

/// Directories that a sidecar's configuration refers to.
#[derive(Debug, Clone)]
pub struct Files {
    /// Holds the sidecar's own files: bootstrap.json, lds/ and cds/.
    pub directory: PathBuf,
    /// Holds certificates and keys.
    pub pki: PathBuf,
}

/// Content of a file for `path_config_source`.
pub fn discovery(type_name: &str, resources: &[Value], version: u64) -> Value {
    let type_url = format!("type.googleapis.com/{type_name}");
    let typed: Vec<Value> = resources
        .iter()
        .map(|resource| {
            let mut resource = resource.clone();
            if let Some(object) = resource.as_object_mut() {
                object.insert("@type".to_owned(), json!(type_url));
            }
            resource
        })
        .collect();
    json!({"version_info": version.to_string(), "resources": typed})
}
