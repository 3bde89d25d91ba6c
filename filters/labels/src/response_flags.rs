//! Envoy's response flags with the flags of injected faults, and their text, as in Istio's label `response_flags`.
//!
//! No module can set Envoy's own flags. So fault injection writes the flags of a stream to filter state, and every reader
//! of the flags adds them. Reading filter state that does not exist costs a tenth of a read, and almost no stream has a
//! fault. So it is read only while a stream with a fault lives in the same VM, which is on the same worker: such a stream
//! holds a [`Mark`] until it ends. A plugin in a VM of its own must always read, so it keeps a mark.

use core::cell::Cell;
use core::fmt::Write;

use host::property;
use host::{Host, HostError};

/// Filter state with the injected faults of a stream: `DI`, `FI` or `DI,FI`.
pub const FAULT_FLAGS: &str = property::FAULT_FLAGS.0;

/// A delay was injected.
pub const DELAY: u64 = 1 << 9;
/// An abort was injected.
pub const FAULT: u64 = 1 << 10;

std::thread_local! {
    /// Number of marks in this VM.
    static MARKS: Cell<usize> = const { Cell::new(0) };
}

/// While a mark exists, the filter state of faults is read for every stream of this VM.
#[derive(Debug)]
pub struct Mark(());

impl Mark {
    /// Creates a mark.
    pub fn new() -> Self {
        MARKS.set(MARKS.get().saturating_add(1));
        Self(())
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        MARKS.set(MARKS.get().saturating_sub(1));
    }
}

/// Writes which of [`DELAY`] and [`FAULT`] were injected into the current stream. A [`Mark`] must live as long as the
/// stream.
pub fn tell_faults(host: &impl Host, flags: u64) -> Result<(), HostError> {
    host.set_filter_state(FAULT_FLAGS, text(flags).as_bytes())
}

/// The current stream's flags so far, as bits: Envoy's, and those of injected faults. At most two reads; one if no stream
/// has a fault.
pub fn of_stream(host: &impl Host) -> u64 {
    host.int(property::RESPONSE_FLAGS).unwrap_or(0).cast_unsigned() | faults(host)
}

/// Which of [`DELAY`] and [`FAULT`] fault injection has injected into the current stream.
pub fn faults(host: &impl Host) -> u64 {
    if MARKS.get() == 0 {
        return 0;
    }
    match host.property(property::FAULT_FLAGS).as_deref() {
        Some(b"DI") => DELAY,
        Some(b"FI") => FAULT,
        Some(b"DI,FI") => DELAY | FAULT,
        _ => 0,
    }
}

/// The short names of the flags, by bit, as in Envoy's access log.
const SHORT_NAMES: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH",
    "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO",
];

/// The names of the set bits in ascending order, joined by commas; `-` for none. If an unknown bit is set, the whole mask
/// is added in decimal, so that nothing is lost.
pub fn text(flags: u64) -> String {
    if flags == 0 {
        return "-".into();
    }
    let mut text = String::new();
    for (bit, name) in SHORT_NAMES.iter().enumerate() {
        if flags >> bit & 1 == 1 {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(name);
        }
    }
    if flags >> SHORT_NAMES.len() != 0 {
        let separator = if text.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{flags}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::fake::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn flags_are_named_in_ascending_order() {
        for (flags, expected) in [
            (0, "-"),
            (0x1, "LH"),
            (0x2, "UH"),
            (0x20, "UF"),
            (0x100, "NR"),
            (0x604, "UT,DI,FI"),
            (0x4000, "DC"),
            (0x8020, "UF,URX"),
            (0x4_0000, "DPE"),
            (0x80_0000, "UPE"),
            (0x100_0000, "NC"),
            (0x1000_0000, "DR"),
            (0x2000_0000, "UDO"),
        ] {
            assert_eq!(text(flags), expected, "{flags:#x}");
        }
    }

    #[test]
    fn faults_are_added_and_asked_for_only_where_there_are_any() {
        let mut host = FakeHost::new();
        host.with_int(property::RESPONSE_FLAGS, 0x4000);
        for (flags, expected) in [(DELAY, "DI,DC"), (FAULT, "FI,DC"), (DELAY | FAULT, "DI,FI,DC")] {
            tell_faults(&host, flags).expect("filter state");
            assert_eq!(text(of_stream(&host)), "DC");
            let mark = Mark::new();
            assert_eq!(text(of_stream(&host)), expected);
            let other = Mark::new();
            drop(mark);
            assert_eq!(text(of_stream(&host)), expected);
            drop(other);
        }
        host.take_calls();
        assert_eq!(of_stream(&host), 0x4000);
        assert_eq!(host.take_calls(), 1);
    }

    #[test]
    fn unknown_bits_are_kept_as_a_number() {
        assert_eq!(text(1 << 30), "1073741824");
        assert_eq!(text(1 << 40 | 1 << 18), "DPE,1099511889920");
    }
}
