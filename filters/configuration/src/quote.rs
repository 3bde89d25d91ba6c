//! How messages quote what an operator wrote: on one line, and no more of it than it takes to recognise it.

use core::fmt::{self, Display};

/// A longer value is cut when it is quoted, after so many characters.
pub(super) const MAX_QUOTED: usize = 80;

/// A text in quotes, cut if it is long.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

/// A name as it is, cut if it is long.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'a>(pub &'a str);

impl Display for Quoted<'_> {
    #[inline(never)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        let cut = beginning(text);
        fmt::Debug::fmt(cut, f)?;
        f.write_str(ellipsis(text, cut))
    }
}

impl Display for Cut<'_> {
    #[inline(never)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        let cut = beginning(text);
        f.write_str(cut)?;
        f.write_str(ellipsis(text, cut))
    }
}

/// The beginning of a text that is long.
fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_QUOTED).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or(text)
}

/// What follows where a text was cut.
fn ellipsis(text: &str, cut: &str) -> &'static str {
    if cut.len() < text.len() {
        "…"
    } else {
        ""
    }
}

/// `parts` with `separator` between them. The library's own `join` is a function of 1 KB, once for each of two crates that do not
/// know each other.
#[inline(never)]
pub fn joined(parts: &[&str], separator: &str) -> String {
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { separator });
        text.push_str(part);
    }
    text
}
