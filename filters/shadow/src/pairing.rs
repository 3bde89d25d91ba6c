//! Pairs of an original and a copy. They are compared as soon as both outcomes are known.

use core::time::Duration;

use hashbrown::HashMap;

use crate::outcome::Outcome;

/// How long to wait for the original's end after the copy's timeout.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes of a request's text in a log line.
const MAX_LOGGED: usize = 128;

/// The two outcomes to compare.
#[derive(Debug)]
pub struct Pair {
    /// The index of the copy's mirror.
    pub target: usize,
    /// Outcome of the original.
    pub primary: Option<Outcome>,
    /// Outcome of the copy.
    pub shadow: Option<Outcome>,
    /// The request in the log line, if mismatches are logged.
    pub name: Option<Box<str>>,
    until: Duration,
}

/// The pairs that lack an outcome.
#[derive(Debug, Default)]
pub struct Pairings {
    pairs: HashMap<u32, Pair>,
    next: u32,
}

impl Pairings {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Adds a pair for a copy with this timeout.
    pub fn begin(&mut self, target: usize, name: Option<Box<str>>, now: Duration, timeout: Duration) -> u32 {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let until = now.saturating_add(timeout).saturating_add(PATIENCE);
        self.pairs.insert(id, Pair { target, primary: None, shadow: None, name, until });
        id
    }

    /// The copy was not sent: removes its pair.
    pub fn forget(&mut self, id: u32) {
        self.pairs.remove(&id);
    }

    /// Sets the original's outcome. Returns the pair if it is complete.
    pub fn primary(&mut self, id: u32, outcome: Outcome) -> Option<Pair> {
        self.set(id, |pair| pair.primary = Some(outcome))
    }

    /// Sets the copy's outcome. Returns the pair if it is complete.
    pub fn shadow(&mut self, id: u32, outcome: Outcome) -> Option<Pair> {
        self.set(id, |pair| pair.shadow = Some(outcome))
    }

    /// Removes and returns the pairs whose time is up.
    pub fn take_overdue(&mut self, now: Duration) -> Vec<Pair> {
        self.pairs.extract_if(|_, pair| pair.until <= now).map(|(_, pair)| pair).collect()
    }

    fn set(&mut self, id: u32, set: impl FnOnce(&mut Pair)) -> Option<Pair> {
        let pair = self.pairs.get_mut(&id)?;
        set(pair);
        let is_complete = pair.primary.is_some() && pair.shadow.is_some();
        if is_complete {
            self.pairs.remove(&id)
        } else {
            None
        }
    }
}

/// Id, method and path of a request for a log line. No query and no headers: they can contain secrets.
pub fn name_of(id: &[u8], method: &[u8], path: &[u8]) -> Box<str> {
    let path = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let mut name = String::new();
    for part in [id, b" ", method, b" ", path] {
        let part = part.get(..MAX_LOGGED).unwrap_or(part);
        name.extend(
            part.iter().map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' }),
        );
    }
    name.into()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pair_is_complete_when_both_are_known_in_any_order() {
        let mut pairs = Pairings::default();
        let ids = [0, 1, 2].map(|target| pairs.begin(target, None, SECOND, SECOND));
        assert!(pairs.primary(ids[0], Outcome::Reset).is_none());
        assert!(pairs.shadow(ids[1], Outcome::Timeout).is_none());
        assert_eq!(pairs.shadow(ids[0], Outcome::Reset).map(|pair| pair.target), Some(0));
        assert_eq!(pairs.primary(ids[1], Outcome::Reset).map(|pair| pair.target), Some(1));
        assert!(pairs.primary(ids[1], Outcome::Reset).is_none());
        pairs.forget(ids[2]);
        assert!(pairs.is_empty());
    }

    #[test]
    fn those_that_lack_one_for_long_are_given_up() {
        let mut pairs = Pairings::default();
        let id = pairs.begin(0, None, SECOND, SECOND);
        let _ = pairs.shadow(id, Outcome::Reset);
        assert!(pairs.take_overdue(61 * SECOND).is_empty());
        assert_eq!(pairs.take_overdue(62 * SECOND).len(), 1);
        assert_eq!(pairs.len(), 0);
    }

    #[test]
    fn what_is_logged_has_no_secrets_and_a_limit() {
        assert_eq!(&*name_of(b"id", b"GET", b"/a?token=x"), "id GET /a");
        assert_eq!(&*name_of(b"a\nb", b"GET", b"/\xff"), "a?b GET /?");
        let long = [b'x'; 1000];
        assert!(name_of(&long, &long, &long).len() <= 3 * MAX_LOGGED + 2);
    }
}
