//! The copy of a request: its headers, and the received part of its body.

use host::pairs::Pairs;

use crate::budget::{Budget, Held};
use crate::metrics::Skip;

/// A copy of a request.
#[derive(Debug)]
pub struct Copied {
    /// Header lines, in Envoy's serialization.
    pub head: Vec<u8>,
    /// The body so far.
    pub body: Vec<u8>,
    /// Length of the body, if the sender announced it.
    announced: Option<usize>,
    held: Held,
}

impl Copied {
    /// A copy of the headers; `None` if the budget is used up.
    pub fn new(head: Vec<u8>, budget: &Budget) -> Option<Self> {
        let announced = announced(&head);
        Some(Self { held: budget.hold(head.len())?, head, body: Vec::new(), announced })
    }

    /// Adds `size` bytes of the body, which `read` returns. `max` is the largest body.
    ///
    /// Capacity is doubled as bytes arrive. It does not follow the announced length, which any client can fake. So a body
    /// holds at most twice the bytes that were sent, and its bytes are moved twice at most on average.
    pub fn push(&mut self, size: usize, max: usize, read: impl FnOnce() -> Option<Vec<u8>>) -> Result<(), Skip> {
        let (before, length) = (self.body.capacity(), self.body.len().saturating_add(size));
        let end = self.announced.filter(|announced| (length..=max).contains(announced)).unwrap_or(max);
        let wanted = if length > before { before.saturating_mul(2).min(end).max(length) } else { before };
        if !self.held.grow(wanted.saturating_sub(before)) {
            return Err(Skip::MemoryCap);
        }
        let part = read().filter(|part| part.len() == size).ok_or(Skip::Incomplete)?;
        if before == 0 {
            // Most bodies arrive in one piece.
            self.body = part;
            return Ok(());
        }
        let more = wanted.saturating_sub(self.body.len());
        self.body.try_reserve_exact(more).map_err(|_| Skip::MemoryCap)?;
        self.body.extend_from_slice(&part);
        Ok(())
    }

    /// Lines of a header.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        lines(&self.head, name)
    }

    /// Bytes held for it.
    pub fn size(&self) -> usize {
        self.held.bytes()
    }

    /// The held bytes without the copy: from now on they count for Envoy's own copy.
    pub fn into_held(self) -> Held {
        self.held
    }

    /// Length of the body, if the sender announced it.
    pub fn announced(&self) -> Option<usize> {
        self.announced
    }
}

/// Lines of a header.
pub fn lines<'a>(head: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    Pairs::new(head).filter(move |(other, _)| *other == name.as_bytes()).map(|(_, value)| value)
}

/// A number in a header.
pub fn number<T: core::str::FromStr>(text: &[u8]) -> Option<T> {
    core::str::from_utf8(text).ok()?.trim().parse().ok()
}

fn announced(head: &[u8]) -> Option<usize> {
    lines(head, "content-length").next().and_then(number)
}

#[cfg(test)]
mod tests {
    use host::pairs;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn copied(length: Option<&str>, budget: &Budget) -> Copied {
        let length = length.map(|length| (b"content-length".as_slice(), length.as_bytes()));
        Copied::new(pairs::encode(length), budget).expect("room for the head")
    }

    fn push(copied: &mut Copied, part: &[u8], max: usize) -> Result<(), Skip> {
        copied.push(part.len(), max, || Some(part.into()))
    }

    #[test]
    fn a_body_is_held_as_it_comes_and_given_back() {
        let budget = Budget::new(10_000);
        for announced in [None, Some("3000"), Some("x"), Some("99999999999"), Some("1")] {
            let mut copied = copied(announced, &budget);
            let head = budget.held();
            for part in 0..30 {
                assert_eq!(push(&mut copied, &[part; 100], 4000), Ok(()), "{announced:?}");
                assert_eq!(budget.held(), head + copied.body.capacity());
                assert!(copied.body.capacity() <= copied.body.len() * 2);
            }
            assert_eq!(copied.body.len(), 3000);
            assert!(copied.body.iter().enumerate().all(|(at, byte)| at / 100 == usize::from(*byte)));
            drop(copied);
            assert_eq!(budget.held(), 0);
        }
    }

    #[test]
    fn what_is_announced_and_does_not_come_takes_no_room() {
        let budget = Budget::new(16 << 20);
        let mut idle: Vec<Copied> = (0..1000).map(|_| copied(Some("1048576"), &budget)).collect();
        let heads = budget.held();
        for copied in &mut idle {
            assert_eq!(push(copied, b"x", 1 << 20), Ok(()));
        }
        assert_eq!(budget.held(), heads + idle.len());
    }

    #[test]
    fn a_large_body_is_moved_a_few_times() {
        const LENGTH: usize = 1_000_000;
        let text = LENGTH.to_string();
        for announced in [None, Some(text.as_str())] {
            let budget = Budget::new(16 << 20);
            let mut copied = copied(announced, &budget);
            let (mut moved, mut times, mut capacity) = (0, 0, 0);
            for part in vec![7; LENGTH].chunks(16 << 10) {
                let before = copied.body.len();
                assert_eq!(push(&mut copied, part, 1 << 20), Ok(()));
                if copied.body.capacity() != capacity {
                    capacity = copied.body.capacity();
                    moved += before;
                    times += 1;
                }
            }
            assert!(times <= 7 && moved <= 2 * LENGTH, "{times} times, {moved} bytes");
            assert_eq!(copied.body.capacity(), if announced.is_some() { LENGTH } else { 1 << 20 });
        }
    }

    #[test]
    fn without_room_nothing_is_read() {
        let budget = Budget::new(1000);
        let mut first = copied(None, &budget);
        assert_eq!(push(&mut first, &[0; 600], 4000), Ok(()));
        assert_eq!(first.push(600, 4000, || panic!("there is no room")), Err(Skip::MemoryCap));
        assert_eq!(first.body.len(), 600);
        assert!(Copied::new(vec![0; 400], &budget).is_none());
    }

    #[test]
    fn a_part_that_cannot_be_read_leaves_no_hole() {
        let budget = Budget::new(1000);
        for part in [None, Some(vec![1; 9])] {
            let mut copied = copied(None, &budget);
            assert_eq!(push(&mut copied, &[0; 10], 100), Ok(()));
            assert_eq!(copied.push(10, 100, || part), Err(Skip::Incomplete));
            assert_eq!(copied.body.len(), 10);
        }
    }
}
