//! The repository as the checks see it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use catalog::{Filter, Module, FILTERS, MODULES};
use local_mesh::tools;

use super::board::{self, Board};

/// Its texts, and the table.
#[derive(Clone)]
pub struct Repository {
    /// Texts by path.
    pub files: BTreeMap<String, String>,
    /// The table's filters.
    pub filters: Vec<Filter>,
    /// The table's modules.
    pub modules: Vec<Module>,
    /// All queries of the dashboards.
    pub queries: String,
}

/// Where it is.
pub fn root() -> PathBuf {
    tools::filters().parent().unwrap().to_owned()
}

impl Repository {
    /// What is on disk.
    pub fn load() -> Self {
        let mut files = BTreeMap::new();
        for directory in ["filters", "envoy", "docs", "e2e/tests"] {
            collect(&root().join(directory), &mut files);
        }
        for file in ["README.md", "CHANGELOG.md", "Dockerfile"] {
            files.insert(file.to_owned(), fs::read_to_string(root().join(file)).unwrap());
        }
        let queries = board::all().iter().flat_map(Board::queries).map(|query| query.text + "\n").collect();
        Self { files, filters: FILTERS.to_vec(), modules: MODULES.to_vec(), queries }
    }

    /// A file; empty if there is none.
    pub fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// The files below a directory whose paths have this end.
    pub fn below<'a>(&'a self, directory: &'a str, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let is_meant = move |path: &str| path.starts_with(&format!("{directory}/")) && path.ends_with(end);
        self.files.iter().filter(move |(path, _)| is_meant(path)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The code in a directory, without tests.
    pub fn sources<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let sources = self.below(directory, ".rs");
        let is_test = |path: &str| path.contains("/tests/") || path.ends_with("/tests.rs");
        sources
            .filter(move |(path, _)| !is_test(path))
            .map(|(path, code)| (path, code.split("#[cfg(test)]\nmod tests").next().unwrap()))
    }

    /// The filter whose crate a file belongs to.
    pub fn filter_of(&self, path: &str) -> Option<&Filter> {
        self.filters.iter().find(|filter| path.starts_with(&format!("{}/", filter.folder())))
    }

    /// The module of a package.
    pub fn module(&self, package: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.package == package)
    }
}

fn collect(directory: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            collect(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.insert(name, text);
        }
    }
}
