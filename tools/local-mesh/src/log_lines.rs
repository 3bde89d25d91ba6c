//! The last lines of the sidecars' access logs, shortened to fit on a screen.

use serde_json::Value;

use crate::mesh::Mesh;

/// Lines shown for each sidecar.
const LINES: usize = 2;

/// The fields shown, if a line has them.
const SHOWN: [&str; 11] = [
    "start_time",
    "connection_event",
    "method",
    "authority",
    "path",
    "response_code",
    "response_flags",
    "duration",
    "reporter",
    "source_workload",
    "destination_workload",
];

/// The last lines of each sidecar as text; `None` if no sidecar has written any.
pub fn render(mesh: &Mesh) -> Option<String> {
    let mut text = String::new();
    for sidecar in mesh.sidecars() {
        let output = sidecar.output();
        let lines: Vec<&str> = output.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
        if !last.is_empty() {
            text.push_str(&format!("{} ({})\n", sidecar.name(), sidecar.output_path().display()));
            text.extend(last.iter().map(|line| format!("  {}\n", shorten(line))));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// The shown fields of a line. A line that is not JSON is shown whole.
fn shorten(line: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
        return line.to_owned();
    };
    let shown = SHOWN.iter().filter_map(|name| Some((name, fields.get(*name).filter(|value| !value.is_null())?)));
    let shown: Vec<String> = shown.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    if shown.is_empty() {
        // The log has other fields.
        return line.to_owned();
    }
    format!("{{{},…}}", shown.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_by_its_main_fields() {
        let line = r#"{"path":"/a","route_name":"default","method":null,"response_code":200,"source_workload":"a-v1"}"#;
        assert_eq!(shorten(line), r#"{"path":"/a","response_code":200,"source_workload":"a-v1",…}"#);
        assert_eq!(shorten("[time] \"GET /\""), "[time] \"GET /\"");
        assert_eq!(shorten(r#"{"level":"warn","user":"unknown"}"#), r#"{"level":"warn","user":"unknown"}"#);
    }
}
