//! The text of Envoy's response flags, as Istio writes it in the label `response_flags`.

use core::fmt::Write;

/// The short names of the flags, by bit. Envoy's access log uses the same.
const SHORT_NAMES: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH",
    "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO",
];

/// The names of the set bits in ascending order, joined by commas; `-` for none. A mask with bits beyond the known ones
/// is appended whole, in decimal, so that nothing is lost.
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
    fn unknown_bits_are_kept_as_a_number() {
        assert_eq!(text(1 << 30), "1073741824");
        assert_eq!(text(1 << 40 | 1 << 18), "DPE,1099511889920");
    }
}
