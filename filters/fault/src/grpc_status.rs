//! gRPC statuses.

/// The names, by number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Parses the name or the number of a status.
pub fn parse(text: &str) -> Option<u8> {
    let number = NAMES.iter().position(|name| *name == text).or_else(|| text.parse().ok())?;
    u8::try_from(number).ok().filter(|_| number < NAMES.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_and_numbers_are_read() {
        for (text, status) in
            [("OK", Some(0)), ("UNAVAILABLE", Some(14)), ("14", Some(14)), ("16", Some(16)), ("17", None), ("ok", None)]
        {
            assert_eq!(parse(text), status, "{text}");
        }
    }
}
