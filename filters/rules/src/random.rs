//! Numbers for percentages: random, or stable for a key.

use host::Host;

/// A generator of random numbers: xoshiro256++, by David Blackman and Sebastiano Vigna.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// A generator with this seed.
    pub fn new(seed: [u8; 16]) -> Self {
        let seed = u128::from_le_bytes(seed);
        // Each half goes through splitmix64, as the authors advise, so that no seed makes a poor state.
        let (mut low, mut high) = (seed as u64, (seed >> 64) as u64);
        Self { state: [splitmix(&mut low), splitmix(&mut high), splitmix(&mut low), splitmix(&mut high)] }
    }

    /// A generator with the host's randomness, which nobody can predict. If the host refuses randomness, the seed is time,
    /// `salt` and an address, which differ between workers.
    pub fn from_host(host: &impl Host, salt: u32) -> Self {
        Self::new(host.random().unwrap_or_else(|| {
            let nanoseconds = |time: Option<core::time::Duration>| time.unwrap_or_default().as_nanos();
            let time = nanoseconds(host.wall_time()) ^ nanoseconds(host.monotonic_time()) << 64;
            let place = core::ptr::from_ref(&salt) as usize as u128;
            (time ^ place << 32 ^ u128::from(salt) << 96).to_le_bytes()
        }))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let number = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        number
    }

    /// A number from 0 to `max`.
    pub fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(count) => self.draw().checked_rem(count).unwrap_or_default(),
            None => self.draw(),
        }
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// A number for `key`, always the same. Another `salt` gives unrelated numbers.
pub fn stable(salt: &str, key: impl IntoIterator<Item = u8>) -> u64 {
    // FNV-1a, then MurmurHash3's finalizer. Without it, the last bytes hardly change the lower bits.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in salt.bytes().chain([0]).chain(key) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

/// The part of a request id that is the same at every hop. Envoy stores in the omitted digit whether the request is traced.
pub fn request_id_key(id: &[u8]) -> impl Iterator<Item = u8> + '_ {
    id.iter().enumerate().filter(|(index, _)| *index != 14).map(|(_, byte)| *byte)
}

#[cfg(test)]
mod tests {
    use host::fake::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::percentage::Percentage;

    #[test]
    fn the_generator_is_the_published_one() {
        // From the reference implementation, with the state 1, 2, 3, 4.
        let mut random = Random { state: [1, 2, 3, 4] };
        let numbers = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!(numbers.map(|_| random.draw()), numbers);
    }

    #[test]
    fn seeds_come_from_the_host_and_differ_without_it() {
        let mut host = FakeHost::new();
        assert_ne!(Random::from_host(&host, 1).draw(), Random::from_host(&host, 2).draw());
        host.with_random(*b"0123456789abcdef");
        assert_eq!(Random::from_host(&host, 1).draw(), Random::from_host(&host, 2).draw());
        assert_eq!(Random::from_host(&host, 1).draw(), Random::new(*b"0123456789abcdef").draw());
    }

    /// Whether `hits` is within four standard deviations of its expected value.
    fn is_fair(hits: u32, draws: u32, share: f64) -> bool {
        let expected = f64::from(draws) * share;
        (f64::from(hits) - expected).abs() <= 4.0 * (expected * (1.0 - share)).sqrt()
    }

    #[test]
    fn shares_are_met() {
        let mut random = Random::new([7; 16]);
        for percent in ["0.01", "1", "33.3333", "50", "99.9"] {
            let percentage = Percentage::parse(percent).expect(percent);
            let hits = (0..200_000).filter(|_| percentage.has(|| random.draw())).count() as u32;
            assert!(is_fair(hits, 200_000, percent.parse::<f64>().expect("a number") / 100.0), "{percent}: {hits}");
        }
    }

    #[test]
    fn stable_numbers_meet_shares_and_differ_by_salt() {
        let half = Percentage::parse("50").expect("50");
        let (mut delays, mut both) = (0, 0);
        for user in 0..100_000 {
            let name = format!("user-{user}");
            let has = |salt| half.has(|| stable(salt, name.bytes()));
            assert_eq!(has("delay"), has("delay"));
            delays += u32::from(has("delay"));
            both += u32::from(has("delay") && has("abort"));
        }
        assert!(is_fair(delays, 100_000, 0.5), "{delays}");
        assert!(is_fair(both, 100_000, 0.25), "{both}");
    }

    #[test]
    fn a_request_id_is_the_same_however_it_is_traced() {
        let [untraced, traced, other] = [
            b"5a7f0a0c-5b1e-4f0e-8d0a-0123456789ab".as_slice(),
            b"5a7f0a0c-5b1e-9f0e-8d0a-0123456789ab",
            b"5a7f0a0c-5b1e-4f0e-8d0a-0123456789ac",
        ]
        .map(|id| stable("delay", request_id_key(id)));
        assert_eq!(untraced, traced);
        assert_ne!(untraced, other);
        assert_eq!(request_id_key(b"short").count(), 5);
    }
}
