//! Finds the value that a path names.

use envoy_filter::names::{camel, snake};
use envoy_filter::yaml::{Kind, Node};

/// Readers cut a longer name after so many characters.
const MAX_NAME: usize = 80;

/// The value at `path`, such as `http[0].match[1].headers["x-a"].exact`; as far as it exists, else the last value on the way.
/// Names may be in the other spelling.
pub(crate) fn find<'n>(node: &'n Node, path: &str) -> &'n Node {
    deepest(node, path).0
}

/// The value at `path`, if it exists as a whole and is not null.
pub(crate) fn at<'n>(node: &'n Node, path: &str) -> Option<&'n Node> {
    let (node, rest) = deepest(node, path);
    (rest == 0 && !matches!(node.kind, Kind::Null)).then_some(node)
}

/// The value, and how much of the path is left.
fn deepest<'n>(node: &'n Node, path: &str) -> (&'n Node, usize) {
    let mut best = (node, path.len());
    match &node.kind {
        Kind::List(items) => {
            let index = path.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            if let Some((index, rest)) = index {
                if let Some(item) = index.parse().ok().and_then(|index: usize| items.get(index)) {
                    best = deepest(item, rest);
                }
            }
        }
        Kind::Map(entries) => {
            let name = path.strip_prefix('.').unwrap_or(path);
            for (key, value) in entries {
                let spellings = [key.clone(), snake(key), camel(key), cut(key)];
                let rest = spellings.iter().find_map(|key| {
                    let quoted = path.strip_prefix(&format!("[{key:?}]"));
                    quoted.or_else(|| {
                        name.strip_prefix(key).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                    })
                });
                // A name may contain the signs that separate names: the way that leads farthest is the right one.
                if let Some(found) = rest.map(|rest| deepest(value, rest)).filter(|found| found.1 < best.1) {
                    best = found;
                }
            }
        }
        _ => {}
    }
    best
}

fn cut(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_filter::yaml;

    #[test]
    fn a_path_leads_to_its_value_or_to_the_last_on_the_way() {
        let long = "n".repeat(100);
        let text = format!(
            "http:\n- a: 1\n- maxActive: 2\n  headers:\n    x-a.b:\n      exact: 3\n  'we[0]rd': 4\n  fault:\n    delay: 5\n{long}: 6\n"
        );
        let document = &yaml::documents(&text).unwrap()[0];
        for (path, line) in [
            ("", 1),
            ("http[0].a", 2),
            ("http[1].max_active", 3),
            ("http[1].headers[\"x-a.b\"].exact", 6),
            ("http[1].headers.x-a.b.exact", 6),
            ("http[1].we[0]rd", 7),
            ("http[1].fault.abort.percentage", 9),
            ("http[7].a", 2),
            (&format!("{}…", &long[..80]), 10),
            ("nowhere", 1),
            ("[x].", 1),
        ] {
            assert_eq!(find(document, path).position.line, line, "{path}");
        }
        let deep = format!("{}1{}", "{a: ".repeat(60), "}".repeat(60));
        let deep = &yaml::documents(&deep).unwrap()[0];
        assert_eq!(find(deep, &["a"; 60].join(".")).position.column, 241);
        assert!(at(document, "http[0].a").is_some() && at(document, "http[0].b").is_none());
    }
}
