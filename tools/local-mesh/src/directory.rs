//! The directory of a run: configuration, certificates, logs. It is removed at the end.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

const PREFIX: &str = "remixer-mesh-";

/// A new directory. Dropping it removes it with its content.
#[derive(Debug)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// Creates a directory in the system's directory for temporary files.
    pub fn create() -> Result<Self> {
        let base = std::env::temp_dir();
        remove_abandoned(&base);
        for attempt in 0..1000 {
            let path = base.join(format!("{PREFIX}{}-{attempt}", std::process::id()));
            // It will contain keys, so only the owner has access.
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
            }
        }
        bail!("no free name for a directory in {}", base.display())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        // A leftover temporary directory is not an error.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes the directories of killed runs.
fn remove_abandoned(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')?.0.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // It belongs to someone else, or is already removed: ignored.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
