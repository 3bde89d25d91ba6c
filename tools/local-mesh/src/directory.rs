//! The run's own directory: configuration, certificates, logs. Removed at the end.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

const PREFIX: &str = "remixer-mesh-";

/// A new directory, removed with everything in it when dropped.
#[derive(Debug)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// Makes one below the system's directory for temporary files.
    pub fn create() -> Result<Self> {
        let base = std::env::temp_dir();
        remove_abandoned(&base);
        for attempt in 0..1000 {
            let path = base.join(format!("{PREFIX}{}-{attempt}", std::process::id()));
            // Keys are written here, hence for the owner only.
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
        // What remains in a temporary directory is a nuisance, no error.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what a killed run could not.
fn remove_abandoned(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')?.0.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Someone else's, or removed meanwhile: no matter of ours.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
