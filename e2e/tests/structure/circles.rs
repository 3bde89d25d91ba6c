//! Finds circles among files.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::Arrows;

/// The circles, with the names that their files use from each other.
pub fn of(arrows: &Arrows) -> Vec<String> {
    let mut reached = BTreeMap::new();
    for from in arrows.keys() {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(file) = next.pop() {
            next.extend(arrows.get(file).into_iter().flat_map(BTreeMap::keys).filter(|to| seen.insert(*to)));
        }
        reached.insert(from, seen);
    }
    let mut circles = BTreeSet::new();
    for (from, all) in &reached {
        let circle: BTreeSet<_> =
            all.iter().filter(|to| reached.get(*to).is_some_and(|back| back.contains(from))).collect();
        let mut text = format!("{} files import each other:\n", circle.len());
        for file in &circle {
            for (to, names) in arrows[**file].iter().filter(|(to, _)| circle.contains(to)) {
                text += &format!("  {file} takes from {to}: {}\n", Vec::from_iter(names.clone()).join(", "));
            }
        }
        if !circle.is_empty() {
            circles.insert(text);
        }
    }
    circles.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules;

    /// The circles of a crate with these files.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let source = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
        of(&modules::arrows("src/lib.rs", &source))
    }

    #[test]
    fn a_circle_is_told_with_its_files_and_names() {
        let root = ("src/lib.rs", "pub mod a; mod b; pub use b::Made; mod c { pub use crate::a::A as B; }");
        let a = ("src/a.rs", "mod inner; use std::{fmt, io::{self, Write}}; pub struct A; fn f(a: inner::I) { a }");
        let b = ("src/b.rs", "pub struct Made;");
        assert_eq!(
            circles(&[root, a, b, ("src/a/inner.rs", "pub struct I; fn f() -> crate::Made { crate::Made }")]),
            [""; 0]
        );
        for (inner, told) in [
            ("use super::{A, Other,};", "A, Other"),
            ("use crate::{a::{self as above, A}, Made,};", "A, a"),
            ("fn f() { let x = vec![super::A::new()]; }", "A"),
            ("fn f() { g::<crate::a::A>(1); }", "A"),
            ("use super::super::c::B;", "A"),
            ("use super::*;", "*"),
            ("mod deep { use super::super::f; }", "f"),
        ] {
            let found = circles(&[root, a, b, ("src/a/inner.rs", inner)]);
            let lines =
                format!("  src/a.rs takes from src/a/inner.rs: I\n  src/a/inner.rs takes from src/a.rs: {told}\n");
            assert_eq!(found, [format!("2 files import each other:\n{lines}")], "{inner}");
        }
    }

    #[test]
    fn a_circle_may_be_long_and_lead_through_the_root() {
        let files = [
            ("src/lib.rs", "mod a; mod b; pub struct Root; fn f() { a::f() }"),
            ("src/a/mod.rs", "use crate::b; pub fn f() { b::f() }"),
            ("src/b.rs", "pub fn f() { let _ = crate::Root; }"),
        ];
        let [circle] = circles(&files).try_into().unwrap();
        assert!(
            circle.starts_with("3 files import each other:\n  src/a/mod.rs takes from src/b.rs: b, f\n"),
            "{circle}"
        );
    }

    #[test]
    fn what_tests_and_texts_name_makes_no_circle() {
        let a = "// use crate::b::B;\nconst B: &str = \"crate::b::B\"; #[cfg(test)] use crate::b::{B}; #[cfg(test)] mod tests { use crate::b::B; }";
        let visible = "pub(in crate::a) struct B; use crate::a::A; use other::crate_; use ::crate_2::a::A as C; mod crate_2 { pub use crate::a; } fn f() { other::a::A }";
        assert_eq!(circles(&[("src/lib.rs", "mod a; mod b;"), ("src/a.rs", a), ("src/b.rs", visible)]), [""; 0]);
    }
}
