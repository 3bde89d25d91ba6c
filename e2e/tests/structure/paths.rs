//! The paths that documents name, in links and between backquotes.

use std::fs;
use std::path::Path;

/// Where backquotes begin a path of the repository, and no other.
const FOLDERS: [&str; 3] = ["filters/", "tools/", "e2e/"];

/// Folders that git does not have.
const MADE: [&str; 3] = ["target", "dist", "node_modules"];

/// What the documents below a folder name and is not there, a line each.
pub fn missing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    search(root, root, &mut found);
    found
}

fn search(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() && !path.is_symlink() {
            if !name.starts_with('.') && !MADE.contains(&name.as_str()) {
                search(root, &path, found);
            }
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).unwrap();
            let document = path.strip_prefix(root).unwrap().display();
            let is_absent = |(at, named): &(&Path, &str)| !at.join(named).exists();
            let absent = named(root, folder, &text, &document.to_string()).into_iter().filter(is_absent);
            found.extend(absent.map(|(_, named)| format!("{document} names {named}, which is not there")));
        }
    }
}

/// The paths in a document, each with the folder that it begins in.
fn named<'a>(root: &'a Path, folder: &'a Path, text: &'a str, document: &str) -> Vec<(&'a Path, &'a str)> {
    let prose: Vec<&str> = text.split("```").step_by(2).collect();
    let links = prose.iter().flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split([')', '#']).next());
    let mut paths: Vec<_> = links.filter(|link| !link.is_empty() && !link.contains(':')).map(|l| (folder, l)).collect();
    // The changelog tells of what was; the page for Kubernetes of a release.
    if document != "CHANGELOG.md" && document != "envoy/kubernetes/README.md" {
        let quoted = prose.iter().flat_map(|part| part.split('`').skip(1).step_by(2));
        let is_path =
            |text: &&str| FOLDERS.iter().any(|folder| text.starts_with(folder)) && !text.contains([' ', '<', '*']);
        // `tier` is the guide's example.
        paths.extend(quoted.filter(is_path).filter(|path| !path.contains("tier")).map(|path| (root, path)));
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_backquotes_are_read_where_they_are_paths() {
        let (root, folder) = (Path::new("/r"), Path::new("/r/docs"));
        let text =
            "[a](../a.md#b) [c](https://c) [d](#d) `filters/e.rs` `x`\n```text\n[f](f.md)\n```\n`filters/tier/g`";
        assert_eq!(named(root, folder, text, "docs/x.md"), [(folder, "../a.md"), (root, "filters/e.rs")]);
        assert_eq!(named(root, folder, text, "CHANGELOG.md"), [(folder, "../a.md")]);
    }
}
