//! The field that was probably meant.

/// The known name that is most like `name`, if one is like it: they differ in at most two letters in a row, or one is the beginning
/// or the end of the other. Case and `_` do not count. What Istio has given up is often a beginning, as `percent` is.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = letters(name);
    let mut nearest = None;
    for candidate in known {
        let other = letters(candidate);
        let begin = name.iter().zip(&other).take_while(|(one, two)| one == two).count();
        let rests = (name.iter().skip(begin).rev()).zip(other.iter().skip(begin).rev());
        let same = rests.take_while(|(one, two)| one == two).count().saturating_add(begin);
        let (more, less) = (name.len().saturating_sub(same), other.len().saturating_sub(same));
        let is_near = more.max(less) < same.min(3) || (more.min(less) == 0 && same > 3);
        let different = more.saturating_add(less);
        if is_near && nearest.is_none_or(|(least, _)| different < least) {
            nearest = Some((different, *candidate));
        }
    }
    nearest.map(|(_, candidate)| candidate)
}

fn letters(name: &str) -> Vec<u8> {
    name.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn what_was_meant_is_found_and_nothing_else() {
        let known = ["match", "max_series", "mirror", "mirrorPercentage", "mirrors", "name", "timeout", "uri"];
        for (name, meant) in [
            ("mirror_percent", Some("mirrorPercentage")),
            ("mirror_percentage", Some("mirrorPercentage")),
            ("percentage", Some("mirrorPercentage")),
            ("mirorPercentage", Some("mirrorPercentage")),
            ("Mirror", Some("mirror")),
            ("timeuot", Some("timeout")),
            ("maxSerie", Some("max_series")),
            ("matches", Some("match")),
            ("url", Some("uri")),
            ("nme", Some("name")),
            ("", None),
            ("m", None),
            ("max", None),
            ("route", None),
            ("time_in", None),
            ("rename_it", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
        assert_eq!(nearest("a", &[]), None);
        assert_eq!(nearest("abrot", &["abort", "delay"]), Some("abort"));
    }
}
