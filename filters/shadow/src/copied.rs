//! What is held of a request: its head, and its body as far as it has come.

use mesh_common::pairs::Pairs;

use crate::budget::{Budget, Held};

/// A copy of a request.
#[derive(Debug)]
pub struct Copied {
    /// Header lines, as Envoy handed them over.
    pub head: Vec<u8>,
    /// The body so far.
    pub body: Vec<u8>,
    /// How much more of it is announced to come.
    announced: Option<usize>,
    held: Held,
}

/// There is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Copied {
    /// A copy of the head; `None` if there is no room.
    pub fn new(head: Vec<u8>, budget: &Budget) -> Option<Self> {
        let announced = announced(&head);
        Some(Self { held: budget.hold(head.len())?, head, body: Vec::new(), announced })
    }

    /// Adds a part of the body. `max` is how long it can become: what is announced beyond is not reserved.
    pub fn push(&mut self, part: Vec<u8>, max: usize) -> Result<(), NoRoom> {
        let length = self.body.len().saturating_add(part.len());
        let is_all = self.body.is_empty() && self.announced.is_none_or(|announced| announced <= part.len());
        if is_all {
            // It came in one piece, most likely, and as most do.
            if !self.held.grow(part.capacity()) {
                return Err(NoRoom);
            }
            self.body = part;
            return Ok(());
        }
        let before = self.body.capacity();
        if length > before {
            let doubled = before.saturating_mul(2).min(max);
            let wanted = self.announced.filter(|announced| *announced <= max).unwrap_or(doubled).max(length);
            if !self.held.grow(wanted.saturating_sub(before)) {
                return Err(NoRoom);
            }
            if self.body.try_reserve_exact(wanted.saturating_sub(self.body.len())).is_err() {
                self.held.shrink(wanted.saturating_sub(before));
                return Err(NoRoom);
            }
        }
        self.body.extend_from_slice(&part);
        Ok(())
    }

    /// Lines of a header.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        lines(&self.head, name)
    }

    /// How many bytes are held for it.
    pub fn size(&self) -> usize {
        self.held.bytes()
    }

    /// What is held for it, without it: Envoy has a copy of its own now.
    pub fn into_held(self) -> Held {
        self.held
    }

    /// How long the body will be, if its sender has told.
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
    use mesh_common::pairs;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn copied(length: Option<&str>, budget: &Budget) -> Copied {
        let length = length.map(|length| (b"content-length".as_slice(), length.as_bytes()));
        Copied::new(pairs::encode(length), budget).expect("room for the head")
    }

    #[test]
    fn a_body_is_held_as_it_comes_and_given_back() {
        let budget = Budget::new(10_000);
        for announced in [None, Some("3000"), Some("x"), Some("99999999999"), Some("1")] {
            let mut copied = copied(announced, &budget);
            let head = budget.held();
            for part in 0..30 {
                assert_eq!(copied.push(vec![part; 100], 4000), Ok(()), "{announced:?}");
                assert!(budget.held() >= head + copied.body.len());
                assert!(budget.held() <= head + copied.body.len().max(3000) * 2);
            }
            assert_eq!(copied.body.len(), 3000);
            assert!(copied.body.iter().enumerate().all(|(at, byte)| at / 100 == usize::from(*byte)));
            assert!(copied.body.capacity() <= budget.held());
            drop(copied);
            assert_eq!(budget.held(), 0);
        }
    }

    #[test]
    fn an_announced_body_is_reserved_once_if_it_may_be_that_long() {
        let budget = Budget::new(1 << 20);
        let mut long = copied(Some("100000"), &budget);
        let head = budget.held();
        assert_eq!(long.push(vec![1; 10], 200_000), Ok(()));
        assert_eq!(budget.held(), head + 100_000);
        let mut liar = copied(Some("100000"), &budget);
        assert_eq!(liar.push(vec![1; 10], 1000), Ok(()));
        assert!(budget.held() < head + 100_000 + 2 * head);
    }

    #[test]
    fn without_room_nothing_is_added() {
        let budget = Budget::new(1000);
        let mut first = copied(None, &budget);
        assert_eq!(first.push(vec![0; 600], 4000), Ok(()));
        assert_eq!(first.push(vec![0; 600], 4000), Err(NoRoom));
        assert_eq!(first.body.len(), 600);
        assert!(Copied::new(vec![0; 400], &budget).is_none());
    }
}
