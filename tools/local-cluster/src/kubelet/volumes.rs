//! A pod's volumes: a directory each, with the files that the pod's containers see.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use base64::prelude::{Engine, BASE64_STANDARD};
use serde_json::{json, Value};

use super::environment;
use super::spec::{Downward, Item, Pod, Source, Token, Volume};
use crate::api::Api;
use crate::files::{make_directory, write};
use crate::json::at;

/// The volumes of a pod.
#[derive(Debug)]
pub struct Volumes<'a> {
    api: &'a Api,
    pod: &'a Pod,
    address: &'a str,
    directory: &'a Path,
    versions: RefCell<BTreeMap<(PathBuf, String), String>>,
}

impl<'a> Volumes<'a> {
    /// Those of a pod with an address, to be below `directory`.
    pub fn new(api: &'a Api, pod: &'a Pod, address: &'a str, directory: &'a Path) -> Self {
        Self { api, pod, address, directory, versions: RefCell::default() }
    }

    /// Makes their files.
    pub fn fill(&self) -> Result<()> {
        for volume in &self.pod.spec.volumes {
            let directory = self.directory.join(&volume.name);
            make_directory(&directory)?;
            let files = Files { all: self, directory: &directory };
            files.fill(volume).with_context(|| format!("volume {} of {}", volume.name, self.pod.full_name()))?;
        }
        Ok(())
    }

    /// Brings what is out of ConfigMaps and secrets to what they are now.
    pub fn renew(&self) -> Result<()> {
        for volume in &self.pod.spec.volumes {
            Files { all: self, directory: &self.directory.join(&volume.name) }.fill_from_objects(volume)?;
        }
        Ok(())
    }

    /// The object at a path, unless a directory has it already as it is; None where nothing is.
    fn changed(&self, directory: &Path, path: &str) -> Result<Option<Change>> {
        let Some(version) = self.api.version(path)? else { return Ok(None) };
        let key = (directory.to_owned(), path.to_owned());
        if self.versions.borrow().get(&key) == Some(&version) {
            return Ok(Some(Change::None));
        }
        let Some(object) = self.api.find(path)? else { return Ok(None) };
        self.versions.borrow_mut().insert(key, version);
        Ok(Some(Change::To(object)))
    }
}

enum Change {
    None,
    To(Value),
}

/// The files of one volume.
struct Files<'a> {
    all: &'a Volumes<'a>,
    directory: &'a Path,
}

impl Files<'_> {
    fn fill(&self, volume: &Volume) -> Result<()> {
        let unknown: Vec<&str> = volume.other.keys().map(String::as_str).collect();
        ensure!(unknown.is_empty(), "{} is not known here", unknown.join(", "));
        self.fill_from_objects(volume)?;
        if volume.empty_dir.is_some() {
            fs::set_permissions(self.directory, fs::Permissions::from_mode(0o777))?;
        }
        if let Some(fields) = &volume.downward {
            self.downward(fields)?;
        }
        for source in volume.projected.iter().flat_map(|projected| &projected.sources) {
            match source {
                Source::ServiceAccountToken(token) => self.token(token)?,
                Source::ConfigMap(map) => self.object("configmaps", &map.name, map.optional, map.items.as_deref())?,
                Source::Secret(secret) => {
                    self.object("secrets", &secret.name, secret.optional, secret.items.as_deref())?;
                }
                Source::Downward(fields) => self.downward(fields)?,
            }
        }
        Ok(())
    }

    fn fill_from_objects(&self, volume: &Volume) -> Result<()> {
        if let Some(map) = &volume.config_map {
            self.object("configmaps", &map.name, map.optional, map.items.as_deref())?;
        }
        if let Some(secret) = &volume.secret {
            self.object("secrets", &secret.secret_name, secret.optional, secret.items.as_deref())?;
        }
        Ok(())
    }

    /// The files of a ConfigMap or a secret.
    fn object(&self, kind: &str, name: &str, optional: bool, items: Option<&[Item]>) -> Result<()> {
        let path = format!("/api/v1/namespaces/{}/{kind}/{name}", self.all.pod.metadata.namespace);
        let object = match self.all.changed(self.directory, &path)? {
            Some(Change::To(object)) => object,
            Some(Change::None) => return Ok(()),
            None => {
                ensure!(optional, "there is no {path}");
                return Ok(());
            }
        };
        let content = content(kind, &object).context(path)?;
        match items {
            None => {
                for (key, bytes) in content {
                    write(&self.directory.join(key), &bytes)?;
                }
            }
            Some(items) => {
                for Item { key, path } in items {
                    match content.get(key) {
                        Some(bytes) => write(&self.directory.join(path), bytes)?,
                        None => ensure!(optional, "{name} has no {key}"),
                    }
                }
            }
        }
        Ok(())
    }

    fn downward(&self, fields: &Downward) -> Result<()> {
        for item in &fields.items {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => self.all.pod.field(&field.field_path, self.all.address),
                // Of which container it is makes no difference to anyone here.
                (None, Some(of)) => {
                    self.all.pod.spec.containers.first().map(|c| environment::limit(c, &of.resource)).transpose()?
                }
                (None, None) => None,
            };
            let Some(value) = value else { bail!("{item:?} is not known here") };
            write(&self.directory.join(&item.path), value.as_bytes())?;
        }
        Ok(())
    }

    fn token(&self, token: &Token) -> Result<()> {
        let (metadata, spec) = (&self.all.pod.metadata, &self.all.pod.spec);
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": token.audience.iter().collect::<Vec<_>>(),
                "expirationSeconds": token.expiration_seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": metadata.name, "uid": metadata.uid},
            },
        });
        let accounts = format!("/api/v1/namespaces/{}/serviceaccounts", metadata.namespace);
        let answer = self.all.api.create(&format!("{accounts}/{}/token", spec.service_account_name), &request)?;
        let text = at(&answer, "/status/token").as_str().context("no token in the answer")?;
        write(&self.directory.join(&token.path), text.as_bytes())
    }
}

/// What a ConfigMap or a secret holds, by key.
fn content(kind: &str, object: &Value) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut content = BTreeMap::new();
    for field in ["data", "binaryData"] {
        for (key, value) in object.get(field).and_then(Value::as_object).into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let is_text = kind == "configmaps" && field == "data";
            let bytes = if is_text { text.as_bytes().to_vec() } else { BASE64_STANDARD.decode(text)? };
            content.insert(key.clone(), bytes);
        }
    }
    Ok(content)
}
