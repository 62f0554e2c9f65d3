//! A store's values served as files.
#[cfg(feature = "parts")]
mod parts;

use crate::{
    Error, Exchange, Handler, Writer,
    conditional::{Validators, Verdict, evaluate},
    wire::{
        ByteRange, Coding, CodingPreferences, EntityTag, Method, Methods, Output, Ranges, Status,
        decode_path, encode_path, media_type_of_octets,
    },
};
use airglow_device::{Entry, KeyValue};
use core::time::Duration;

/// Octets of a key with the ending of a variant; a longer path is 404. Each connection has room for one: without an allocator a small one.
const KEY: usize = if cfg!(feature = "alloc") { 256 } else { 128 };
/// The longest of what is added to a key: `/index.html.br`.
const LONGEST_ENDING: usize = 14;

/// Serves the values of a [`KeyValue`] under their keys: GET and HEAD, conditional requests, ranges,
/// precompressed
/// variants (`page.html.br`, `page.html.gz`), `index.html` for a folder, a redirect where a folder's slash
/// is missing.
#[derive(Clone, Copy, Debug)]
pub struct Files<K> {
    store: K,
    headers: &'static [(&'static str, &'static str)],
    prefix: &'static str,
}

/// Serves `store`, from its root on.
pub const fn files<K: KeyValue>(store: K) -> Files<K> {
    #[cfg(not(feature = "parts"))]
    const {
        assert!(K::LENDS, "files of a store that does not lend its values need the feature `parts`");
    }
    Files { store, headers: &[], prefix: "" }
}

impl<K: KeyValue> Files<K> {
    /// With these fields in every 200, 206 and 304 (`Cache-Control`, for example). Ones with a bad name or
    /// value are left out.
    pub const fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }
    /// Under a path of its own: with `/docs`, the key `a.html` is served as `/docs/a.html`; other paths are
    /// 404.
    pub const fn below(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }
}

const METHODS: Methods = Methods::READ.with(Method::Options);

/// What is answered, once the store has been asked.
enum Answer<'k> {
    /// A status said in a line of text.
    Message(Status, &'static str),
    /// A status with the methods that are allowed.
    Allow(Status, &'static str),
    /// To the folder with its slash, so that relative links on its page work.
    Redirect(&'k str),
    /// A representation of this length, as far as the request's conditions and ranges let it.
    Found(Chosen, u64),
}

const NOT_FOUND: Answer<'_> = Answer::Message(Status::NOT_FOUND, "Not Found\n");

impl<K: KeyValue> Handler for Files<K> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let mut key = Key { space: [0; KEY], length: 0 };
        let answer = match self.begin(exchange, &mut key) {
            Ok(asked) => {
                let found = self.find(&mut key, asked).await?;
                self.choose(exchange, &mut key, asked, &found)
            }
            Err(answer) => answer,
        };
        let (chosen, size) = match answer {
            Answer::Found(chosen, size) => (chosen, size),
            short => return say(exchange, self.prefix, short).await,
        };
        let value = Value { store: &self.store, key: key.text(key.length), size };
        let port = exchange.port;
        match self.respond(exchange, &value, &chosen)? {
            Content::Lent(content) => port.send_static(content).await,
            #[cfg(feature = "parts")]
            Content::Parts(writer) => parts::send(writer, &value, &chosen).await,
            #[cfg(not(feature = "parts"))]
            Content::Parts(_) => Err(Error::Store),
        }
    }
}

/// In the order in which they win when a client likes them equally and they have one size.
const CODINGS: [Coding; 3] = [Coding::Identity, Coding::Brotli, Coding::Gzip];

/// The representations that a store has of one resource, in the order of [`CODINGS`].
type Found = [Option<Entry>; 3];

/// The representation that was chosen.
struct Chosen {
    media: &'static str,
    coding: Coding,
    variants: bool,
    digest: Option<u64>,
    last_modified: Option<Duration>,
    verdict: Verdict,
}

impl Chosen {
    fn validators<'s>(&self, space: &'s mut [u8; 18]) -> Validators<'s> {
        Validators {
            tag: self.digest.map(|digest| EntityTag::from_digest(digest, space)),
            last_modified: self.last_modified,
        }
    }

    /// The ranges that were asked for; read from the request each time, which takes less room than to remember them.
    fn ranges(&self, exchange: &Exchange<'_>, size: u64) -> Ranges {
        let head = exchange.head();
        match self.verdict {
            //= https://www.rfc-editor.org/rfc/rfc9110#section-14.2
            //# A server MUST ignore a Range header field received with a request
            //# method that is unrecognized or for which range handling is not
            //# defined.
            Verdict::Proceed { range: true } if head.known.conditional && head.method == Method::Get => {
                head.field("Range").map_or(Ranges::Whole, |value| Ranges::parse(value, size))
            }
            _ => Ranges::Whole,
        }
    }
}

/// How an answer goes on behind its head.
enum Content<'e, 'x> {
    Lent(&'static [u8]),
    #[cfg_attr(not(feature = "parts"), allow(dead_code))]
    Parts(Writer<'e, 'x>),
}

impl<K: KeyValue> Files<K> {
    /// The value and its variants; where there is none of them, the page of a folder of that name.
    ///
    /// What lives while the store is asked is no part of a connection's memory later: hence functions of their own, here and in `parts`.
    async fn find(&self, key: &mut Key, asked: usize) -> Result<Found, Error> {
        let mut found = Found::default();
        loop {
            let plain = key.length;
            for (coding, place) in CODINGS.iter().zip(&mut found) {
                key.append(coding.suffix());
                *place = self.store.entry(key.text(key.length)).await.map_err(|_| Error::Store)?;
                key.truncate(plain);
            }
            if found.iter().any(Option::is_some) || key.length != asked {
                return Ok(found);
            }
            key.append("/index.html");
        }
    }

    /// The key that is asked for, and its length without a page's name; or an answer that needs no store.
    fn begin(&self, exchange: &Exchange<'_>, key: &mut Key) -> Result<usize, Answer<'static>> {
        let head = exchange.head();
        match head.method {
            Method::Get | Method::Head => {}
            Method::Options => return Err(Answer::Allow(Status::NO_CONTENT, "")),
            //= https://www.rfc-editor.org/rfc/rfc9110#section-9.1
            //# An origin server that receives a request method that is unrecognized
            //# or not implemented SHOULD respond with the 501 (Not Implemented)
            //# status code.
            Method::Other | Method::Connect => {
                return Err(Answer::Message(Status::NOT_IMPLEMENTED, "Not Implemented\n"));
            }
            _ => return Err(Answer::Allow(Status::METHOD_NOT_ALLOWED, "Method Not Allowed\n")),
        }
        let path = match head.path.strip_prefix(self.prefix) {
            Some(path) if path.starts_with('/') || self.prefix.is_empty() => path,
            Some("") => return Err(Answer::Redirect("")),
            _ => return Err(NOT_FOUND),
        };
        let room = key.space.get_mut(..KEY - LONGEST_ENDING).unwrap_or(&mut []);
        let length = match decode_path(path, room) {
            Ok(key) => key.len(),
            Err(crate::wire::BadPath::Encoding) => {
                return Err(Answer::Message(Status::BAD_REQUEST, "Bad Request\n"));
            }
            Err(_) => return Err(NOT_FOUND),
        };
        key.length = length;
        if matches!(key.octets(length), [] | [.., b'/']) {
            key.append("index.html");
        }
        Ok(length)
    }

    /// Which representation is sent, whose key `key` then is.
    fn choose<'k>(
        &self,
        exchange: &Exchange<'_>,
        key: &'k mut Key,
        asked: usize,
        found: &Found,
    ) -> Answer<'k> {
        let page_of_folder = key.octets(key.length).get(asked..) == Some(b"/index.html");
        if found.iter().all(Option::is_none) {
            return NOT_FOUND;
        }
        if page_of_folder {
            return Answer::Redirect(key.text(asked));
        }
        let head = exchange.head();
        // RFC 9110 section 12.5.3.
        let preferences = match head.known.accept_encoding {
            None => CodingPreferences::NONE,
            Some(_) if head.known.accept_encodings => {
                CodingPreferences::parse(head.fields.all("Accept-Encoding"))
            }
            Some(value) => CodingPreferences::parse([value].into_iter()),
        };
        let mut best: Option<(Coding, &Entry, u16)> = None;
        for (coding, entry) in CODINGS.into_iter().zip(found) {
            let (weight, Some(entry)) = (preferences.weight(coding), entry) else { continue };
            let better = best.is_none_or(|(_, smallest, other)| {
                weight > other || (weight == other && entry.size < smallest.size)
            });
            if weight > 0 && better {
                best = Some((coding, entry, weight));
            }
        }
        let Some((coding, entry, _)) = best else {
            //= https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
            //# If an Accept-Encoding header field is present in a request and none
            //# of the available responses have a content coding that is listed as
            //# acceptable, the origin server SHOULD send a response without any
            //# content coding unless the identity coding is indicated as
            //# unacceptable.
            return Answer::Message(Status::NOT_ACCEPTABLE, "Not Acceptable\n");
        };
        let now = exchange.unix_time();
        let mut chosen = Chosen {
            media: media_type_of_octets(key.octets(key.length)),
            coding,
            variants: matches!(found, [_, Some(_), _] | [_, _, Some(_)]),
            digest: entry.digest,
            //= https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.1
            //# An origin server with a clock (as defined in Section 5.6.7) MUST NOT
            //# generate a Last-Modified date that is later than the server's time of
            //# message origination (Date, Section 6.6.1).
            last_modified: entry.last_modified.map(|time| now.map_or(time, |now| time.min(now))),
            verdict: Verdict::NotModified,
        };
        chosen.verdict = evaluate(head, &chosen.validators(&mut [0; 18]), now);
        key.append(coding.suffix());
        if let Verdict::PreconditionFailed = chosen.verdict {
            return Answer::Message(Status::PRECONDITION_FAILED, "Precondition Failed\n");
        }
        Answer::Found(chosen, entry.size)
    }

    /// Writes the answer's head and settles how its content is sent.
    fn respond<'e, 'x>(
        &self,
        exchange: &'e mut Exchange<'x>,
        value: &Value<'_, K>,
        chosen: &Chosen,
    ) -> Result<Content<'e, 'x>, Error> {
        let size = value.size;
        let ranges = chosen.ranges(exchange, size);
        let status = match (chosen.verdict, &ranges) {
            (Verdict::NotModified, _) => Status::NOT_MODIFIED,
            (_, Ranges::Whole) => Status::OK,
            (_, Ranges::Unsatisfiable) => Status::RANGE_NOT_SATISFIABLE,
            (_, Ranges::Selected(_)) => Status::PARTIAL_CONTENT,
        };
        let mut space = [0; 18];
        let about = About { chosen, validators: chosen.validators(&mut space), headers: self.headers };
        let only = ranges.get(0, size).filter(|_| !ranges.several());
        let response = exchange.respond(status).fields(&mut |out| match (status, only) {
            (Status::NOT_MODIFIED, _) => about.put_validators(out),
            (Status::RANGE_NOT_SATISFIABLE, _) => {
                out.put(b"Content-Range: bytes */");
                out.put_decimal(size);
                out.put(b"\r\n");
            }
            (_, Some(only)) => {
                about.put_all(out, true);
                if status == Status::PARTIAL_CONTENT {
                    put_content_range(out, &only, size);
                }
            }
            _ => {
                #[cfg(feature = "parts")]
                parts::put_type(out, chosen);
                about.put_all(out, false);
            }
        });
        if matches!(status, Status::NOT_MODIFIED | Status::RANGE_NOT_SATISFIABLE) {
            return response.lent(b"").map(Content::Lent);
        }
        #[cfg(feature = "parts")]
        let Some(only) = only else {
            return response.writer(Some(parts::length(&ranges, chosen, size))).map(Content::Parts);
        };
        #[cfg(not(feature = "parts"))]
        let Some(only) = only else { return Err(Error::Store) };
        match value.lend().and_then(|content| part(content, &only)) {
            Some(content) => response.lent(content).map(Content::Lent),
            #[cfg(feature = "parts")]
            None => response.writer(Some(only.len())).map(Content::Parts),
            #[cfg(not(feature = "parts"))]
            None => Err(Error::Store),
        }
    }
}

/// An answer without a representation.
async fn say(exchange: &mut Exchange<'_>, prefix: &str, answer: Answer<'_>) -> Result<(), Error> {
    let (status, text) = match answer {
        Answer::Message(status, text) | Answer::Allow(status, text) => (status, text),
        Answer::Redirect(_) => (Status::MOVED_PERMANENTLY, ""),
        // Sent elsewhere.
        Answer::Found(..) => return Err(Error::Store),
    };
    let query = exchange.head().query;
    let response = exchange.respond(status).fields(&mut |out| {
        match &answer {
            Answer::Allow(..) => put_allow(out, METHODS),
            Answer::Redirect(folder) => {
                out.put(b"Location: ");
                out.put(prefix.as_bytes());
                // The key never begins with a slash: "//host" would be another site.
                out.put(b"/");
                if !folder.is_empty() {
                    encode_path(folder, out);
                    out.put(b"/");
                }
                // A query is visible ASCII, or the request would have been refused.
                if let Some(query) = query {
                    out.put(b"?");
                    out.put(query.as_bytes());
                }
                out.put(b"\r\n");
            }
            _ => {}
        }
        if !text.is_empty() {
            out.put_field("Content-Type", b"text/plain; charset=utf-8");
        }
    });
    let rest = response.lent(text.as_bytes())?;
    exchange.port.send_static(rest).await
}

/// A value of the store that is to be sent.
struct Value<'a, K> {
    store: &'a K,
    key: &'a str,
    size: u64,
}

fn part(content: &'static [u8], range: &ByteRange) -> Option<&'static [u8]> {
    content.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

impl<K: KeyValue> Value<'_, K> {
    fn lend(&self) -> Option<&'static [u8]> {
        self.store.lend(self.key).filter(|content| content.len() as u64 == self.size)
    }
}

fn put_content_range(out: &mut Output<'_>, range: &ByteRange, size: u64) {
    out.put(b"Content-Range: bytes ");
    out.put_decimal(range.start);
    out.put(b"-");
    out.put_decimal(range.end.saturating_sub(1));
    out.put(b"/");
    out.put_decimal(size);
    out.put(b"\r\n");
}

/// What the fields of an answer tell about the selected representation.
struct About<'a> {
    chosen: &'a Chosen,
    validators: Validators<'a>,
    headers: &'static [(&'static str, &'static str)],
}

impl About<'_> {
    /// What a 304 carries, too (RFC 9110 section 15.4.5).
    fn put_validators(&self, out: &mut Output<'_>) {
        if let Some(tag) = &self.validators.tag {
            out.put(b"ETag: \"");
            out.put(tag.opaque);
            out.put(b"\"\r\n");
        }
        if let Some(time) = self.validators.last_modified.filter(|_| cfg!(feature = "dates")) {
            out.put_date_field("Last-Modified", time);
        }
        // Caches must know even from the plain representation that there are others.
        if self.chosen.variants {
            out.put(b"Vary: Accept-Encoding\r\n");
        }
        for (name, value) in self.headers {
            let _left_out = out.put_checked_field(name, value.as_bytes());
        }
    }

    fn put_all(&self, out: &mut Output<'_>, media: bool) {
        if media {
            out.put_field("Content-Type", self.chosen.media.as_bytes());
        }
        if let Some(coding) = self.chosen.coding.name() {
            out.put_field("Content-Encoding", coding.as_bytes());
        }
        out.put(b"Accept-Ranges: bytes\r\n");
        self.put_validators(out);
    }
}

/// A key that is being put together.
struct Key {
    space: [u8; KEY],
    length: usize,
}

impl Key {
    /// The first `length` octets; whole characters by the way keys are made.
    fn text(&self, length: usize) -> &str {
        core::str::from_utf8(self.octets(length)).unwrap_or("")
    }
    /// The same where nobody needs to know that these are whole characters, which takes a look at each.
    fn octets(&self, length: usize) -> &[u8] {
        self.space.get(..length).unwrap_or(&[])
    }
    fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
    fn append(&mut self, text: &str) {
        if let Some(place) = self.space.get_mut(self.length..self.length + text.len()) {
            place.copy_from_slice(text.as_bytes());
            self.length += text.len();
        }
    }
}

/// A status said in a line of text.
pub(crate) async fn message(exchange: &mut Exchange<'_>, status: Status) -> Result<(), Error> {
    let reason = status.reason();
    let mut space = [0; 64];
    let mut text = Output::new(&mut space);
    text.put(reason.as_bytes());
    text.put(b"\n");
    exchange.respond(status).content_type("text/plain; charset=utf-8").send(text.bytes()).await
}

//= https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6
//# The origin server MUST generate an Allow header field in a
//# 405 response containing a list of the target resource's currently
//# supported methods.
/// A status with the methods that are allowed.
pub(crate) async fn allow(
    exchange: &mut Exchange<'_>,
    status: Status,
    methods: Methods,
) -> Result<(), Error> {
    let reason = if status.is_bodyless() { "" } else { "Method Not Allowed\n" };
    let response = exchange.respond(status).fields(&mut |out| put_allow(out, methods));
    let response =
        if reason.is_empty() { response } else { response.content_type("text/plain; charset=utf-8") };
    response.send(reason.as_bytes()).await
}

fn put_allow(out: &mut Output<'_>, methods: Methods) {
    let mut before = "Allow: ";
    for method in methods.iter() {
        out.put(before.as_bytes());
        out.put(method.name().as_bytes());
        before = ", ";
    }
    if before == ", " {
        out.put(b"\r\n");
    }
}
