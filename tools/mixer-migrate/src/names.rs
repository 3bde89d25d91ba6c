//! Finds the name that was probably meant.

use envoy_filter::names::distance;

/// The name in `known` that is most similar to `name`, if one is similar enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer names are not typing mistakes.
    const MAX: usize = 80;
    if name.len() > MAX {
        return None;
    }
    let limit = (name.len() / 3).max(1);
    let distances = known.into_iter().map(|other| (distance(name, other), other));
    distances.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_found() {
        let known = ["request.path", "request.method", "response.code"];
        assert_eq!(nearest("request.pathh", known), Some("request.path"));
        assert_eq!(nearest("responce.code", known), Some("response.code"));
        assert_eq!(nearest("something.else", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
