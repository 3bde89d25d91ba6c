//! A small map of texts.

/// Texts by name, sorted by name.
///
/// A list and not a tree, whose code is ten times as large: most of these maps have a handful of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextMap {
    entries: Vec<(String, String)>,
}

/// Iterator over the names and texts of a [`TextMap`], in order.
#[derive(Clone, Debug)]
pub struct Texts<'a> {
    entries: core::slice::Iter<'a, (String, String)>,
}

impl TextMap {
    /// The text with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let place = self.place(name).ok()?;
        self.entries.get(place).map(|(_, text)| text.as_str())
    }

    /// Sets the text with this name.
    pub fn insert(&mut self, name: String, text: String) {
        match self.place(&name) {
            Ok(place) => {
                if let Some(entry) = self.entries.get_mut(place) {
                    entry.1 = text;
                }
            }
            Err(place) => self.entries.insert(place, (name, text)),
        }
    }

    /// Names and texts.
    pub fn iter(&self) -> Texts<'_> {
        self.into_iter()
    }

    /// Those whose names begin with `beginning`.
    pub fn beginning_with(&self, beginning: &str) -> Texts<'_> {
        let start = self.entries.partition_point(|(name, _)| name.as_str() < beginning);
        let (_, rest) = self.entries.split_at_checked(start).unwrap_or_default();
        let end = rest.partition_point(|(name, _)| name.starts_with(beginning));
        Texts { entries: rest.get(..end).unwrap_or_default().iter() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(entry, _)| entry.as_str().cmp(name))
    }
}

impl FromIterator<(String, String)> for TextMap {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(texts: T) -> Self {
        texts.into_iter().collect::<Vec<_>>().into()
    }
}

/// Of entries with the same name, the last one counts.
impl From<Vec<(String, String)>> for TextMap {
    #[inline(never)]
    fn from(mut entries: Vec<(String, String)>) -> Self {
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut map = Self::default();
        for (name, text) in entries {
            // At the end, or in place of the last one.
            map.insert(name, text);
        }
        map
    }
}

impl<const N: usize> From<[(String, String); N]> for TextMap {
    fn from(texts: [(String, String); N]) -> Self {
        texts.into_iter().collect()
    }
}

impl IntoIterator for TextMap {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a TextMap {
    type Item = (&'a str, &'a str);
    type IntoIter = Texts<'a>;

    fn into_iter(self) -> Texts<'a> {
        Texts { entries: self.entries.iter() }
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn texts_are_found_and_come_in_order() {
        let mut map =
            TextMap::from([("b", "1"), ("c", "2"), ("a", "3")].map(|(name, text)| (name.into(), text.into())));
        map.insert("b".into(), "4".into());
        assert_eq!(map.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "4"), ("c", "2")]);
        assert_eq!((map.get("c"), map.get("d"), map.len()), (Some("2"), None, 3));
        assert_eq!(map.beginning_with("b").collect::<Vec<_>>(), [("b", "4")]);
        assert_eq!(map.beginning_with("").count(), 3);
        assert_eq!(map.beginning_with("d").next(), None);
        let again = ["b", "a", "b", "c", "b"].iter().zip(1..).map(|(name, text)| (name.to_string(), text.to_string()));
        let expected = [("a", "2"), ("b", "5"), ("c", "4")].map(|(name, text)| (name.into(), text.into()));
        assert_eq!(again.collect::<TextMap>(), TextMap { entries: expected.into() });
    }
}
