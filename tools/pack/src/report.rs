//! What was packed: a table, with what each module may have.

use std::fmt;

use anyhow::{ensure, Result};
use catalog::TABLE;
use sha2::{Digest, Sha256};

/// One packed module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    name: String,
    bytes: usize,
    linked_bytes: usize,
    sha256: String,
    budget: usize,
}

/// All packed modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    rows: Vec<Packed>,
}

impl Packed {
    /// Describes a packed module, given as the linker left it and as it is now; it may have `budget` bytes.
    pub fn new(name: &str, linked: &[u8], packed: &[u8], budget: usize) -> Self {
        let sha256 = Sha256::digest(packed).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name: name.to_owned(), bytes: packed.len(), linked_bytes: linked.len(), sha256, budget }
    }
}

impl Report {
    /// Adds a row.
    pub fn push(&mut self, packed: Packed) {
        self.rows.push(packed);
    }

    /// Fails when a module is larger than its budget, and names each that is.
    pub fn check_sizes(&self) -> Result<()> {
        let larger: Vec<String> = { self.rows.iter() }
            .filter(|row| row.bytes > row.budget)
            .map(|Packed { name, bytes, budget, .. }| {
                format!(
                    "{name} has {bytes} bytes, and may have {budget}: make it smaller, or change its row in MODULES of \
                     {TABLE} and its row in README.md, and say in the commit why"
                )
            })
            .collect();
        ensure!(larger.is_empty(), larger.join("\n"));
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        writeln!(f, "{:width$}  {:>8}  {:>8}  {:>8}  sha256", "module", "linked", "bytes", "budget")?;
        for Packed { name, bytes, linked_bytes, budget, sha256 } in &self.rows {
            writeln!(f, "{name:width$}  {linked_bytes:>8}  {bytes:>8}  {budget:>8}  {sha256}")?;
        }
        Ok(())
    }
}
