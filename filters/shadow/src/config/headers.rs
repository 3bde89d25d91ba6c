//! `headers`: changes of the copy's headers.

use configuration::{Quoted, Section};
use rules::matches::is_header_name;

use crate::connection_headers::is_of_connection;

/// Most headers in one list.
const MAX_HEADERS: usize = 64;
/// Most bytes of a value.
const MAX_VALUE: usize = 4096;

/// Changes of the copy's headers, in the order of their application. Names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    /// `remove`: remove all lines of these names.
    pub remove: Vec<String>,
    /// `set`: replace all lines of that name.
    pub set: Vec<(String, String)>,
    /// `add`: add one line.
    pub add: Vec<(String, String)>,
}

impl HeaderChanges {
    /// Reads `headers`.
    pub(super) fn read(section: &mut Section) -> Self {
        let remove = section.texts("remove", MAX_HEADERS);
        for (index, name) in remove.iter().enumerate() {
            check_name(section, &format!("remove[{index}]"), name);
        }
        Self {
            remove: remove.iter().map(|name| name.to_ascii_lowercase()).collect(),
            set: lines(section, "set"),
            add: lines(section, "add"),
        }
    }
}

fn lines(section: &mut Section, field: &'static str) -> Vec<(String, String)> {
    let lines: Vec<(String, String)> = section.text_map(field).into_iter().collect();
    if lines.len() > MAX_HEADERS {
        section.refuse(field, format!("{} headers, at most {MAX_HEADERS}", lines.len()));
    }
    for (name, value) in &lines {
        let path = format!("{field}[{}]", Quoted(name));
        if check_name(section, &path, name) && is_of_connection(name.to_ascii_lowercase().as_bytes()) {
            section.refuse(&path, "is set by Envoy".into());
        }
        if value.len() > MAX_VALUE || value.chars().any(char::is_control) {
            section.refuse(&path, format!("must be at most {MAX_VALUE} bytes without control characters"));
        }
    }
    lines.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

/// Whether a header of this name may be changed. If not, reports the problem.
fn check_name(section: &mut Section, path: &str, name: &str) -> bool {
    let problem = if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        "pseudo-headers and host cannot be changed here, use rewrite or authority"
    } else if !is_header_name(name) {
        "not a header name"
    } else {
        return true;
    };
    section.refuse(path, problem.into());
    false
}
