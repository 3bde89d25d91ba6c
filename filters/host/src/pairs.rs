//! Header maps in Envoy's serialization: all lines in one piece of memory, read without copying.
//!
//! The number of lines, then the lengths of each name and value, then the names and values, each followed by NUL. All
//! numbers have four bytes, little endian.

/// The lines of a header map, in order. Invalid bytes have no lines.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    lengths: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Pairs<'a> {
    /// The lines in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::split(bytes).unwrap_or(Self { lengths: &[], rest: &[] })
    }

    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = number(bytes)?;
        let (lengths, rest) = rest.split_at_checked(count.checked_mul(8)?)?;
        Some(Self { lengths, rest })
    }

    fn take(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (name, lengths) = number(self.lengths)?;
        let (value, lengths) = number(lengths)?;
        self.lengths = lengths;
        Some((self.part(name)?, self.part(value)?))
    }

    fn part(&mut self, length: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.get(1..)?;
        Some(part)
    }
}

impl<'a> Iterator for Pairs<'a> {
    /// Name and value.
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.take();
        if pair.is_none() {
            self.lengths = &[];
        }
        pair
    }
}

/// Serializes pairs in Envoy's format.
pub fn encode<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, pairs.clone().into_iter().count());
    for (name, value) in pairs.clone() {
        push(&mut bytes, name.len());
        push(&mut bytes, value.len());
    }
    for (name, value) in pairs {
        for part in [name, value] {
            bytes.extend_from_slice(part);
            bytes.push(0);
        }
    }
    bytes
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

/// Appends a number. Lengths in a module's memory fit into 32 bits.
fn push(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const LINES: [(&[u8], &[u8]); 4] = [(b":path", b"/a"), (b"x", b"1"), (b"x", b""), (b"latin", b"\xe9")];

    #[test]
    fn lines_are_read_as_they_were_written() {
        let bytes = encode(LINES);
        assert_eq!(Pairs::new(&bytes).collect::<Vec<_>>(), LINES);
        assert_eq!(Pairs::new(&encode([])).next(), None);
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        let bytes = encode(LINES);
        for length in 0..bytes.len() {
            let cut: Vec<_> = Pairs::new(&bytes[..length]).collect();
            assert!(LINES.starts_with(&cut), "{length}");
            assert!(cut.len() < LINES.len(), "{length}");
        }
        assert_eq!(Pairs::new(&[0xff; 100]).next(), None);
    }
}
