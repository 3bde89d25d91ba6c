//! The lines of a header map.

/// Header lines, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// The value of a header: that of its first line.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice())
    }

    /// One more line.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_lowercase(), value.to_vec()));
    }

    /// A line in place of all of its name.
    pub fn replace(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    /// Removes all lines of a name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All lines, as the ABI has them.
    pub fn encoded(&self) -> Vec<u8> {
        // Envoy hands over nothing where there is nothing.
        if self.0.is_empty() {
            return Vec::new();
        }
        host::pairs::encode(self.0.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())))
    }

    /// The lines that the ABI has as these bytes.
    pub fn decoded(bytes: &[u8]) -> Self {
        let line = |(name, value): (&[u8], &[u8])| (String::from_utf8_lossy(name).into_owned(), value.to_vec());
        Self(host::pairs::Pairs::new(bytes).map(line).collect())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Headers {
    fn from(lines: [(&str, &str); N]) -> Self {
        let mut headers = Self::default();
        for (name, value) in lines {
            headers.add(name, value.as_bytes());
        }
        headers
    }
}
