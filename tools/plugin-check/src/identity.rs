//! Whether a plugin is one of ours, and which.

use catalog::{Ends, Filter, Module, Place, Root, FILTERS, MODULES};
use envoy_filter::names::{hint, nearest};
use labels::direction::{split_root_id, Direction};

use crate::attached::Attached;

/// What the names of our filters begin with.
const FILTER_NAME: &str = "remixer.";

/// One of our plugins.
pub(crate) struct Identity {
    /// Its filter; `None` if that cannot be told.
    pub(crate) filter: Option<&'static Filter>,
    /// What is wrong with that: the field and the message.
    pub(crate) problems: Vec<(&'static str, String)>,
}

/// What is said of a plugin of ours; `None` if it is somebody else's.
///
/// A root id such as `stats` is nothing special, nor is the name of a file. It takes both, or the directory, the image, the VM or the
/// filter's name that ours have.
pub(crate) fn of(attached: &Attached<'_>) -> Option<Identity> {
    let (root_id, (field, location)) = (attached.root_id(), attached.module());
    let (module, root) = (module_of(location), root_of(root_id));
    let names = [attached.filter_name, attached.text("name")];
    let is_ours = is_our_location(location)
        || is_our_name(attached.vm_id())
        || names.iter().any(|name| name.starts_with(FILTER_NAME))
        || (module.is_some() && root.is_some());
    if !is_ours {
        return None;
    }
    let mut problems = Vec::new();
    if let Some(problem) = module_problem(location).filter(|_| module.is_none()) {
        problems.push((field, problem));
    }
    let holds = |filter: &Filter| module.is_none_or(|module| filter.modules.contains(&module.package));
    let in_module: Vec<&'static Filter> = FILTERS.iter().filter(|filter| holds(filter)).collect();
    let filter = match (root, in_module.as_slice()) {
        (Some((filter, _)), _) => {
            if let Some(module) = module.filter(|_| !holds(filter)) {
                let files: Vec<String> =
                    MODULES.iter().filter(|m| filter.modules.contains(&m.package)).map(Module::file).collect();
                let file = module.file();
                let message = format!("{root_id:?} is not in {file}, but in {}", files.join(" and "));
                problems.push((attached.form.root_id, message));
            }
            Some(filter)
        }
        // A module of one filter takes any root id.
        (None, [only]) => Some(*only),
        // The filter that is merged into has the root id; its name tells that of ours.
        (None, _) if root_id.is_empty() && attached.operation().starts_with("MERGE") => {
            attached.filter_name.strip_prefix(FILTER_NAME).and_then(root_of).map(|(filter, _)| filter)
        }
        (None, filters) => {
            let known: Vec<String> = filters.iter().flat_map(|filter| filter.roots).flat_map(root_ids).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let message = match root_id {
                "" => format!("is missing; allowed: {}", known.join(", ")),
                _ => format!("{root_id:?} is the root id of no filter; {}", hint(root_id, &known)),
            };
            problems.push((attached.form.root_id, message));
            nearest(root_id, &known).and_then(root_of).map(|(filter, _)| filter)
        }
    };
    if let Some(filter) = filter {
        problems.extend(place_problem(attached, filter));
    }
    problems.extend(direction_problem(attached, root));
    Some(Identity { filter, problems })
}

/// The filter that a root id names.
fn root_of(root_id: &str) -> Option<(&'static Filter, &'static Root)> {
    let (name, _) = split_root_id(root_id);
    FILTERS.iter().find_map(|filter| Some((filter, filter.roots.iter().find(|root| root.id == name)?)))
}

/// The ways to write a root id.
fn root_ids(root: &Root) -> Vec<String> {
    let ends: &[&str] = if root.ends == Ends::Unused { &[""] } else { &["", "_inbound", "_outbound"] };
    ends.iter().map(|end| format!("{}{end}", root.id)).collect()
}

/// The last part of a path, a URL or an image, without what follows its name.
fn last_part(location: &str) -> &str {
    let name = location.split(['?', '#', '@']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    name.split(':').next().unwrap_or_default()
}

/// The module of a file or image with its name, or its name and a version.
fn module_of(location: &str) -> Option<&'static Module> {
    let name = last_part(location).replace('-', "_");
    let stem = name.strip_suffix(".wasm").unwrap_or(&name);
    MODULES.iter().find(|module| {
        let rest = stem.strip_prefix(module.file().trim_end_matches(".wasm"));
        rest.is_some_and(|rest| rest.is_empty() || is_version(rest))
    })
}

/// `_0.2.0`, `.v1`
fn is_version(rest: &str) -> bool {
    let version = rest.strip_prefix(['_', '.']).map(|rest| rest.strip_prefix('v').unwrap_or(rest));
    version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
}

/// Whether a part of a path, URL or image, before its last colon, is our name.
fn is_our_location(location: &str) -> bool {
    location.split(['/', '@']).any(|part| is_our_name(part.split([':', '.']).next().unwrap_or_default()))
}

fn is_our_name(name: &str) -> bool {
    name.strip_prefix("remixer").is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']))
}

/// In the directory where a release is mounted there is nothing but its modules.
fn module_problem(location: &str) -> Option<String> {
    let name = location.strip_prefix(envoy_filter::MODULES)?;
    let files: Vec<String> = MODULES.iter().map(Module::file).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    // Who renames them knows why.
    nearest(name, &files)?;
    Some(format!("{name:?} is no module; {}", hint(name, &files)))
}

fn place_problem(attached: &Attached<'_>, filter: &Filter) -> Option<(&'static str, String)> {
    let place = attached.place.filter(|place| !filter.places.contains(place))?;
    let name = |place: &Place| match place {
        Place::HttpFilter => "HTTP filter",
        Place::NetworkFilter => "network filter",
        Place::AccessLogger => "access logger",
    };
    let allowed: Vec<&str> = filter.places.iter().map(name).collect();
    let message = format!("{} does nothing as {}; allowed: {}", filter.name, name(&place), allowed.join(", "));
    Some((attached.form.root_id, message))
}

fn direction_problem(
    attached: &Attached<'_>,
    root: Option<(&'static Filter, &'static Root)>,
) -> Option<(&'static str, String)> {
    let root_id = attached.root_id();
    let (Some(of_traffic), Some(of_root)) = (attached.direction, split_root_id(root_id).1) else { return None };
    if of_traffic == of_root || root?.1.ends == Ends::Unused {
        return None;
    }
    let (traffic, right) = match of_traffic {
        Direction::Inbound => ("inbound", root_id.replace("_outbound", "_inbound")),
        Direction::Outbound => ("outbound", root_id.replace("_inbound", "_outbound")),
    };
    let message = format!("{root_id:?} is for the other direction: this is {traffic} traffic; did you mean `{right}`?");
    Some((attached.form.root_id, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_or_an_image_names_its_module() {
        for (location, package) in [
            ("/var/local/remixer/remixer.wasm", Some("remixer")),
            ("/opt/metadata_exchange.wasm", Some("metadata-exchange")),
            ("https://example.com/a/metadata-exchange-0.2.0.wasm?x=y", Some("metadata-exchange")),
            ("oci://registry.example.com/remixer:0.1.0", Some("remixer")),
            ("registry.example.com:5000/filters/access-log@sha256:00", Some("access-log")),
            ("/opt/stats.v2.wasm", Some("stats")),
            ("/etc/istio/extensions/stats-filter.compiled.wasm", None),
            ("oci://registry.example.com/basic-auth:1", None),
            ("", None),
        ] {
            assert_eq!(module_of(location).map(|module| module.package), package, "{location}");
        }
    }

    #[test]
    fn our_name_is_a_part_of_a_location() {
        for location in
            ["/var/local/remixer/a.wasm", "http://remixer.istio-system.svc/a.wasm", "oci://ghcr.io/me/remixer-all:1"]
        {
            assert!(is_our_location(location), "{location}");
        }
        for location in ["", "/opt/stats.wasm", "oci://ghcr.io/me/remixers:1", "http://example.com/?remixer"] {
            assert!(!is_our_location(location), "{location}");
        }
    }
}
