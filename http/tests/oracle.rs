//! Heads as `httparse` reads them.
use airglow_http::wire::{RequestHead, ResponseHead};
use proptest::prelude::*;

/// Names and values.
type Fields = Vec<(String, Vec<u8>)>;

/// What `httparse` makes of a request: `None` if it is not whole, `Err` if it is wrong.
fn theirs(input: &[u8]) -> Result<Option<(usize, String, String, Fields)>, ()> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(input) {
        Err(_) => Err(()),
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) => {
            let fields = request.headers.iter().map(|h| (h.name.to_owned(), h.value.to_vec())).collect();
            Ok(Some((length, request.method.unwrap().to_owned(), request.path.unwrap().to_owned(), fields)))
        }
    }
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let token = "[A-Za-z!#$%&'*+.^_`|~-]{1,12}";
    let value = "[ -~]{0,30}";
    (token, "/[a-z0-9/._~-]{0,30}(\\?[a-z=&]{0,9})?", prop::collection::vec((token, value), 0..12)).prop_map(
        |(method, target, fields)| {
            let mut text = format!("{method} {target} HTTP/1.1\r\nHost: example.org\r\n");
            for (name, value) in fields {
                text.push_str(&format!("X-{name}: {value}\r\n"));
            }
            text.push_str("\r\n");
            text.into_bytes()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn good_requests(input in request(), rest in "[ -~]{0,9}") {
        let mut bytes = input.clone();
        bytes.extend_from_slice(rest.as_bytes());
        let (length, method, target, fields) = theirs(&bytes).unwrap().unwrap();
        let (head, ours) = RequestHead::parse(&bytes, 100, 2_000).unwrap().unwrap();
        prop_assert_eq!(ours, length);
        prop_assert_eq!(head.method_token, method);
        let query = head.query.map(|query| format!("?{query}")).unwrap_or_default();
        prop_assert_eq!(format!("{}{query}", head.path), target);
        // It leaves white space at the end of a value, we do not.
        let trimmed: Fields = fields.into_iter().map(|(name, value)| (name, value.trim_ascii().to_vec())).collect();
        let found: Fields = head.fields().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
        prop_assert_eq!(found, trimmed);
        for cut in 0..input.len() {
            prop_assert!(RequestHead::parse(&input[..cut], 100, 2_000).unwrap().is_none(), "cut at {}", cut);
        }
    }

    /// What we take, it takes, and both find the same end. (It takes more: folded hosts, bare LF, missing
    /// Host.)
    #[test]
    fn changed_requests(input in request(), place: prop::sample::Index, byte: u8, insert: bool) {
        let mut bytes = input;
        let at = place.index(bytes.len());
        if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
        if let Ok(Some((_, length))) = RequestHead::parse(&bytes, 100, 2_000) {
            // It knows no HTTP/1.2; RFC 9110 section 2.5 has us read it as 1.1.
            let later = (b'2'..=b'9').any(|minor| {
                let line = [&b" HTTP/1."[..], &[minor], b"\r\n"].concat();
                bytes.windows(line.len()).any(|window| window == line)
            });
            prop_assume!(!later);
            let theirs = theirs(&bytes);
            prop_assert_eq!(theirs.map(|found| found.map(|found| found.0)), Ok(Some(length)));
        }
    }

    #[test]
    fn responses(code in 100u16..600, reason in "[A-Za-z ]{0,20}", fields in prop::collection::vec(("[a-z]{1,9}", "[ -~]{0,30}"), 0..9)) {
        let mut text = format!("HTTP/1.1 {code} {reason}\r\n");
        for (name, value) in &fields {
            text.push_str(&format!("x-{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut theirs = httparse::Response::new(&mut headers);
        let length = theirs.parse(text.as_bytes()).unwrap().unwrap();
        let (head, ours) = ResponseHead::parse(text.as_bytes(), 100).unwrap().unwrap();
        prop_assert_eq!((ours, head.status.code()), (length, theirs.code.unwrap()));
        prop_assert_eq!(head.fields.iter().count(), theirs.headers.len());
        for cut in 0..text.len() {
            prop_assert!(ResponseHead::parse(&text.as_bytes()[..cut], 100).unwrap().is_none(), "cut at {}", cut);
        }
    }

    #[test]
    fn any_octets(bytes: Vec<u8>) {
        let _ = RequestHead::parse(&bytes, 100, 2_000);
        let _ = ResponseHead::parse(&bytes, 100);
    }
}
