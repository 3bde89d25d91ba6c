//! The tokens of a source file, as words.

use proc_macro2::{Spacing, TokenStream, TokenTree};

/// Whether a word is a name, or the beginning of a path.
pub fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Length of the first group in words; 1 without a bracket.
pub fn length(words: &[&str]) -> usize {
    let mut depth = 0;
    let end = words.iter().position(|word| {
        depth += i32::from(["{", "(", "["].contains(word)) - i32::from(["}", ")", "]"].contains(word));
        depth <= 0
    });
    end.map_or(words.len(), |end| end + 1)
}

/// The words after an attribute's item: after its `;`, or after its braces, unless the braces belong to a `use`.
pub fn after_item<'w>(mut words: &'w [&'w str]) -> &'w [&'w str] {
    let mut is_use = false;
    while let [word, ..] = words {
        is_use |= *word == "use";
        words = &words[length(words)..];
        if *word == ";" || *word == "{" && !is_use {
            break;
        }
    }
    words
}

/// Names, literals, signs and brackets in sequence; `::` is one word.
pub fn flatten(tokens: TokenStream, words: &mut Vec<String>) {
    let mut is_colon = false;
    for token in tokens {
        let was_colon = std::mem::take(&mut is_colon);
        match token {
            TokenTree::Group(group) => {
                let text = group.to_string();
                words.push(text.chars().take(1).collect());
                flatten(group.stream(), words);
                words.push(text.chars().last().into_iter().collect());
            }
            TokenTree::Punct(sign) if sign.as_char() == ':' && was_colon => words.push("::".into()),
            TokenTree::Punct(sign) if sign.as_char() == ':' && sign.spacing() == Spacing::Joint => is_colon = true,
            other => words.push(other.to_string()),
        }
    }
}
