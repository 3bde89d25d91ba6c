//! Tar archives (POSIX ustar) that depend on names and contents alone, and their compression.

use std::io::Write;

use anyhow::{ensure, Context, Result};
use flate2::{Compression, GzBuilder};

use crate::files::{mode, Files, TIME};

const BLOCK: usize = 512;

/// Files as a tar archive in gzip, all below `directory`.
pub fn compressed(files: &Files, directory: &str) -> Result<Vec<u8>> {
    let named = files.iter().map(|(name, content)| (format!("{directory}/{name}"), mode(name), content.as_slice()));
    gzip(&tar(named)?)
}

/// Names, modes and contents as a tar archive, in the order given.
pub fn tar<'a>(files: impl IntoIterator<Item = (String, u32, &'a [u8])>) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    for (name, mode, content) in files {
        archive.extend(header(&name, mode, content.len())?);
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}

/// Gzip without a name, a time, or the kind of machine.
pub fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn header(path: &str, mode: u32, length: usize) -> Result<[u8; BLOCK]> {
    let (prefix, name) = split(path).with_context(|| format!("{path}: too long for an archive"))?;
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &str| {
        if let Some(field) = header.get_mut(at..at + text.len()) {
            field.copy_from_slice(text.as_bytes());
        }
    };
    ensure!(length < 1 << 33, "{path}: too large for an archive");
    put(0, name);
    put(100, &format!("{mode:07o}\0"));
    put(108, "0000000\0"); // user
    put(116, "0000000\0"); // group
    put(124, &format!("{length:011o}\0"));
    put(136, &format!("{TIME:011o}\0"));
    put(148, "        "); // stands for the sum while it is made
    put(156, "0"); // a file
    put(257, "ustar\x0000");
    put(345, prefix);
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(field) = header.get_mut(148..156) {
        field.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    Ok(header)
}

/// A path in the two fields that a header has for it, of 155 and 100 bytes.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    path.match_indices('/')
        .map(|(at, _)| (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()))
        .find(|(prefix, name)| prefix.len() <= 155 && name.len() <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_split_at_a_slash() {
        let long = format!("{}/{}", "a".repeat(60), "b".repeat(60));
        assert_eq!(split(&long), long.split_once('/'));
        assert_eq!(split(&"a".repeat(101)), None);
    }

    #[test]
    fn an_archive_is_whole_blocks_and_ends_with_two_empty_ones() {
        let archive = tar([("x".to_owned(), 0o644, b"123".as_slice())]).unwrap();
        assert_eq!(archive.len(), 4 * BLOCK);
        assert_eq!(archive.get(512..515), Some(b"123".as_slice()));
    }
}
