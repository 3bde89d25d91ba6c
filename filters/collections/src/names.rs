//! Texts, each once, by number.

/// Texts by the numbers in which they came, each once.
///
/// Not a map of the library's: of those, each type has 1.6 KB of code for growing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    texts: Vec<String>,
    /// Where each text stands, by its hash: its number and one, or 0 where there is none. At most half of it is in use, and its
    /// length is a power of two.
    table: Vec<u32>,
}

impl Names {
    /// The number of a text.
    pub fn get(&self, text: &str) -> Option<usize> {
        self.find(text).ok()
    }

    /// The number of a text, which it gets if it is new, and whether it is.
    #[inline(never)]
    pub fn add(&mut self, text: &str) -> (usize, bool) {
        if self.texts.len() >= self.table.len() / 2 {
            self.grow();
        }
        match self.find(text) {
            Ok(number) => (number, false),
            Err(place) => {
                self.texts.push(text.into());
                if let Some(entry) = self.table.get_mut(place) {
                    *entry = self.texts.len() as u32;
                }
                (self.texts.len().saturating_sub(1), true)
            }
        }
    }

    /// The text of a number; an empty one if it has none.
    pub fn text(&self, number: usize) -> &str {
        self.texts.get(number).map_or("", String::as_str)
    }

    /// All texts, by their numbers.
    pub fn iter(&self) -> core::slice::Iter<'_, String> {
        self.texts.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The number of a text, or the free place in the table for one.
    #[inline(never)]
    fn find(&self, text: &str) -> Result<usize, usize> {
        let mask = self.table.len().wrapping_sub(1);
        let mut place = hash(text) as usize & mask;
        loop {
            let Some(number) = self.table.get(place).and_then(|entry| (*entry as usize).checked_sub(1)) else {
                return Err(place);
            };
            if self.texts.get(number).is_some_and(|other| other == text) {
                return Ok(number);
            }
            place = place.wrapping_add(1) & mask;
        }
    }

    fn grow(&mut self) {
        let length = self.table.len().saturating_mul(2).max(8);
        self.table = vec![0; length];
        for (number, text) in (1..).zip(&self.texts) {
            let (Ok(place) | Err(place)) = self.find(text);
            if let Some(entry) = self.table.get_mut(place) {
                *entry = number;
            }
        }
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<T: IntoIterator<Item = &'a str>>(texts: T) -> Self {
        let mut names = Self::default();
        for text in texts {
            names.add(text);
        }
        names
    }
}

/// FNV-1a, mixed once more so that the lower bits depend on all bytes.
fn hash(text: &str) -> u32 {
    let hash = text.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn each_text_has_one_number() {
        let mut names = Names::default();
        assert_eq!((names.get("a"), names.len()), (None, 0));
        for round in [true, false] {
            for index in 0..1000 {
                assert_eq!(names.add(&format!("name-{index}")), (index, round));
            }
        }
        for index in 0..1000 {
            let name = format!("name-{index}");
            assert_eq!((names.get(&name), names.text(index)), (Some(index), name.as_str()));
        }
        assert_eq!((names.get(""), names.get("name-1000"), names.text(1000)), (None, None, ""));
        assert_eq!(names.iter().map(String::as_str).collect::<Names>(), names);
    }
}
