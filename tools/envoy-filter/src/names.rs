//! Spelling: camelCase and snake_case, and the known name that is most similar to a mistyped one.

/// `statsTags` becomes `stats_tags`; a name in snake_case is unchanged.
pub fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
            out.push(letter.to_ascii_lowercase());
        } else {
            out.push(letter);
        }
    }
    out
}

/// `stats_tags` becomes `statsTags`; a name in camelCase is unchanged.
pub fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        if letter == '_' && !out.is_empty() {
            upper = true;
        } else if upper {
            out.push(letter.to_ascii_uppercase());
            upper = false;
        } else {
            out.push(letter);
        }
    }
    out
}

/// The known name that was probably meant, if one is similar enough.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let wanted = name.to_ascii_lowercase();
    let allowance = (name.len() / 3).max(1);
    known
        .iter()
        .map(|candidate| (distance(&wanted, &candidate.to_ascii_lowercase()), *candidate))
        .filter(|(edits, _)| *edits <= allowance)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// The end of a message about an unknown name.
pub fn hint(name: &str, known: &[&str]) -> String {
    let allowed = known.join(", ");
    match nearest(name, known) {
        Some(meant) => format!("did you mean `{meant}`? allowed: {allowed}"),
        None => format!("allowed: {allowed}"),
    }
}

/// Levenshtein's distance: the number of letters to change. Two that are exchanged are one change.
pub fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let (mut above, mut previous) = (Vec::new(), None);
    for (index, letter) in left.chars().enumerate() {
        let mut next = vec![index + 1];
        for (column, other) in right.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut least = (at(&row, column) + usize::from(letter != *other))
                .min(at(&row, column + 1) + 1)
                .min(at(&next, column) + 1);
            let before = column.checked_sub(1).and_then(|before| Some((before, right.get(before)?)));
            if let Some((before, exchanged)) = before {
                if *exchanged == letter && previous == Some(*other) {
                    least = least.min(at(&above, before) + 1);
                }
            }
            next.push(least);
        }
        above = std::mem::replace(&mut row, next);
        previous = Some(letter);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_convert_into_each_other() {
        for (camel_case, snake_case) in [
            ("statsTags", "stats_tags"),
            ("http2ProtocolOptions", "http2_protocol_options"),
            ("name", "name"),
            ("@type", "@type"),
        ] {
            assert_eq!(snake(camel_case), snake_case);
            assert_eq!(camel(snake_case), camel_case);
        }
    }

    #[test]
    fn a_close_name_is_proposed_and_a_distant_one_is_not() {
        let known = ["HTTP_FILTER", "NETWORK_FILTER"];
        assert_eq!(nearest("HTP_FILTER", &known), Some("HTTP_FILTER"));
        assert_eq!(nearest("http_filter", &known), Some("HTTP_FILTER"));
        assert_eq!(nearest("SECRET", &known), None);
    }

    #[test]
    fn edit_distance_counts_single_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abrot", "abort"), 1);
        assert_eq!(distance("abc", "bca"), 2);
        assert_eq!(distance("same", "same"), 0);
    }
}
