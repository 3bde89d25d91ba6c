//! What was packed: a table, and the limit on its sum.

use std::fmt;

use anyhow::{ensure, Result};
use sha2::{Digest, Sha256};

/// What all modules of one filter each may have together, in bytes, and what the module of all filters may have: each proxy
/// compiles and holds either.
pub const SIZE_LIMIT: usize = 1_010_000;

/// One packed module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    name: String,
    bytes: usize,
    linked_bytes: usize,
    sha256: String,
    has_all: bool,
}

/// All packed modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    rows: Vec<Packed>,
}

impl Packed {
    /// Describes a packed module, given as the linker left it and as it is now; `has_all` if it has the filters of the others.
    pub fn new(name: &str, linked: &[u8], packed: &[u8], has_all: bool) -> Self {
        let sha256 = Sha256::digest(packed).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name: name.to_owned(), bytes: packed.len(), linked_bytes: linked.len(), sha256, has_all }
    }
}

impl Report {
    /// Adds a row.
    pub fn push(&mut self, packed: Packed) {
        self.rows.push(packed);
    }

    /// The size of all modules of one filter together, or of those that have all filters.
    pub fn total(&self, has_all: bool) -> usize {
        self.rows.iter().filter(|row| row.has_all == has_all).map(|row| row.bytes).sum()
    }

    /// Fails when the modules that a proxy may have together are larger than [`SIZE_LIMIT`].
    pub fn check_size(&self) -> Result<()> {
        let total = self.total(false).max(self.total(true));
        ensure!(total <= SIZE_LIMIT, "the modules have {total} bytes together; the limit is {SIZE_LIMIT}");
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        writeln!(f, "{:width$}  {:>8}  {:>8}  sha256", "module", "linked", "bytes")?;
        for Packed { name, bytes, linked_bytes, sha256, .. } in &self.rows {
            writeln!(f, "{name:width$}  {linked_bytes:>8}  {bytes:>8}  {sha256}")?;
        }
        Ok(())
    }
}
