//! Fields of which a filter must know whether they are there, and objects within objects.

use core::ops::RangeInclusive;

use super::{camel_case, joined, Json, Object, Problem, Quoted, Section};

impl<'a> Section<'a> {
    /// Whether the field is there, with whatever value.
    pub fn has(&self, name: &str) -> bool {
        self.peek(name).is_some()
    }

    /// A field by either of its spellings.
    fn peek(&self, name: &str) -> Option<Json<'_>> {
        self.object.get(name).or_else(|| self.object.get(&camel_case(name)))
    }

    /// Reports those of these fields that are there although they have no effect, unless `has_effect`; `condition` is what would
    /// give them one.
    #[inline(never)]
    pub fn refuse_unless(&mut self, has_effect: bool, condition: &str, names: &[&str]) {
        for name in names.iter().filter(|_| !has_effect) {
            if let Some(value) = self.peek(name).map(Json::quote) {
                self.refuse(name, joined(&[&value, " has no effect, must be left out or ", condition], ""));
            }
        }
    }

    /// Reports a field that Istio has, or had, and that is none here, and whether it is there. `message` says what to use instead. It is
    /// not told as known.
    #[inline(never)]
    pub fn refuse_if_given(&mut self, name: &str, message: &str) -> bool {
        let mut is_given = false;
        for spelling in [name, &camel_case(name)] {
            if self.object.get(spelling).is_some() && self.spellings.add(spelling).1 {
                self.refuse(spelling, message.into());
                is_given = true;
            }
        }
        is_given
    }

    /// A whole number within `range`, which has no default; `None` if it is refused, too.
    pub fn optional_integer(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.find(name)?;
        let written = value.text_or_source();
        let number = written.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let is_whole = written.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9'));
            let problem = match is_whole {
                true => value.quote() + " is not",
                false => value.instead_of("integer") + ", must be",
            };
            self.refuse(name, format!("{problem} in range {}-{}", range.start(), range.end()));
        }
        number
    }

    /// A text or number, as it is written, read by `parse`, whose error says after the value what is wrong with it.
    pub fn scalar<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (text, quoted) = self.written(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.refuse(name, joined(&[&quoted, &message], " "));
                None
            }
        }
    }

    /// A text or number, as it is written and as it is quoted. Apart from [`Self::scalar`], of which there is one for each type.
    #[inline(never)]
    fn written(&mut self, name: &'static str) -> Option<(String, String)> {
        self.read(name, "a text", |value| {
            let text = value.text().or_else(|| value.number().map(String::from));
            Some((text?, value.quote()))
        })
    }

    /// A text that may be empty; `None` when it is not there.
    pub fn any_text(&mut self, name: &'static str) -> Option<String> {
        self.any_text_such_as(name, "")
    }

    /// The same; `allowed` says after what is no text what is allowed.
    #[inline(never)]
    pub fn any_text_such_as(&mut self, name: &'static str, allowed: &str) -> Option<String> {
        let value = self.find(name)?;
        let text = value.text();
        if text.is_none() {
            self.refuse(name, value.instead_of("string") + allowed);
        }
        text
    }

    /// An object, read by `read`; `None` when it is not there.
    pub fn object<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section) -> T) -> Option<T> {
        let object = self.inner(name)?;
        let path = self.path_of(name);
        Some(self.inside(&object, path, read))
    }

    /// An object, read by `read`; an empty one when it is not there.
    pub fn object_or_empty<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section) -> T) -> T {
        let object = self.inner(name).unwrap_or_default();
        let path = self.path_of(name);
        self.inside(&object, path, read)
    }

    #[inline(never)]
    fn inner(&mut self, name: &'static str) -> Option<Object<'a>> {
        self.read(name, "an object", Json::object)
    }

    /// An object whose fields have names of the operator's choice and are objects, each read by `read` with its name.
    pub fn object_map<T>(&mut self, name: &'static str, mut read: impl FnMut(&str, &mut Section) -> T) -> Vec<T> {
        let mut values = Vec::new();
        for (key, object) in self.map(name) {
            let path = format!("{}[{}]", self.path_of(name), Quoted(&key));
            values.push(self.inside(&object, path, |section| read(&key, section)));
        }
        values
    }

    #[inline(never)]
    fn map(&mut self, name: &'static str) -> Vec<(String, Object<'a>)> {
        let objects = self.read(name, "an object of objects", |value| {
            let mut objects = Vec::new();
            for (name, value) in value.object()?.fields() {
                objects.push((name.to_string(), value.object()?));
            }
            Some(objects)
        });
        objects.unwrap_or_default()
    }

    /// Reports a mistake in the object itself.
    pub fn refuse_all(&mut self, message: String) {
        let path = self.path.clone();
        self.problems.push(Problem { path, message });
    }

    pub(super) fn inside<T>(&mut self, object: &Object, path: String, read: impl FnOnce(&mut Section) -> T) -> T {
        let mut section = Section::new(object, path, self.problems);
        let value = read(&mut section);
        section.finish();
        value
    }
}
