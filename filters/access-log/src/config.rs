//! The plugin configuration.

use core::time::Duration;

use collections::names::Names;
use collections::text_map::TextMap;
use configuration::{self, ConfigError, Problem, Quoted, Section};
use expression::Kind;

use crate::fields::Style;

/// Bounds of a line's length. The default is below 16 KiB, because container runtimes split longer lines.
const LINE: core::ops::RangeInclusive<u64> = 200..=1_000_000;
const DEFAULT_LINE: u64 = 16_000;
/// Bounds of a value's length.
const VALUE: core::ops::RangeInclusive<u64> = 1..=1_000_000;
const DEFAULT_VALUE: u64 = 4_000;
/// Most fields.
const MAX_FIELDS: usize = 200;

/// Fields that have an effect only on lines in JSON.
const OF_JSON: [&str; 6] = ["preset", "fields", "only_fields", "remove_fields", "rename_fields", "omit_absent"];
/// Fields that have an effect only if there are lines.
const OF_LINES: [&str; 3] = ["ascii", "max_line_length", "max_value_length"];
/// Fields that have an effect only on Mixer's lines, which are in JSON.
const OF_MIXER: [&str; 2] = ["instance", "level"];

const MIN_WINDOW: Duration = Duration::from_millis(1);
const MAX_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);
/// Istio's default in its access log policy.
const DEFAULT_WINDOW: Duration = Duration::from_secs(12 * 3600);
const DEFAULT_PEERS: u64 = 500;
const MAX_PEERS: u64 = 100_000;

const MIN_PERIOD: Duration = Duration::from_millis(100);
const MAX_PERIOD: Duration = Duration::from_secs(3600);

/// The configuration of the access log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `preset`: the names and forms of whose log.
    pub preset: Preset,
    /// `format`: JSON, text, or no line.
    pub format: Format,
    /// `text_format`: format of a text line; Istio's default if empty.
    pub text_format: String,
    /// `fields`: fields that are added, or replaced.
    pub fields: Vec<ConfiguredField>,
    /// `only_fields`: names of those that are written, in order; all if empty.
    pub only_fields: Vec<String>,
    /// `remove_fields`: names of the fields to remove.
    pub remove_fields: Vec<String>,
    /// `rename_fields`: new names, by old name.
    pub rename_fields: TextMap,
    /// `omit_absent`: omit fields without a value.
    pub omit_absent: bool,
    /// `ascii`: escape all other characters.
    pub ascii: bool,
    /// `max_line_length`, in bytes.
    pub max_line: usize,
    /// `max_value_length`, in bytes.
    pub max_value: usize,
    /// `policy`.
    pub policy: PolicyConfig,
    /// `instance`: Mixer's name of the log; by default that of Istio's.
    pub instance: Option<String>,
    /// `level`: level of the lines in Mixer.
    pub level: &'static str,
    /// `tcp_open_line`: write a line when a connection begins.
    pub open_line: bool,
    /// `tcp_reporting_duration`: time between two lines of a live connection.
    pub period: Option<Duration>,
    /// `disable_host_header_fallback`, as in stats.
    pub disable_host_header_fallback: bool,
    /// `fault_flags`, as in stats: whether fault injection in another VM may have written fault flags.
    pub fault_flags: bool,
}

/// Names and forms of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// `ISTIO`: as in Istio's JSON access log, with both workloads.
    Istio,
    /// `MIXER`: as in Mixer's stdio adapter.
    Mixer,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `JSON`.
    Json,
    /// `TEXT`.
    Text,
    /// `NONE`: no line, only the decision.
    None,
}

/// A field to add or replace.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfiguredField {
    /// `name`.
    pub name: String,
    /// `value` and `fallback`: expressions, or names of known fields. The first one with a value is used.
    pub values: Vec<Operand>,
    /// `as`: form of the value.
    pub style: Option<Style>,
    /// `as: NUMBER`: write a text as the integer that it contains.
    pub number: bool,
    /// `hash`: write the SHA-256 instead of the value.
    pub hash: bool,
    /// `max_length`: longest value; longer ones are cut.
    pub max: Option<usize>,
}

/// The source of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// Its path in the configuration.
    pub path: String,
    /// An expression or, if `known`, a field name.
    pub text: String,
    /// Whether it is a field name.
    pub known: bool,
    /// `type`: type of the result of an expression for the engine.
    pub kind: Kind,
}

/// Which streams get a line.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyConfig {
    /// `log`.
    pub rule: PolicyRule,
    /// `match`: an expression of those of which there may be a line.
    pub condition: Option<String>,
    /// `always_errors`: errors always get a line.
    pub always_errors: bool,
}

/// The rule for writing lines.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyRule {
    /// `ALL`.
    All,
    /// `ERRORS`.
    Errors,
    /// `PERCENTAGE`, with `percentage` in thousandths.
    Percentage(u64),
    /// `FIRST_IN_WINDOW`: the first stream of each peer within `window`. At most `max_peers` peers are kept.
    Window(Duration, usize),
}

impl LogConfig {
    /// Reads the plugin configuration.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        configuration::parse(json, Self::read)
    }

    /// Reads the plugin configuration. Collects problems and continues where possible, for a caller with more to check.
    pub fn parse_with(json: &[u8], problems: &mut Vec<Problem>) -> Self {
        configuration::parse_with(json, problems, Self::read)
    }

    /// Whether there is a configured expression. It can read any attribute.
    pub fn has_expressions(&self) -> bool {
        !self.fields.is_empty() || !self.text_format.is_empty() || self.policy.condition.is_some()
    }

    /// Reads the section of a plugin that is for requests only.
    pub fn read_for_requests(section: &mut Section) -> Self {
        section.refuse_unless(false, "root_id be \"tcp_access_log\"", &["tcp_open_line", "tcp_reporting_duration"]);
        Self::read(section)
    }

    /// Reads a section.
    #[inline(never)]
    pub fn read(section: &mut Section) -> Self {
        let preset = match section.choice("preset", &["ISTIO", "MIXER"]) {
            Some("MIXER") => Preset::Mixer,
            _ => Preset::Istio,
        };
        let text_format = section.optional_text("text_format").unwrap_or_default();
        let format = match section.choice("format", &["JSON", "TEXT", "NONE"]) {
            Some("TEXT") => Format::Text,
            Some("NONE") => Format::None,
            None if !text_format.is_empty() => Format::Text,
            _ => Format::Json,
        };
        section.refuse_unless(format == Format::Text || text_format.is_empty(), "format be \"TEXT\"", &["text_format"]);
        section.refuse_unless(format == Format::Json, "format be \"JSON\"", &OF_JSON);
        section.refuse_unless(format != Format::None, "format be \"JSON\" or \"TEXT\"", &OF_LINES);
        let is_mixer = format == Format::Json && preset == Preset::Mixer;
        section.refuse_unless(is_mixer, "format be \"JSON\" and preset be \"MIXER\"", &OF_MIXER);
        let mut index = 0usize;
        let mut fields = section.objects("fields", |section| {
            let field = ConfiguredField::read(section, &format!("fields[{index}]"));
            index = index.saturating_add(1);
            field
        });
        if fields.len() > MAX_FIELDS {
            section.refuse("fields", format!("{} are too many, must be at most {MAX_FIELDS}", fields.len()));
        }
        let mut names = Names::default();
        for (index, field) in fields.iter().enumerate() {
            if !names.add(&field.name).1 {
                let path = format!("fields[{index}].name");
                section.refuse(&path, format!("{} is given twice, must be another", Quoted(&field.name)));
            }
        }
        // Those that are too many are not looked at any further.
        fields.truncate(MAX_FIELDS);
        let period = section.duration("tcp_reporting_duration", Duration::ZERO..=MAX_PERIOD, Duration::ZERO);
        if period > Duration::ZERO && period < MIN_PERIOD {
            section.refuse("tcp_reporting_duration", "is too short, must be at least 100ms, or 0s for never".into());
        }
        Self {
            preset,
            format,
            text_format,
            fields,
            only_fields: section.texts("only_fields", MAX_FIELDS),
            remove_fields: section.texts("remove_fields", MAX_FIELDS),
            rename_fields: section.text_map("rename_fields"),
            omit_absent: section.boolean("omit_absent", false),
            ascii: section.boolean("ascii", false),
            max_line: length(section, "max_line_length", LINE, DEFAULT_LINE),
            max_value: length(section, "max_value_length", VALUE, DEFAULT_VALUE),
            policy: section.object("policy", PolicyConfig::read).unwrap_or(PolicyConfig::ALL),
            instance: section.text("instance"),
            level: section.choice("level", &["info", "warn", "error"]).unwrap_or("info"),
            open_line: section.boolean("tcp_open_line", false),
            period: (period > Duration::ZERO).then_some(period),
            disable_host_header_fallback: section.boolean("disable_host_header_fallback", false),
            fault_flags: section.boolean("fault_flags", false),
        }
    }
}

impl ConfiguredField {
    fn read(section: &mut Section, path: &str) -> Self {
        let name = section.text("name");
        if name.is_none() {
            section.require("name");
        }
        let kind = match section.choice("type", &["TEXT", "INTEGER", "DOUBLE", "BOOLEAN", "DURATION", "TIMESTAMP"]) {
            Some("INTEGER") => Kind::Integer,
            Some("DOUBLE") => Kind::Double,
            Some("BOOLEAN") => Kind::Boolean,
            Some("DURATION") => Kind::Duration,
            Some("TIMESTAMP") => Kind::Timestamp,
            _ => Kind::Text,
        };
        let operand = |field: &str, text: String, known| Operand { path: format!("{path}.{field}"), text, known, kind };
        let value = section.text("value").map(|text| operand("value", text, false));
        let known = section.text("field").map(|text| operand("field", text, true));
        if value.is_some() && known.is_some() {
            section.refuse("field", "given beside value, must be one of them".into());
        }
        if value.is_none() && known.is_none() {
            section.require("value");
        }
        let fallback = section.texts("fallback", MAX_FIELDS).into_iter().enumerate();
        let fallback = fallback.map(|(index, text)| operand(&format!("fallback[{index}]"), text, false));
        let written = section.choice(
            "as",
            &["TEXT", "NUMBER", "MILLISECONDS", "SECONDS", "NANOSECONDS", "GO_DURATION", "MICROSECOND_TIME"],
        );
        Self {
            name: name.unwrap_or_default(),
            values: value.or(known).into_iter().chain(fallback).collect(),
            style: match written {
                Some("TEXT") => Some(Style::Text),
                Some("MILLISECONDS") => Some(Style::Milliseconds),
                Some("SECONDS") => Some(Style::Seconds),
                Some("NANOSECONDS") => Some(Style::Nanoseconds),
                Some("GO_DURATION") => Some(Style::Go),
                Some("MICROSECOND_TIME") => Some(Style::Microtime),
                _ => None,
            },
            number: written == Some("NUMBER"),
            hash: section.boolean("hash", false),
            max: Some(length(section, "max_length", 0..=*VALUE.end(), 0)).filter(|max| *max > 0),
        }
    }
}

impl PolicyConfig {
    /// Everything gets a line.
    pub const ALL: Self = Self { rule: PolicyRule::All, condition: None, always_errors: false };

    fn read(section: &mut Section) -> Self {
        let rule = section.choice("log", &["ALL", "ERRORS", "PERCENTAGE", "FIRST_IN_WINDOW"]);
        let percentage = section.scalar("percentage", percentage);
        let window = section.duration("window", MIN_WINDOW..=MAX_WINDOW, DEFAULT_WINDOW);
        let peers = length(section, "max_peers", 1..=MAX_PEERS, DEFAULT_PEERS);
        let of_window = ["window", "max_peers"];
        section.refuse_unless(rule == Some("PERCENTAGE"), "log be \"PERCENTAGE\"", &["percentage"]);
        section.refuse_unless(rule == Some("FIRST_IN_WINDOW"), "log be \"FIRST_IN_WINDOW\"", &of_window);
        if rule == Some("PERCENTAGE") {
            section.require("percentage");
        }
        Self {
            rule: match rule {
                Some("ERRORS") => PolicyRule::Errors,
                Some("PERCENTAGE") => PolicyRule::Percentage(percentage.unwrap_or_default()),
                Some("FIRST_IN_WINDOW") => PolicyRule::Window(window, peers),
                _ => PolicyRule::All,
            },
            condition: section.text("match"),
            // As in Istio's policy, the window is for successful streams.
            always_errors: section.boolean("always_errors", rule == Some("FIRST_IN_WINDOW")),
        }
    }
}

/// A percentage with at most three decimals, in thousandths.
fn percentage(text: &str) -> Result<u64, String> {
    let thousandths = || {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let thousandths = [fraction, "000"].concat().get(..3)?.parse::<u64>().ok()?;
        whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(thousandths).filter(|number| *number <= 100_000)
    };
    thousandths().ok_or_else(|| "is not allowed, must be a number from 0 to 100 with at most three decimals".into())
}

fn length(section: &mut Section, name: &'static str, range: core::ops::RangeInclusive<u64>, default: u64) -> usize {
    usize::try_from(section.integer(name, range, default)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
