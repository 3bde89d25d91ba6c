//! Images of modules, in the form that Istio's WasmPlugin takes: the "compat" variant of the Wasm image specification, whose
//! last layer is a compressed tar archive with `plugin.wasm` in it. It is an ordinary OCI image, which every registry takes.
//!
//! (The other variant, of two layers with media types of their own, is refused by some registries, and Istio tries it last.)

use anyhow::Result;
use serde_json::{json, Value};

use crate::archive::{gzip, tar};
use crate::files::{sha256, Files};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The name that Istio looks for in the layer.
const PLUGIN: &str = "plugin.wasm";

/// An image of one module.
#[derive(Debug)]
pub struct Image {
    name: String,
    manifest: Vec<u8>,
    digest: String,
    config: Vec<u8>,
    layer: Vec<u8>,
}

/// An OCI image layout: a directory of images, which are told apart by their names.
#[derive(Debug, Default)]
pub struct Layout {
    images: Vec<Image>,
}

impl Image {
    /// The image of a module that is called `name`.
    pub fn of_module(name: &str, version: &str, module: &[u8]) -> Result<Self> {
        let archive = tar([(PLUGIN.to_owned(), 0o644, module)])?;
        let layer = gzip(&archive)?;
        let config = encode(&json!({
            // It runs in a proxy of any machine, but tools want one of those that they know.
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&archive))]},
        }));
        let manifest = encode(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": [descriptor(LAYER, &layer)],
            "annotations": {
                "org.opencontainers.image.title": name,
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        }));
        Ok(Self { name: name.to_owned(), digest: sha256(&manifest), manifest, config, layer })
    }

    /// The manifest's SHA-256, which is `sha256` of a WasmPlugin.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Layout {
    /// Adds an image.
    pub fn add(&mut self, image: Image) {
        self.images.push(image);
    }

    /// The files of the directory.
    pub fn files(&self) -> Result<Files> {
        let mut files = Files::new();
        let mut manifests = Vec::new();
        for image in &self.images {
            let mut manifest = descriptor(MANIFEST, &image.manifest);
            if let Some(fields) = manifest.as_object_mut() {
                fields.insert("annotations".to_owned(), json!({"org.opencontainers.image.ref.name": image.name}));
            }
            manifests.push(manifest);
            for blob in [&image.manifest, &image.config, &image.layer] {
                files.insert(format!("blobs/sha256/{}", sha256(blob)), blob.clone());
            }
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        files.insert("index.json".to_owned(), encode(&index));
        files.insert("oci-layout".to_owned(), encode(&json!({"imageLayoutVersion": "1.0.0"})));
        Ok(files)
    }
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{}", sha256(content)), "size": content.len()})
}

/// Fields are sorted by name, so that the text depends on the value alone.
fn encode(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
