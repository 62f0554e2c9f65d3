//! A store's values served as files.
use crate::{
    Error, Exchange, Handler,
    conditional::{Validators, Verdict, evaluate},
    wire::{
        ByteRange, Coding, CodingPreferences, EntityTag, Method, Methods, Output, Ranges, SelectedRanges,
        Status, decode_path, encode_path, media_type,
    },
};
use airglow_device::{Entry, KeyValue};

/// Octets of a key with the ending of a variant; a longer path is 404.
const KEY: usize = 256;
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

impl<K: KeyValue> Handler for Files<K> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let head = *exchange.head();
        match head.method {
            Method::Get | Method::Head => {}
            Method::Options => return allow(exchange, Status::NO_CONTENT, METHODS).await,
            //= https://www.rfc-editor.org/rfc/rfc9110#section-9.1
            //# An origin server that receives a request method that is unrecognized
            //# or not implemented SHOULD respond with the 501 (Not Implemented)
            //# status code.
            Method::Other | Method::Connect => return message(exchange, Status::NOT_IMPLEMENTED).await,
            _ => return allow(exchange, Status::METHOD_NOT_ALLOWED, METHODS).await,
        }
        let mut key = Key { space: [0; KEY], length: 0 };
        let path = match head.path.strip_prefix(self.prefix) {
            Some(path) if path.starts_with('/') || self.prefix.is_empty() => path,
            Some("") => return self.redirect(exchange, "").await,
            _ => return message(exchange, Status::NOT_FOUND).await,
        };
        let room = key.space.get_mut(..KEY - LONGEST_ENDING).unwrap_or(&mut []);
        let length = match decode_path(path, room) {
            Ok(key) => key.len(),
            Err(crate::wire::BadPath::Encoding) => return message(exchange, Status::BAD_REQUEST).await,
            Err(_) => return message(exchange, Status::NOT_FOUND).await,
        };
        key.length = length;
        if key.text(length).is_empty() || key.text(length).ends_with('/') {
            key.append("index.html");
        }
        let plain_length = key.length;
        if let Some(found) = self.find(&mut key).await? {
            return self.answer(exchange, &mut key, found).await;
        }
        if plain_length == length {
            key.append("/index.html");
            if self.find(&mut key).await?.is_some() {
                return self.redirect(exchange, key.text(length)).await;
            }
        }
        message(exchange, Status::NOT_FOUND).await
    }
}

/// The representations that a store has of one resource.
struct Found {
    plain: Option<Entry>,
    brotli: Option<Entry>,
    gzip: Option<Entry>,
}

impl<K: KeyValue> Files<K> {
    /// Looks for the value of `key` and its variants; `None` when there is none of them.
    async fn find(&self, key: &mut Key) -> Result<Option<Found>, Error> {
        let plain_length = key.length;
        let mut entries = [None; 3];
        for (coding, entry) in [Coding::Identity, Coding::Brotli, Coding::Gzip].iter().zip(&mut entries) {
            key.append(coding.suffix());
            *entry = self.store.entry(key.text(key.length)).await.map_err(|_| Error::Store)?;
            key.truncate(plain_length);
        }
        let [plain, brotli, gzip] = entries;
        let any = plain.is_some() || brotli.is_some() || gzip.is_some();
        Ok(any.then_some(Found { plain, brotli, gzip }))
    }

    /// To the folder with its slash, so that relative links on its page work.
    async fn redirect(&self, exchange: &mut Exchange<'_>, folder: &str) -> Result<(), Error> {
        let query = exchange.head().query;
        let response = exchange.respond(Status::MOVED_PERMANENTLY).fields(|out| {
            out.put(b"Location: ");
            out.put(self.prefix.as_bytes());
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
        });
        response.empty().await
    }

    async fn answer(&self, exchange: &mut Exchange<'_>, key: &mut Key, found: Found) -> Result<(), Error> {
        let head = *exchange.head();
        let media = media_type(key.text(key.length));
        // 1. Which representation (RFC 9110 section 12.5.3).
        let preferences = match head.known.accept_encoding {
            None => CodingPreferences::NONE,
            Some(_) if head.known.accept_encodings => {
                CodingPreferences::parse(head.fields.all("Accept-Encoding"))
            }
            Some(value) => CodingPreferences::parse([value].into_iter()),
        };
        let candidates =
            [(Coding::Identity, found.plain), (Coding::Brotli, found.brotli), (Coding::Gzip, found.gzip)];
        let mut best: Option<(Coding, Entry)> = None;
        for (coding, entry) in candidates {
            let (weight, Some(entry)) = (preferences.weight(coding), entry) else { continue };
            let better = best.is_none_or(|(other, smallest)| {
                let other = preferences.weight(other);
                weight > other || (weight == other && entry.size < smallest.size)
            });
            if weight > 0 && better {
                best = Some((coding, entry));
            }
        }
        let variants = found.brotli.is_some() || found.gzip.is_some();
        let Some((coding, entry)) = best else {
            //= https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
            //# If an Accept-Encoding header field is present in a request and none
            //# of the available responses have a content coding that is listed as
            //# acceptable, the origin server SHOULD send a response without any
            //# content coding unless the identity coding is indicated as
            //# unacceptable.
            return message(exchange, Status::NOT_ACCEPTABLE).await;
        };
        key.append(coding.suffix());
        // 2. Its validators, and the preconditions.
        let now = exchange.unix_time();
        let mut space = [0; 18];
        let validators = Validators {
            tag: entry.digest.map(|digest| EntityTag::from_digest(digest, &mut space)),
            //= https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.1
            //# An origin server with a clock (as defined in Section 5.6.7) MUST NOT
            //# generate a Last-Modified date that is later than the server's time of
            //# message origination (Date, Section 6.6.1).
            last_modified: entry.last_modified.map(|time| now.map_or(time, |now| time.min(now))),
        };
        let about = About { media, coding, variants, validators, headers: self.headers };
        let ranges = match evaluate(&head, &validators, now) {
            Verdict::PreconditionFailed => return message(exchange, Status::PRECONDITION_FAILED).await,
            Verdict::NotModified => {
                return exchange
                    .respond(Status::NOT_MODIFIED)
                    .fields(|out| about.put_validators(out))
                    .empty()
                    .await;
            }
            //= https://www.rfc-editor.org/rfc/rfc9110#section-14.2
            //# A server MUST ignore a Range header field received with a request
            //# method that is unrecognized or for which range handling is not
            //# defined.
            Verdict::Proceed { range: true } if head.known.conditional && head.method == Method::Get => {
                head.field("Range").map_or(Ranges::Whole, |value| Ranges::parse(value, entry.size))
            }
            Verdict::Proceed { .. } => Ranges::Whole,
        };
        let value = Value { store: &self.store, key: key.text(key.length), size: entry.size };
        // 3. The answer.
        match ranges {
            Ranges::Whole => {
                let response = exchange.respond(Status::OK).fields(|out| about.put_all(out, true));
                match value.lend() {
                    Some(content) => response.send_static(content).await,
                    None => {
                        let writer = response.sized(entry.size).await?;
                        value.send(writer, head.method, ByteRange { start: 0, end: entry.size }).await
                    }
                }
            }
            Ranges::Unsatisfiable => {
                let response = exchange.respond(Status::RANGE_NOT_SATISFIABLE).fields(|out| {
                    out.put(b"Content-Range: bytes */");
                    out.put_decimal(entry.size);
                    out.put(b"\r\n");
                });
                response.empty().await
            }
            Ranges::Selected(selected) => match selected.as_slice() {
                [only] => {
                    let response = exchange.respond(Status::PARTIAL_CONTENT).fields(|out| {
                        about.put_all(out, true);
                        put_content_range(out, only, entry.size);
                    });
                    match value.lend().and_then(|content| part(content, only)) {
                        Some(content) => response.send_static(content).await,
                        None => value.send(response.sized(only.len()).await?, head.method, *only).await,
                    }
                }
                _ => value.send_multipart(exchange, &about, &selected).await,
            },
        }
    }
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

    async fn send(
        &self,
        mut writer: crate::Writer<'_, '_>,
        method: Method,
        range: ByteRange,
    ) -> Result<(), Error> {
        if method != Method::Head {
            writer.fill_from(self.store, self.key, range.start, range.len()).await?;
        }
        writer.finish().await
    }

    /// RFC 9110 section 14.6: each part with its own head, in one message of known length.
    async fn send_multipart(
        &self,
        exchange: &mut Exchange<'_>,
        about: &About<'_>,
        selected: &SelectedRanges,
    ) -> Result<(), Error> {
        // The boundary must not occur in the content. A static one that an author could put there would only
        // harm the readers of their own file; the tag makes even that unlikely.
        let tag = about.validators.tag.map_or(&b"0000000000000000"[..], |tag| tag.opaque);
        let mut space = [0; 64];
        let mut boundary = Output::new(&mut space);
        boundary.put(b"airglow-part-");
        boundary.put(tag);
        let boundary = boundary.bytes();
        let mut scratch = [0; 320];
        let mut length = 0;
        for range in selected.as_slice() {
            length +=
                part_head(&mut scratch, boundary, about.media, range, self.size).len() as u64 + range.len();
        }
        length += boundary.len() as u64 + 8;
        let response = exchange.respond(Status::PARTIAL_CONTENT).fields(|out| {
            out.put(b"Content-Type: multipart/byteranges; boundary=");
            out.put(boundary);
            out.put(b"\r\n");
            about.put_all(out, false);
        });
        let mut writer = response.sized(length).await?;
        for range in selected.as_slice() {
            let head = part_head(&mut scratch, boundary, about.media, range, self.size);
            writer.write(head).await?;
            match self.lend().and_then(|content| part(content, range)) {
                Some(content) => writer.write_static(content).await?,
                None => writer.fill_from(self.store, self.key, range.start, range.len()).await?,
            }
        }
        for piece in [&b"\r\n--"[..], boundary, b"--\r\n"] {
            writer.write(piece).await?;
        }
        writer.finish().await
    }
}

fn part_head<'s>(
    space: &'s mut [u8; 320],
    boundary: &[u8],
    media: &str,
    range: &ByteRange,
    size: u64,
) -> &'s [u8] {
    let mut out = Output::new(space);
    out.put(b"\r\n--");
    out.put(boundary);
    out.put(b"\r\n");
    out.put_field("Content-Type", media.as_bytes());
    put_content_range(&mut out, range, size);
    out.put(b"\r\n");
    let len = out.len();
    space.get(..len).unwrap_or(&[])
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
    media: &'static str,
    coding: Coding,
    variants: bool,
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
        if let Some(time) = self.validators.last_modified {
            out.put_date_field("Last-Modified", time);
        }
        // Caches must know even from the plain representation that there are others.
        if self.variants {
            out.put(b"Vary: Accept-Encoding\r\n");
        }
        for (name, value) in self.headers {
            let _left_out = out.put_checked_field(name, value.as_bytes());
        }
    }

    fn put_all(&self, out: &mut Output<'_>, media: bool) {
        if media {
            out.put_field("Content-Type", self.media.as_bytes());
        }
        if let Some(coding) = self.coding.name() {
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
        self.space.get(..length).and_then(|octets| core::str::from_utf8(octets).ok()).unwrap_or("")
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
    let mut space = [0; 96];
    let mut list = Output::new(&mut space);
    for method in methods.iter() {
        if !list.is_empty() {
            list.put(b", ");
        }
        list.put(method.name().as_bytes());
    }
    let reason = if status.is_bodyless() { "" } else { "Method Not Allowed\n" };
    let response = exchange.respond(status).header("Allow", list.bytes());
    let response =
        if reason.is_empty() { response } else { response.content_type("text/plain; charset=utf-8") };
    response.send(reason.as_bytes()).await
}
