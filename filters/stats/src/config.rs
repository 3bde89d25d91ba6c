//! The plugin configuration: Istio's `stats.PluginConfig` in JSON.

use core::time::Duration;

use collections::names::Names;
use collections::text_map::TextMap;
use configuration::{self, ConfigError, Cut, Problem, Quoted, Section};
use expression::{is_name, is_taken};
use host::MetricKind;
use series::metric_name::Separators;

/// Prefix of all metric names, unless a definition has none.
pub const PREFIX: &str = "istio_";

/// Default for `max_series`: 2,000 label sets of four metrics, 25 MB in Envoy, and 190 MB with what it keeps after a scrape.
const DEFAULT_SERIES: u64 = 8_000;
/// Most series. A VM has a gigabyte, which four plugins share. A label set with long values of its own takes 2.3 KB of it, so a
/// hundred thousand of one metric each take a quarter; and Envoy needs more than the VM.
const MAX_SERIES: u64 = 100_000;

/// Default and bounds of `tcp_reporting_duration`.
const DEFAULT_REPORTING: Duration = Duration::from_secs(15);
const MIN_REPORTING: Duration = Duration::from_millis(100);
const MAX_REPORTING: Duration = Duration::from_secs(3600);

/// Labels that Prometheus or `istio_build` uses.
const RESERVED_LABELS: [&str; 3] = ["le", "component", "tag"];
/// Most buckets of a histogram in seconds: each bucket is a series.
pub const MAX_BUCKETS: usize = 50;
/// In one second.
pub const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;
/// Envoy's longest name of filter state.
const MAX_ATTRIBUTE_NAME: usize = 100;
/// Longest `envoy_counts_as`: part of the name of each state.
const MAX_COUNTS_AS: usize = 32;
/// Most labels that one entry can remove.
const MAX_TAGS: usize = 100;

/// Whether a configuration that is refused wants Envoy to count. Where it does, the bootstrap has no expressions for labels.
pub fn envoy_shall_count(refused: &[u8]) -> bool {
    ["envoy_counts", "envoyCounts"].iter().any(|name| refused.windows(name.len()).any(|text| text == name.as_bytes()))
}

/// The configuration of stats.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsConfig {
    /// `disable_host_header_fallback`: where the cluster does not tell its service, leave the Host header alone. A
    /// client chooses it, so a listener that strangers reach must not make labels of it.
    pub disable_host_header_fallback: bool,
    /// `fault_flags`: whether fault injection in another VM may have written fault flags.
    pub fault_flags: bool,
    /// `tcp_reporting_duration`: time between two reports of a live TCP connection or gRPC stream.
    pub tcp_reporting_duration: Duration,
    /// `max_series`: most series that one worker defines. Label sets beyond it are folded, and have a tenth of it in addition.
    pub max_series: usize,
    /// `field_separator` and `value_separator`.
    pub separators: Separators,
    /// `anchored_tags`: whether the bootstrap's expressions distinguish labels with the same ending. Those of `mesh
    /// stats-tags` do; Istio's do not.
    pub anchored_tags: bool,
    /// `envoy_counts` and `envoy_counts_as`: the module names each stream's labels in filter state, for the plugin of this name (empty
    /// for the only one of a listener), and Envoy's stats access logger counts.
    pub envoy_counts: Option<String>,
    /// `definitions`: additional metrics, or other values of standard metrics.
    pub definitions: Vec<Definition>,
    /// `metrics`: changes of metrics and labels.
    pub metrics: Vec<Change>,
    /// `attributes`: attributes with values by condition, like Istio's attributegen.
    pub attributes: Vec<Attribute>,
}

/// A metric definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// `prefix`: prefix of the name.
    pub prefix: &'static str,
    /// `name`, without the prefix.
    pub name: String,
    /// `value`: an expression with an integer result.
    pub value: String,
    /// `type`.
    pub kind: MetricKind,
    /// `protocol`: whether the metric is about TCP connections, not requests.
    pub tcp: bool,
    /// `event`: which reports of a connection count; `None` for all.
    pub event: Option<&'static str>,
    /// `unit`: unit of a histogram of durations.
    pub unit: Option<Unit>,
    /// `dimensions`: expressions by label.
    pub dimensions: TextMap,
    /// `match`: when to record the metric; `None` for always.
    pub condition: Option<String>,
}

/// The unit of a histogram of durations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds, as in Envoy's own histograms.
    Milliseconds,
    /// Seconds, with these buckets. Envoy's histograms hold integers only, so this histogram consists of counters.
    Seconds(Vec<Bucket>),
}

/// Upper bound of a histogram's bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// In seconds, as configured: the value of the label `le`.
    pub le: String,
    /// In nanoseconds.
    pub nanoseconds: u64,
}

/// A change of one metric, or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `name`, without the prefix `istio_`; `None` for all metrics.
    pub name: Option<String>,
    /// `dimensions`: expressions by label.
    pub dimensions: TextMap,
    /// `tags_to_remove`: labels.
    pub tags_to_remove: Vec<String>,
    /// `drop`: do not record the metric.
    pub drop: bool,
}

/// An attribute with values by condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// `output_attribute`: its name in expressions.
    pub name: String,
    /// `match`: the first condition that holds determines the value.
    pub matches: Vec<Match>,
}

/// A condition and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// `condition`: an expression with a boolean result; `None` always holds.
    pub condition: Option<String>,
    /// `value`.
    pub value: String,
}

impl StatsConfig {
    /// Reads the plugin configuration.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        configuration::parse(json, Self::read)
    }

    /// Reads the plugin configuration. Collects problems and continues where possible, for a caller with more to check.
    pub fn parse_with(json: &[u8], problems: &mut Vec<Problem>) -> Self {
        configuration::parse_with(json, problems, Self::read)
    }

    /// Whether any label, value or condition is a configured expression.
    pub fn has_expressions(&self) -> bool {
        !self.definitions.is_empty()
            || !self.attributes.is_empty()
            || self.metrics.iter().any(|change| !change.dimensions.is_empty())
    }

    /// Visits all dimensions in order: the label, its expression, and the list and index of the entry in which they stand.
    pub fn dimensions<'a>(&'a self, visit: &mut dyn FnMut(&'a str, &'a str, &'static str, usize)) {
        let mut entry = |list, index, dimensions: &'a TextMap| {
            for (label, expression) in dimensions {
                visit(label, expression, list, index);
            }
        };
        for (index, definition) in self.definitions.iter().enumerate() {
            entry("definitions", index, &definition.dimensions);
        }
        for (index, change) in self.metrics.iter().enumerate() {
            entry("metrics", index, &change.dimensions);
        }
    }

    /// Reads the configuration of stats.
    #[inline(never)]
    pub fn read(section: &mut Section) -> Self {
        // Istio's own configurations contain these. They have no effect here.
        section.ignore(&[
            "debug",
            "stat_prefix",
            "max_peer_cache_size",
            "rotation_interval",
            "graceful_deletion_interval",
        ]);
        section.choice("reporter", &["UNSPECIFIED"]);
        let standard = Separators::default();
        let separators = Separators {
            field: separator(section, "field_separator").unwrap_or(standard.field),
            value: separator(section, "value_separator").unwrap_or(standard.value),
        };
        let attributes = section.objects("attributes", Attribute::read);
        let mut made = Names::default();
        for (index, attribute) in attributes.iter().enumerate() {
            if !made.add(&attribute.name).1 {
                let field = format!("attributes[{index}].output_attribute");
                section.refuse(&field, format!("{} is made twice, must be another", Quoted(&attribute.name)));
            }
        }
        let envoy_counts = section.boolean("envoy_counts", false);
        section.refuse_unless(envoy_counts, "with envoy_counts", &["envoy_counts_as"]);
        let counts_as = section.text("envoy_counts_as").unwrap_or_default();
        if counts_as.len() > MAX_COUNTS_AS || !(counts_as.is_empty() || is_name(&counts_as)) {
            let text = Quoted(&counts_as);
            let message =
                format!("{text} is not a name, must be up to {MAX_COUNTS_AS} letters, digits and underscores");
            section.refuse("envoy_counts_as", message);
        }
        if separators.field == separators.value {
            section.refuse("value_separator", "the same as field_separator, must be another".into());
        }
        Self {
            disable_host_header_fallback: section.boolean("disable_host_header_fallback", false),
            fault_flags: section.boolean("fault_flags", false),
            tcp_reporting_duration: section.duration(
                "tcp_reporting_duration",
                MIN_REPORTING..=MAX_REPORTING,
                DEFAULT_REPORTING,
            ),
            max_series: usize::try_from(section.integer("max_series", 100..=MAX_SERIES, DEFAULT_SERIES))
                .unwrap_or(usize::MAX),
            separators,
            anchored_tags: section.boolean("anchored_tags", false),
            envoy_counts: envoy_counts.then_some(counts_as),
            definitions: section.objects("definitions", Definition::read),
            metrics: section.objects("metrics", Change::read),
            attributes,
        }
    }
}

impl Definition {
    fn read(section: &mut Section) -> Self {
        let unit = unit(section);
        Self {
            unit,
            prefix: section.choice("prefix", &[PREFIX, ""]).unwrap_or(PREFIX),
            name: name(section, "name"),
            value: required(section, "value"),
            kind: match section.choice("type", &["COUNTER", "GAUGE", "HISTOGRAM"]) {
                Some("GAUGE") => MetricKind::Gauge,
                Some("HISTOGRAM") => MetricKind::Histogram,
                _ => MetricKind::Counter,
            },
            tcp: section.choice("protocol", &["HTTP", "TCP"]) == Some("TCP"),
            event: section.choice("event", &["OPEN", "CONTINUE", "CLOSE"]),
            dimensions: dimensions(section),
            condition: section.optional_text("match"),
        }
    }

    /// The name with its prefix.
    pub fn full_name(&self) -> String {
        [self.prefix, &self.name].concat()
    }
}

impl Change {
    #[inline(never)]
    fn read(section: &mut Section) -> Self {
        // Istio documents `match`, but none of its releases reads it.
        section.ignore(&["match"]);
        Self {
            name: section.optional_text("name"),
            dimensions: dimensions(section),
            tags_to_remove: section.texts("tags_to_remove", MAX_TAGS),
            drop: section.boolean("drop", false),
        }
    }
}

impl Attribute {
    #[inline(never)]
    fn read(section: &mut Section) -> Self {
        section.choice("phase", &["ON_LOG", "ON_REQUEST"]);
        let name = name(section, "output_attribute");
        if is_taken(&name) || name.len() > MAX_ATTRIBUTE_NAME {
            section.refuse(
                "output_attribute",
                format!(
                    "{} is Envoy's or metadata exchange's, or longer than {MAX_ATTRIBUTE_NAME} bytes, must be another",
                    Quoted(&name)
                ),
            );
        }
        Self {
            name,
            matches: section.objects("match", |section| Match {
                condition: section.optional_text("condition"),
                value: required(section, "value"),
            }),
        }
    }
}

/// The unit of a histogram, with its buckets.
#[inline(never)]
fn unit(section: &mut Section) -> Option<Unit> {
    let unit = section.choice("unit", &["MILLISECONDS", "SECONDS"]);
    let texts = section.texts("buckets", MAX_BUCKETS);
    if unit != Some("SECONDS") {
        if !texts.is_empty() {
            section
                .refuse("buckets", "only of unit SECONDS: those of Envoy's own histograms are in its bootstrap".into());
        }
        return unit.map(|_| Unit::Milliseconds);
    }
    section.require("buckets");
    let mut buckets: Vec<Bucket> = Vec::new();
    for le in texts {
        let last = buckets.last().map(|last| last.nanoseconds);
        match nanoseconds(&le).filter(|nanoseconds| last.is_none_or(|last| *nanoseconds > last)) {
            Some(nanoseconds) => buckets.push(Bucket { le, nanoseconds }),
            None => {
                let le = Quoted(&le);
                let message =
                    format!("{le} is not allowed, must be seconds such as \"0.25\", more than the one before");
                section.refuse("buckets", message);
            }
        }
    }
    Some(Unit::Seconds(buckets))
}

/// A decimal number of seconds, to the nanosecond. A point has digits on both sides.
fn nanoseconds(seconds: &str) -> Option<u64> {
    if let [] | [b'.', ..] | [.., b'.'] = seconds.as_bytes() {
        return None;
    }
    let (mut number, mut decimals) = (0_u64, None);
    for byte in seconds.bytes() {
        match byte {
            b'0'..=b'9' => {
                number = number.checked_mul(10)?.checked_add(u64::from(byte & 0x0f))?;
                decimals = decimals.map(|decimals: u32| decimals.saturating_add(1));
            }
            b'.' if decimals.is_none() => decimals = Some(0),
            _ => return None,
        }
    }
    number.checked_mul(10_u64.checked_pow(9_u32.checked_sub(decimals.unwrap_or(0))?)?)
}

/// Expressions by label.
fn dimensions(section: &mut Section) -> TextMap {
    let dimensions = section.text_map("dimensions");
    for (label, expression) in &dimensions {
        let (field, quoted) = (format!("dimensions.{}", Cut(label)), Quoted(label));
        if !is_name(label) {
            section.refuse(&field, format!("{quoted} is not a label, must be letters, digits and underscores"));
        }
        if RESERVED_LABELS.contains(&label) || label.starts_with("__") {
            section.refuse(&field, format!("{quoted} is a label that is made elsewhere, must be another"));
        }
        if expression.trim().is_empty() {
            section.refuse(&field, "\"\" is not allowed, must be an expression".into());
        }
    }
    dimensions
}

/// A text of characters that occur in no label name and in no changed value.
fn separator(section: &mut Section, field: &'static str) -> Option<String> {
    let text = section.text(field)?;
    if !text.bytes().all(|byte| byte.is_ascii_punctuation() && byte != b'_') {
        let text = Quoted(&text);
        section.refuse(field, format!("{text} is not allowed, must be punctuation other than \"_\""));
    }
    Some(text)
}

/// A required name of letters, digits and underscores.
fn name(section: &mut Section, field: &'static str) -> String {
    let text = required(section, field);
    if !text.is_empty() && !is_name(&text) {
        let text = Quoted(&text);
        section.refuse(field, format!("{text} is not a name, must be letters, digits and underscores"));
    }
    text
}

/// A required text.
fn required(section: &mut Section, field: &'static str) -> String {
    section.text(field).unwrap_or_else(|| {
        section.require(field);
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn istio_s_default_configurations_are_read() {
        let defaults = StatsConfig {
            envoy_counts: None,
            disable_host_header_fallback: false,
            fault_flags: false,
            tcp_reporting_duration: Duration::from_secs(15),
            max_series: 8_000,
            separators: Separators::default(),
            anchored_tags: false,
            definitions: vec![],
            metrics: vec![],
            attributes: vec![],
        };
        for (json, expected) in [
            ("", defaults.clone()),
            ("{}", defaults.clone()),
            ("{\n  \"debug\": \"false\",\n  \"stat_prefix\": \"istio\",\n}\n", defaults.clone()),
            (
                r#"{"debug": "false", "stat_prefix": "istio", "disable_host_header_fallback": true}"#,
                StatsConfig { disable_host_header_fallback: true, ..defaults.clone() },
            ),
            (
                r#"{"tcp_reporting_duration": "500ms"}"#,
                StatsConfig { tcp_reporting_duration: Duration::from_millis(500), ..defaults },
            ),
        ] {
            assert_eq!(StatsConfig::parse(json.as_bytes()), Ok(expected), "{json}");
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let json = br#"{"disable_host_header_fallback": 1, "max_series": "many", "tcp_reporting_duration": "1ms"}"#;
        assert_eq!(
            StatsConfig::parse(json).map_err(|error| error.to_string()),
            Err("configuration refused, 3 problems: \
                 disable_host_header_fallback: 1 is not allowed, must be true or false; \
                 tcp_reporting_duration: \"1ms\" is not allowed, must be a duration such as \"15s\" or \"500ms\", from 100ms to 3600s; \
                 max_series: \"many\" is not allowed, must be a whole number from 100 to 100000"
                .into())
        );
    }

    #[test]
    fn as_many_series_are_allowed_as_a_vm_can_hold() {
        for (number, is_allowed) in [(99, false), (100, true), (100_000, true), (100_001, false), (1_000_000, false)] {
            let read = StatsConfig::parse(format!(r#"{{"max_series": {number}}}"#).as_bytes());
            let expected = format!(
                "configuration refused, 1 problem: max_series: {number} is not allowed, must be a whole number from 100 to 100000"
            );
            match read {
                Ok(config) => assert!(is_allowed && config.max_series == number, "{number}"),
                Err(error) => assert!(!is_allowed && error.to_string() == expected, "{error}"),
            }
        }
    }

    #[test]
    fn definitions_changes_and_attributes_are_read() {
        let json = r#"{
            "definitions": [{"name": "size", "value": "request.size", "type": "HISTOGRAM"}],
            "metrics": [
                {"dimensions": {"destination_port": "string(destination.port)"}, "tags_to_remove": ["source_app"]},
                {"name": "requests_total", "drop": true, "match": "ignored"}
            ],
            "attributes": [{"output_attribute": "operation", "match": [
                {"value": "read", "condition": "request.method == 'GET'"}, {"value": "write"}
            ]}]
        }"#;
        let config = StatsConfig::parse(json.as_bytes()).expect("valid");
        let definition = Definition {
            prefix: PREFIX,
            name: "size".into(),
            value: "request.size".into(),
            kind: MetricKind::Histogram,
            tcp: false,
            event: None,
            unit: None,
            dimensions: TextMap::default(),
            condition: None,
        };
        assert_eq!(config.definitions, [definition]);
        let all = Change {
            name: None,
            dimensions: [("destination_port".to_string(), "string(destination.port)".to_string())].into(),
            tags_to_remove: vec!["source_app".into()],
            drop: false,
        };
        let dropped = Change {
            name: Some("requests_total".into()),
            dimensions: TextMap::default(),
            tags_to_remove: vec![],
            drop: true,
        };
        assert_eq!(config.metrics, [all, dropped]);
        let read = Match { condition: Some("request.method == 'GET'".into()), value: "read".into() };
        let write = Match { condition: None, value: "write".into() };
        assert_eq!(config.attributes, [Attribute { name: "operation".into(), matches: vec![read, write] }]);
    }

    #[test]
    fn wrong_fields_within_lists_are_named_by_their_path() {
        let json = r#"{
            "definitions": [{"name": "a-b", "type": "SUMMARY"}],
            "metrics": [{"dimensions": {"my.label": "'a'", "empty": " ", "le": "'1'"}}, {"dimension": {}}, {"dimensions": {"a": 1}}],
            "attributes": [
                {"output_attribute": "x", "match": [{"condition": "true"}]},
                {"output_attribute": "x"},
                {"output_attribute": "upstream_peer"}
            ],
            "field_separator": "__",
            "reporter": "SERVER_GATEWAY"
        }"#;
        let error = StatsConfig::parse(json.as_bytes()).expect_err("refused").to_string();
        for problem in [
            "reporter: \"SERVER_GATEWAY\" is not allowed, must be \"UNSPECIFIED\"; ",
            "field_separator: \"__\" is not allowed, must be punctuation other than \"_\"; ",
            "metrics[0].dimensions.le: \"le\" is a label that is made elsewhere, must be another; ",
            "definitions[0].value: missing; ",
            "definitions[0].name: \"a-b\" is not a name, must be letters, digits and underscores; ",
            "definitions[0].type: \"SUMMARY\" is not allowed, must be \"COUNTER\" or \"GAUGE\" or \"HISTOGRAM\"; ",
            "metrics[0].dimensions.my.label: \"my.label\" is not a label, must be letters, digits and underscores; ",
            "metrics[0].dimensions.empty: \"\" is not allowed, must be an expression; ",
            "metrics[1].dimension: unknown field (value {}), known are dimensions, drop, match, name, tags_to_remove; ",
            "metrics[2].dimensions: {\"a\":1} is not allowed, must be an object of texts",
            "attributes[0].match[0].value: missing; ",
            "attributes[1].output_attribute: \"x\" is made twice, must be another",
            "attributes[2].output_attribute: \"upstream_peer\" is Envoy's or metadata exchange's, or longer than 100 bytes, \
             must be another",
        ] {
            assert!(error.contains(problem), "{problem} in {error}");
        }
    }
}
