//! Labels that end alike.

use collections::names::Names;
use collections::text_map::TextMap;
use configuration::{Cut, Problem, Quoted};

use crate::config::StatsConfig;

/// Finds new labels that the regular expressions of Istio's own bootstrap could not tell from others: those match a label that
/// merely ends in the same letters.
#[inline(never)]
pub fn collisions(config: &StatsConfig, problems: &mut Vec<Problem>) {
    let mut added = Names::default();
    config.dimensions(&mut |label, _, _, _| {
        added.add(label);
    });
    // Backwards, those that end alike stand together.
    let mut ends = Vec::new();
    for name in added.iter() {
        ends.push((backwards(name), name.clone()));
    }
    let ends = TextMap::from(ends);
    let mut clashes = Vec::new();
    for name in added.iter() {
        clashes.push(clash(name, &added, &ends).unwrap_or_default());
    }
    config.dimensions(&mut |name, _, list, index| {
        let other = added.get(name).and_then(|number| clashes.get(number)).copied().unwrap_or_default();
        if !other.is_empty() {
            problems.push(Problem {
                path: format!("{list}[{index}].dimensions.{}", Cut(name)),
                message: format!(
                    "{} and the label {} end alike, and the regular expression of one would match the \
                     other, must be a name that no other label ends in, and that ends in none of the standard ones, or \
                     anchored_tags set with a bootstrap made by remixer stats-tags",
                    Quoted(name),
                    Quoted(other)
                ),
            });
        }
    });
}

/// The first label that is not told from `name`, one of those that are `added`.
fn clash<'a>(name: &str, added: &'a Names, ends: &TextMap) -> Option<&'a str> {
    let standard = labels::names();
    if standard.contains(&name) {
        return None;
    }
    let ends_alike = |other: &&&str| other.ends_with(name) || name.ends_with(**other);
    if let Some(other) = standard.iter().find(ends_alike) {
        return Some(other);
    }
    let others = ends.beginning_with(&backwards(name)).filter(|(_, other)| *other != name);
    let first = others.filter_map(|(_, other)| added.get(other)).min()?;
    Some(added.text(first))
}

/// Each byte as a character, in reverse: two texts begin alike if their names end alike.
fn backwards(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes().rev() {
        text.push(char::from(byte));
    }
    text
}
