//! What was probably meant, where a reader only says what is allowed.

use envoy_filter::names::nearest;

/// What readers say of a value that is not one of several texts.
const ALLOWED: &str = " is not allowed, must be \"";

/// The message, and the allowed text that is most similar, if one is close. Of fields, readers say it themselves.
pub(crate) fn with_near_miss(message: String) -> String {
    match near(&message) {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message,
    }
}

fn near(message: &str) -> Option<&str> {
    let (value, allowed) = message.rsplit_once(ALLOWED)?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    nearest(value, &allowed.strip_suffix('"')?.split("\" or \"").collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use crate::readers::Reader;

    fn told(reader: Reader, json: &str) -> String {
        super::with_near_miss(reader.problems("", "", json.as_bytes()).remove(0).message)
    }

    #[test]
    fn names_and_values_that_are_close_are_proposed() {
        for (reader, json, end) in [
            (Reader::Fault, r#"{"http": [{"fault": {"abrot": {}}}]}"#, "known are abort, delay; did you mean `abort`?"),
            (Reader::Stats, r#"{"maxSerie": 1}"#, "; did you mean `max_series`?"),
            (Reader::AccessLog, r#"{"policy": {"log": "ERORS"}}"#, "; did you mean `ERRORS`?"),
            (Reader::AccessLog, r#"{"format": "text"}"#, "; did you mean `TEXT`?"),
        ] {
            let told = told(reader, json);
            assert!(told.ends_with(end), "{told}");
        }
    }

    #[test]
    fn what_is_close_to_nothing_gets_no_proposal() {
        for (reader, json) in [
            (Reader::Fault, r#"{"xyz": "), known are xyy"}"#),
            (Reader::AccessLog, r#"{"policy": {"log": "SOMETIMES"}}"#),
            (Reader::AccessLog, r#"{"policy": {"log": 1}}"#),
            (Reader::Stats, r#"{"max_series": 0}"#),
        ] {
            let told = told(reader, json);
            assert!(!told.contains("did you mean"), "{told}");
        }
    }
}
