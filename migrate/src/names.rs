//! Spellings: of fields in protobuf's JSON form, and of what was probably meant.

/// The snake_case spelling of a field, by which all are compared.
pub fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// The one of `known` that `name` is most like, if it is alike at all.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer names are nobody's typing mistakes.
    const MAX: usize = 80;
    if name.len() > MAX {
        return None;
    }
    let limit = (name.len() / 3).max(1);
    let distances = known.into_iter().map(|other| (distance(name, other), other));
    distances.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

/// How many letters have to be changed.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        let mut next = vec![before];
        for (other, above) in right.iter().zip(row.iter().skip(1)) {
            let cost = (diagonal + usize::from(letter != *other)).min(before + 1).min(above + 1);
            (diagonal, before) = (*above, cost);
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_one_spelling() {
        for name in ["outputAsJson", "output_as_json"] {
            assert_eq!(snake(name), "output_as_json");
        }
    }

    #[test]
    fn what_is_alike_is_found() {
        let known = ["request.path", "request.method", "response.code"];
        assert_eq!(nearest("request.pathh", known), Some("request.path"));
        assert_eq!(nearest("responce.code", known), Some("response.code"));
        assert_eq!(nearest("something.else", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
