//! Our dashboards: their queries with variables replaced, and rules for all dashboards.

use std::collections::BTreeMap;
use std::fs;

use local_mesh::{tools, Sample};
use serde_json::Value;

/// Variables that Grafana sets.
const BUILT_IN: [(&str, &str); 1] = [("__rate_interval", "1m")];

/// A dashboard.
pub struct Board {
    /// Name of its file.
    pub file: String,
    json: Value,
}

/// One query of a dashboard.
#[derive(Clone)]
pub struct Query {
    /// Its place.
    pub name: String,
    /// PromQL with variables.
    pub text: String,
    /// Labels that the result must have: those in the legend, or the label of a variable.
    pub labels: Vec<String>,
}

/// Every dashboard that we ship.
pub fn all() -> Vec<Board> {
    let mut boards: Vec<Board> = fs::read_dir(tools::dashboards())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| Board {
            file: path.file_name().unwrap().to_string_lossy().into_owned(),
            json: serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap(),
        })
        .collect();
    boards.sort_by(|one, other| one.file.cmp(&other.file));
    boards
}

impl Board {
    /// The queries of all panels, and of all variables.
    pub fn queries(&self) -> Vec<Query> {
        let of_panels = self.panels().iter().flat_map(|panel| {
            list(panel, "targets").iter().map(|target| Query {
                name: format!("{}: {} {}", self.file, text(panel, "title"), text(target, "refId")),
                text: text(target, "expr").to_owned(),
                labels: legend_labels(text(target, "legendFormat")),
            })
        });
        let of_variables =
            self.variables().iter().filter(|variable| text(variable, "type") == "query").map(|variable| {
                let (selector, label) = label_values(text(variable, "query"));
                Query {
                    name: format!("{}: variable {}", self.file, text(variable, "name")),
                    text: format!("count by ({label}) ({selector})"),
                    labels: vec![label.to_owned()],
                }
            });
        of_panels.chain(of_variables).collect()
    }

    /// Problems that do not depend on data.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut problem = |what: String| problems.push(format!("{}: {what}", self.file));
        if text(&self.json, "uid") != format!("remixer-{}", self.file.trim_end_matches(".json")) {
            problem(format!("uid {}", self.json["uid"]));
        }
        // The schema version of Grafana 10.
        if self.json["schemaVersion"].as_u64().is_none_or(|version| version < 38) || !self.json["id"].is_null() {
            problem("schemaVersion or id".to_owned());
        }
        let mut ids: Vec<u64> = self.panels().iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            problem("two panels have one id".to_owned());
        }
        let places: Vec<Place> = self.panels().iter().map(|panel| Place::of(&panel["gridPos"])).collect();
        for (index, place) in places.iter().enumerate() {
            if place.x + place.w > 24 || places.iter().skip(index + 1).any(|other| place.overlaps(other)) {
                problem(format!("{} is over another panel or outside", self.panels()[index]["title"]));
            }
        }
        let datasource = serde_json::json!({"type": "prometheus", "uid": "${datasource}"});
        for panel in self.panels().iter().filter(|panel| text(panel, "type") != "row") {
            let units = panel["fieldConfig"].to_string().contains("\"unit\"");
            if panel["datasource"] != datasource || (text(panel, "type") != "table" && !units) {
                problem(format!("{}: no datasource or no unit", panel["title"]));
            }
            let mut queries: Vec<&str> = list(panel, "targets").iter().map(|target| text(target, "refId")).collect();
            queries.dedup();
            if queries.is_empty() || queries.len() != list(panel, "targets").len() {
                problem(format!("{}: refIds {queries:?}", panel["title"]));
            }
            if text(panel, "type") == "timeseries" && list(panel, "targets").len() > 1 {
                let unnamed = list(panel, "targets").iter().any(|target| text(target, "legendFormat").is_empty());
                if unnamed {
                    problem(format!("{}: a query without a legend", panel["title"]));
                }
            }
        }
        problems
    }

    fn panels(&self) -> &[Value] {
        list(&self.json, "panels")
    }

    fn variables(&self) -> &[Value] {
        list(&self.json["templating"], "list")
    }
}

impl Query {
    /// Replaces the variables by their values. An error names a variable without a value.
    pub fn fill(&self, values: &BTreeMap<&str, &str>) -> String {
        let mut names: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, *value)).collect();
        names.extend(BUILT_IN);
        // The longest name first: a name may be a prefix of another.
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let filled =
            names.iter().fold(self.text.clone(), |text, (name, value)| text.replace(&format!("${name}"), value));
        assert!(!filled.contains('$'), "{}: a variable without a value: {filled}", self.name);
        filled
    }

    /// Whether there is a number, and the labels for the legend.
    pub fn has_data(&self, samples: &[Sample]) -> bool {
        let named = |sample: &Sample| self.labels.iter().all(|label| !sample.label(label).is_empty());
        samples.iter().any(|sample| sample.value.is_finite() && named(sample))
    }
}

#[derive(Clone, Copy)]
struct Place {
    x: u64,
    y: u64,
    w: u64,
    h: u64,
}

impl Place {
    fn of(json: &Value) -> Self {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| json[name].as_u64().unwrap());
        Self { x, y, w, h }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.x < other.x + other.w
            && other.x < self.x + self.w
            && self.y < other.y + other.h
            && other.y < self.y + self.h
    }
}

/// The parts of `label_values(selector, label)`.
fn label_values(query: &str) -> (&str, &str) {
    let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
    inner.rsplit_once(", ").unwrap()
}

/// The labels in a legend such as `{{pod}} p99`.
fn legend_labels(legend: &str) -> Vec<String> {
    legend.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.to_owned())).collect()
}

fn list<'a>(json: &'a Value, name: &str) -> &'a [Value] {
    json[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_default()
}
