//! Links of texts: to where their targets are in a release, and none to what only the repository has.

use std::collections::BTreeSet;

/// Where a file of the repository is in a release.
pub fn place(path: &str) -> String {
    path.strip_prefix("envoy/").filter(|rest| rest.starts_with("kubernetes")).unwrap_or(path).to_owned()
}

/// A text of Markdown, which is at `path` in the repository, for a release that has these `paths`.
pub fn relinked(text: &str, path: &str, paths: &BTreeSet<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((target, after)) = after.split_once(')') else { break };
        let begin = before.rfind('[').unwrap_or(before.len());
        let (head, label) = (before.get(..begin).unwrap_or_default(), before.get(begin + 1..).unwrap_or_default());
        match relative(target, path, paths) {
            Some(target) => out.push_str(&format!("{head}[{label}]({target})")),
            None => out.push_str(&format!("{}{label}", head.strip_suffix('!').unwrap_or(head))),
        }
        rest = after;
    }
    out + rest
}

/// The link to `target` from the place of `path`; None if it leads to nothing.
fn relative(target: &str, path: &str, paths: &BTreeSet<String>) -> Option<String> {
    if target.starts_with('#') || target.contains("://") {
        return Some(target.to_owned());
    }
    let (file, anchor) = target.find('#').map_or((target, ""), |at| target.split_at(at));
    let (from, to) = (place(path), place(&joined(path, file)));
    let is_there = |path: &String| *path == to || path.starts_with(&format!("{to}/"));
    paths.iter().any(is_there).then(|| {
        let up = "../".repeat(from.matches('/').count());
        format!("{up}{to}{anchor}")
    })
}

/// `target` as seen from the file at `path`.
fn joined(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_where_files_are_in_a_release_or_are_plain_text() {
        let paths = ["README.md", "kubernetes/istio/a.yaml", "docs/graph.png"].map(str::to_owned).into();
        for (path, text, expected) in [
            (
                "envoy/kubernetes/README.md",
                "[a](../../README.md#x) [b](istio)",
                "[a](../README.md#x) [b](../kubernetes/istio)",
            ),
            ("docs/a.md", "see [`a`](../envoy/kubernetes/istio/a.yaml).", "see [`a`](../kubernetes/istio/a.yaml)."),
            ("README.md", "![p](docs/graph.png) [c](CONTRIBUTING.md) [d](#e)", "![p](docs/graph.png) c [d](#e)"),
            ("README.md", "[u](https://example.com/x) [open](", "[u](https://example.com/x) [open]("),
        ] {
            assert_eq!(relinked(text, path, &paths), expected);
        }
    }
}
