//! Files that others read while they are written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes a file, with the directories above it, unless it has that content already. Whoever reads it sees the old content or
/// the new.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let said = || format!("cannot write {}", path.display());
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let directory = path.parent().with_context(said)?;
    make_directory(directory)?;
    let name = path.file_name().with_context(said)?.to_string_lossy();
    let new = directory.join(format!(".{name}.new"));
    fs::write(&new, content).with_context(said)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).with_context(said)?;
    fs::rename(&new, path).with_context(said)
}

/// Makes an empty file that anyone may write.
pub fn make_writable(path: &Path) -> Result<()> {
    let said = || format!("cannot create {}", path.display());
    fs::write(path, "").with_context(said)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).with_context(said)
}

/// Makes a directory and those above it.
pub fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}

/// A word for the shell: in single quotes.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::run;

    #[test]
    fn the_shell_takes_a_quoted_word_as_it_is() {
        for word in ["", "a b", "it's", "$(x) `y` \\ \" \n*"] {
            assert_eq!(run("sh", &["-c", &format!("printf %s {}", quoted(word))]).unwrap(), word);
        }
    }
}
