//! Which handler a request goes to.

/// What `path` has where `pattern` has `{name}`.
pub(crate) fn parameter<'p>(pattern: &str, path: &'p str, name: &str) -> Option<&'p str> {
    let mut rest = path;
    for part in pattern.split('/') {
        let (segment, tail) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(inner) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            if inner.strip_prefix("..") == Some(name) {
                return Some(rest);
            }
            if inner == name {
                return Some(segment);
            }
        }
        rest = tail;
    }
    None
}
