//! Paths of attributes.

/// An attribute's path as Envoy wants it: parts joined by NUL. Tests write dots, unless a part has dots of its own.
pub fn path_of(path: &str) -> String {
    if path.contains('\0') {
        path.into()
    } else {
        path.replace('.', "\0")
    }
}
