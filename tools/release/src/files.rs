//! Reading inputs, and writing a release.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{bail, Context, Result};
use sha2::{Digest, Sha256};

use crate::names::PROGRAMS;

/// Paths, with `/`, and what is in the files.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The time of every file, the first of 1980: the earliest that every archive format knows.
pub const TIME: u64 = 315_532_800;

/// A file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A text of the repository.
pub fn text(content: &[u8]) -> Result<&str> {
    std::str::from_utf8(content).context("not UTF-8")
}

/// All files of a directory and those below it, by their path from there, after `prefix`.
pub fn read_all(directory: &Path, prefix: &str) -> Result<Files> {
    let cannot = || format!("cannot read {}", directory.display());
    let mut found = Files::new();
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            bail!("{}: not a name of UTF-8", path.display());
        };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            // What was packed before is no input.
            if name != "release" {
                found.extend(read_all(&path, &format!("{name}/"))?);
            }
        } else {
            found.insert(name, read(&path)?);
        }
    }
    Ok(found)
}

/// Writes a release, in place of what the directory had.
pub fn write(files: &Files, directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    for (name, content) in files {
        let path = directory.join(name);
        put(&path, content)?;
        let permissions = Permissions::from_mode(mode(name));
        fs::set_permissions(&path, permissions).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Writes a file with the time that all have.
pub fn put(path: &Path, content: &[u8]) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).with_context(cannot)?;
    fs::write(path, content).with_context(cannot)?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(TIME);
    File::options().write(true).open(path).and_then(|file| file.set_modified(time)).with_context(cannot)
}

/// Who may do what with a file of a release: everybody may read it, and run a program.
pub fn mode(path: &str) -> u32 {
    match path.strip_prefix(PROGRAMS) {
        Some(name) if !name.contains('.') => 0o755,
        _ => 0o644,
    }
}

/// The digest, as hexadecimal digits.
pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
