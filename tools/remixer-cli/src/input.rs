//! Files to read: those that are named, those in directories, and standard input.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

/// The most that is read of one file: many times what a cluster's API server stores of one kind.
const MAX_BYTES: u64 = 64 << 20;

/// A text that was read.
#[derive(Debug)]
pub(crate) struct Text {
    /// The name of its file; `-` for standard input.
    pub(crate) file: String,
    /// Its content.
    pub(crate) content: String,
    /// The directory in which it was found, if it was not named itself.
    pub(crate) found_in: Option<PathBuf>,
}

/// The contents of files, of the YAML and JSON files in directories and their subdirectories, and of standard input for `-`.
pub(crate) fn texts(paths: &[PathBuf]) -> Result<Vec<Text>> {
    let mut texts = Vec::new();
    for path in paths {
        let cannot = |file: &Path| format!("{} cannot be read", file.display());
        if path == Path::new("-") {
            let content = read(std::io::stdin()).context("standard input cannot be read")?;
            texts.push(Text { file: "-".to_owned(), content, found_in: None });
            continue;
        }
        let files = files(path).with_context(|| cannot(path))?;
        ensure!(!files.is_empty(), "{} has no .yaml, .yml or .json file", path.display());
        for file in files {
            let content = File::open(&file).map_err(Into::into).and_then(read).with_context(|| cannot(&file))?;
            let found_in = (file != *path).then(|| file.parent().unwrap_or(path).to_path_buf());
            texts.push(Text { file: file.display().to_string(), content, found_in });
        }
    }
    Ok(texts)
}

fn read(source: impl Read) -> Result<String> {
    let mut content = String::new();
    source.take(MAX_BYTES + 1).read_to_string(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        bail!("it has more than {} MiB: divide it", MAX_BYTES >> 20);
    }
    Ok(content)
}

/// The file itself, or those in a directory and its subdirectories, in order.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut entries =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        let extension = entry.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        // Following a link to a parent directory would never end.
        if entry.is_dir() && !entry.is_symlink() {
            found.extend(files(&entry)?);
        } else if entry.is_file() && matches!(extension, "yaml" | "yml" | "json") {
            found.push(entry);
        }
    }
    Ok(found)
}
