//! The room for label sets, of which nobody gets all.

use crate::symbols::Symbol;

/// An owner gets more room while it has at most this many times what is left. So one alone gets eight ninths, and two that want
/// all get eight seventeenths each. What is left is for owners to come.
const SHARE: usize = 8;

/// Whose room a label set takes: nobody can choose these values at will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The called service. All services that only clients name are one.
    pub service: Symbol,
    /// The caller, by its certificate. All callers without one are one.
    pub caller: Symbol,
}

/// Room for a limited number of series. What was taken stays taken, so an owner that is refused once is refused from then on.
#[derive(Debug)]
pub struct Room {
    max: usize,
    taken: usize,
    /// What each owner has, in the order of owners.
    owners: Vec<(Owner, usize)>,
}

impl Room {
    /// For this many series.
    pub fn new(max: usize) -> Self {
        Self { max, taken: 0, owners: Vec::new() }
    }

    /// Series that have room.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Series that an owner has.
    pub fn of(&self, owner: Owner) -> usize {
        let place = self.place(owner).ok();
        place.and_then(|place| self.owners.get(place)).map_or(0, |(_, own)| *own)
    }

    /// Whether an owner may take more.
    pub fn is_open(&self, owner: Owner) -> bool {
        let left = self.max.saturating_sub(self.taken);
        left > 0 && self.of(owner) <= left.saturating_mul(SHARE)
    }

    /// Takes room for `width` series. Returns whether there is any.
    pub fn take(&mut self, owner: Owner, width: usize) -> bool {
        if !self.is_open(owner) {
            return false;
        }
        let taken = self.taken.saturating_add(width);
        if taken > self.max {
            // The rest is too small for this one, and is not for others either.
            self.max = self.taken;
            return false;
        }
        self.taken = taken;
        match self.place(owner) {
            Ok(place) => {
                if let Some((_, own)) = self.owners.get_mut(place) {
                    *own = own.saturating_add(width);
                }
            }
            Err(place) => self.owners.insert(place, (owner, width)),
        }
        true
    }

    fn place(&self, owner: Owner) -> Result<usize, usize> {
        self.owners.binary_search_by_key(&owner, |(owner, _)| *owner)
    }
}

#[cfg(test)]
mod tests {
    use series::metric_name::Separators;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::symbols::Symbols;

    fn owners<const N: usize>(services: [&str; N]) -> [Owner; N] {
        let mut symbols = Symbols::new(Separators::default(), 1000);
        services.map(|service| Owner { service: symbols.of(service), ..Owner::default() })
    }

    fn take_all(room: &mut Room, owner: Owner, width: usize) -> usize {
        while room.take(owner, width) {}
        room.of(owner)
    }

    #[test]
    fn one_gets_most_and_never_all() {
        let [a, b, c] = owners(["a", "b", "c"]);
        let mut room = Room::new(9_000);
        assert_eq!(take_all(&mut room, a, 1), 8_001);
        assert!(!room.is_open(a) && room.is_open(b));
        assert_eq!(take_all(&mut room, b, 1), 889);
        assert_eq!(take_all(&mut room, c, 1), 98);
        assert!(!room.is_open(a));
    }

    #[test]
    fn two_that_want_all_get_the_same() {
        let [a, b] = owners(["a", "b"]);
        let mut room = Room::new(17_000);
        while room.take(a, 4) | room.take(b, 4) {}
        assert_eq!([room.of(a), room.of(b)], [8_004, 8_000]);
    }

    #[test]
    fn there_is_never_more_than_allowed_and_what_does_not_fit_ends_it() {
        let [a, b, c] = owners(["a", "b", "c"]);
        let mut room = Room::new(10);
        assert!(room.take(a, 4) && room.take(b, 4));
        assert!(!room.take(c, 4));
        assert_eq!(room.taken(), 8);
        assert!([a, b, c].into_iter().all(|owner| !room.is_open(owner)));
        assert!(!room.take(c, 1));
    }
}
