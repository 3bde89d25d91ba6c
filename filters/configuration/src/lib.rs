//! Plugin configuration: JSON, read strictly, with every mistake named at once.
//!
//! A filter reads its configuration through a [`Section`], field by field. What it does not read is an unknown field.
//! Field names are Istio's, in snake_case; camelCase is accepted too, as protobuf JSON does. Trailing commas are
//! forgiven, because the configuration that came with Istio 1.5 has them.

mod document;
mod json;
mod near;
mod nested;
mod problem;
mod quote;
mod scan;

use core::ops::RangeInclusive;
use core::time::Duration;

use document::Document;
use json::{Json, Object};

pub use problem::{ConfigError, Problem};
pub use quote::{joined, Cut, Quoted};

use collections::names::Names;
use collections::text_map::TextMap;

/// Reads a configuration. No bytes, or only blanks, are an empty object.
pub fn parse<T>(bytes: &[u8], read: impl FnOnce(&mut Section) -> T) -> Result<T, ConfigError> {
    let mut problems = Vec::new();
    let value = parse_with(bytes, &mut problems, read);
    ConfigError::unless_empty(problems).map(|()| value)
}

/// Reads a configuration, and goes on where it can, for a caller who has more to check.
pub fn parse_with<T>(bytes: &[u8], problems: &mut Vec<Problem>, read: impl FnOnce(&mut Section) -> T) -> T {
    let document = Document::read(bytes, problems);
    let object = document.root().object().unwrap_or_default();
    let mut section = Section::new(&object, String::new(), problems);
    let value = read(&mut section);
    section.finish();
    value
}

/// A JSON object of the configuration, whose fields are read one by one.
pub struct Section<'a> {
    object: &'a Object<'a>,
    path: String,
    /// The names that were asked for, in order.
    known: Vec<&'static str>,
    /// The same in both spellings.
    spellings: Names,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    fn new(object: &'a Object<'a>, path: String, problems: &'a mut Vec<Problem>) -> Self {
        Self { object, path, known: Vec::new(), spellings: Names::default(), problems }
    }

    /// `true` or `false`; Istio's own configurations write them as text, too.
    pub fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        self.read(name, "true or false", |value| value.text_or_source().parse().ok()).unwrap_or(default)
    }

    /// A whole number within `range`; protobuf JSON writes large ones as text.
    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(name, &allowed, |value| {
            let number = value.text_or_source().parse().ok()?;
            range.contains(&number).then_some(number)
        })
        .unwrap_or(default)
    }

    /// A duration within `range`, such as `15s`, `0.5s`, `500ms` or `1m30s`.
    pub fn duration(&mut self, name: &'static str, range: RangeInclusive<Duration>, default: Duration) -> Duration {
        let [start, end] = [range.start(), range.end()].map(duration_text);
        let allowed = format!("a duration such as \"15s\" or \"500ms\", from {start} to {end}");
        self.read(name, &allowed, |value| duration(&value.text()?).filter(|duration| range.contains(duration)))
            .unwrap_or(default)
    }

    /// A list of texts, none of them empty, at most `max` of them.
    pub fn texts(&mut self, name: &'static str, max: usize) -> Vec<String> {
        let allowed = format!("a list of at most {max} texts, none empty");
        self.read(name, &allowed, |value| {
            let mut texts = Vec::new();
            for item in value.list().filter(|list| list.len() <= max)? {
                texts.push(item.text().filter(|text| !text.is_empty())?);
            }
            Some(texts)
        })
        .unwrap_or_default()
    }

    /// One of the texts `allowed`.
    pub fn choice(&mut self, name: &'static str, allowed: &[&'static str]) -> Option<&'static str> {
        let quoted = joined(&["\"", &joined(allowed, "\" or \""), "\""], "");
        self.read(name, &quoted, |value| {
            let text = value.text()?;
            allowed.iter().find(|allowed| **allowed == text).copied()
        })
    }

    /// A text that is not empty.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.read(name, "a text that is not empty", |value| value.text().filter(|text| !text.is_empty()))
    }

    /// A text; an empty one is none.
    #[inline(never)]
    pub fn optional_text(&mut self, name: &'static str) -> Option<String> {
        self.read(name, "a text", Json::text).filter(|text| !text.is_empty())
    }

    /// An object whose fields are all texts.
    pub fn text_map(&mut self, name: &'static str) -> TextMap {
        self.read(name, "an object of texts", |value| {
            let mut texts = Vec::new();
            for (name, value) in value.object()?.fields() {
                texts.push((name.to_string(), value.text()?));
            }
            Some(texts)
        })
        .unwrap_or_default()
        .into()
    }

    /// A list of objects, each read by `read`.
    pub fn objects<T>(&mut self, name: &'static str, mut read: impl FnMut(&mut Section) -> T) -> Vec<T> {
        let mut values = Vec::new();
        for (index, object) in self.list(name).iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(name));
            values.push(self.inside(object, path, &mut read));
        }
        values
    }

    /// Apart from [`Self::objects`], of which there is one for each type.
    #[inline(never)]
    fn list(&mut self, name: &'static str) -> Vec<Object<'a>> {
        let list = self.read(name, "a list of objects", |value| {
            let mut objects = Vec::new();
            for item in value.list()? {
                objects.push(item.object()?);
            }
            Some(objects)
        });
        list.unwrap_or_default()
    }

    /// Fields that Istio knows but that have no effect here.
    pub fn ignore(&mut self, names: &[&'static str]) {
        for name in names {
            self.know(name);
        }
    }

    /// Reports that a field is not there, unless it is and was refused.
    pub fn require(&mut self, name: &'static str) {
        if !self.has(name) {
            self.refuse(name, "missing".into());
        }
    }

    /// Reports a mistake that only the filter can see.
    pub fn refuse(&mut self, name: &str, message: String) {
        let path = self.path_of(name);
        self.problems.push(Problem { path, message });
    }

    /// What `convert` makes of a field; nothing if it is not there.
    fn read<T>(&mut self, name: &'static str, allowed: &str, convert: impl FnOnce(Json<'a>) -> Option<T>) -> Option<T> {
        let value = self.find(name)?;
        let converted = convert(value);
        if converted.is_none() {
            self.refuse_value(name, value, allowed);
        }
        converted
    }

    #[inline(never)]
    fn refuse_value(&mut self, name: &str, value: Json, allowed: &str) {
        self.refuse(name, joined(&[&value.quote(), " is not allowed, must be ", allowed], ""));
    }

    /// Remembers that a field was asked for, and returns its other spelling. Names are few, and kept in order, each once: sorting
    /// them would be more code.
    fn know(&mut self, name: &'static str) -> String {
        let camel = camel_case(name);
        if self.spellings.add(name).1 {
            let place = self.known.partition_point(|known| *known < name);
            self.known.insert(place, name);
            self.spellings.add(&camel);
        }
        camel
    }

    #[inline(never)]
    fn find(&mut self, name: &'static str) -> Option<Json<'a>> {
        let camel = self.know(name);
        match (self.object.get(name), self.object.get(&camel).filter(|_| camel != name)) {
            (Some(_), Some(_)) => {
                self.refuse(name, format!("given twice, also as {camel}"));
                None
            }
            (value, None) | (None, value) => value,
        }
    }

    /// Where a field of this object stands in the whole.
    #[inline(never)]
    pub fn path_of(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.into(),
            path => format!("{path}.{name}"),
        }
    }

    /// Reports the fields that nobody asked for.
    fn finish(mut self) {
        let known = joined(&self.known, ", ");
        for (name, value) in self.object.fields() {
            if self.spellings.get(name).is_none() {
                let hint = near::nearest(name, &self.known).map_or([""; 3], |meant| ["; did you mean `", meant, "`?"]);
                let [before, meant, after] = hint;
                let told = ["unknown field (value ", &value.quote(), "), known are ", &known, before, meant, after];
                self.refuse(&Cut(name).to_string(), joined(&told, ""));
            }
        }
    }
}

/// `text` as a sum of numbers with units, as Go and protobuf write durations.
pub fn duration(mut text: &str) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !text.is_empty() {
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at_checked(unit_at)?;
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, rest) = rest.split_at_checked(end)?;
        let unit = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(multiple(number, unit)?)?;
        text = rest;
    }
    Some(Duration::from_nanos(total))
}

/// The decimal `number` times `unit`, without what is less than 1.
fn multiple(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut total: u64 = match whole {
        "" if fraction.is_empty() => return None,
        "" => 0,
        whole => whole.parse::<u64>().ok()?.checked_mul(unit)?,
    };
    let mut place = unit;
    for digit in fraction.chars() {
        place = place.checked_div(10)?;
        total = total.checked_add(u64::from(digit.to_digit(10)?).checked_mul(place)?)?;
    }
    Some(total)
}

/// A duration of whole milliseconds as [`duration`] reads it.
fn duration_text(duration: &Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// `snake_case` as `camelCase`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel: String = words.next().unwrap_or_default().into();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests;
