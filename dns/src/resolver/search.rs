//! The search list: which full names a short one may mean.
use crate::wire::NameBuf;
use alloc::vec::Vec;

/// The names to try for `text`, in order. One that ends with a dot is whole. Others are tried as they are first when they have
/// at least `ndots` dots, and last when they have fewer; between that each domain of `search` is added. Names that get too
/// long are left out.
pub fn candidates(text: &str, search: &[NameBuf], ndots: usize) -> Vec<NameBuf> {
    let whole: Option<NameBuf> = text.parse().ok();
    let mut names = Vec::new();
    if text.ends_with('.') {
        names.extend(whole);
        return names;
    }
    let first = text.bytes().filter(|byte| *byte == b'.').count() >= ndots;
    names.extend(whole.filter(|_| first));
    if let Some(whole) = whole {
        names
            .extend(search.iter().filter_map(|domain| NameBuf::join(whole.as_name(), domain.as_name()).ok()));
    }
    names.extend(whole.filter(|_| !first));
    names
}
