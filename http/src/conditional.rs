//! Conditional requests, RFC 9110 section 13.
use crate::wire::{EntityTag, Method, RequestHead, matches_any, parse_date};
use core::time::Duration;

/// What the preconditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Carry out the method; `range` tells whether a `Range` field is to be heeded.
    Proceed {
        /// `If-Range` is absent or holds.
        range: bool,
    },
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// The validators of a selected representation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validators<'a> {
    /// The entity tag.
    pub tag: Option<EntityTag<'a>>,
    /// When it was last changed, since 1970-01-01T00:00:00Z.
    pub last_modified: Option<Duration>,
}

/// Evaluates the preconditions in the order of RFC 9110 section 13.2.2. `now` is the time of day, if known.
///
/// Only for requests that would succeed without them (section 13.2.1), and a representation that exists.
pub fn evaluate(head: &RequestHead<'_>, validators: &Validators<'_>, now: Option<Duration>) -> Verdict {
    if !head.known.conditional {
        return Verdict::Proceed { range: true };
    }
    // Dates go out in whole seconds, so that is how they come back.
    let modified = validators.last_modified.filter(|_| cfg!(feature = "dates")).map(|time| time.as_secs());
    let date = |name| {
        let value = head.field(name).filter(|_| cfg!(feature = "dates"));
        value.and_then(|value| parse_date(value, now)).map(|time| time.as_secs())
    };
    let tag = validators.tag.as_ref();
    let read = matches!(head.method, Method::Get | Method::Head);

    //= https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1
    //# An origin server MUST use the strong comparison function when
    //# comparing entity tags for If-Match (Section 8.8.3.2), since the client
    //# intends this precondition to prevent the method from being applied if
    //# there have been any changes to the representation data.
    if head.field("If-Match").is_some() {
        if !head.fields.all("If-Match").any(|value| matches_any(value, tag, true)) {
            return Verdict::PreconditionFailed;
        }
    } else if let Some((since, modified)) = date("If-Unmodified-Since").zip(modified)
        && modified > since
    {
        return Verdict::PreconditionFailed;
    }
    //= https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2
    //# A recipient MUST use the weak comparison function when comparing
    //# entity tags for If-None-Match (Section 8.8.3.2), since weak entity tags
    //# can be used for cache validation even if there have been changes to
    //# the representation data.
    if head.field("If-None-Match").is_some() {
        if head.fields.all("If-None-Match").any(|value| matches_any(value, tag, false)) {
            return if read { Verdict::NotModified } else { Verdict::PreconditionFailed };
        }
    } else if read {
        //= https://www.rfc-editor.org/rfc/rfc9110#section-13.1.3
        //# A recipient MUST ignore If-Modified-Since if the request contains an
        //# If-None-Match header field; the condition in If-None-Match is considered
        //# to be a more accurate replacement for the condition in If-Modified-
        //# Since, and the two are only combined for the sake of interoperating
        //# with older intermediaries that might not implement If-None-Match.
        if let Some((since, modified)) = date("If-Modified-Since").zip(modified)
            && modified <= since
        {
            return Verdict::NotModified;
        }
    }
    let range = match head.field("If-Range") {
        None => true,
        Some(value) => match EntityTag::parse(value) {
            Some(theirs) => tag.is_some_and(|ours| ours.strong_eq(&theirs)),
            // An exact match, and only of a date that is a strong validator (section 8.8.2.2): at least a
            // second old.
            None => date("If-Range")
                .zip(modified)
                .is_some_and(|(theirs, ours)| theirs == ours && now.is_some_and(|now| now.as_secs() > ours)),
        },
    };
    Verdict::Proceed { range }
}
