//! Content types by a name's extension.

/// The media type of a file of this name, with its charset where text has one; `application/octet-stream`
/// when the extension is none of the listed. Cases of letters do not matter.
pub fn media_type(name: &str) -> &'static str {
    of_octets(name.as_bytes())
}

/// The same of octets that nobody has to look at as text.
pub(crate) fn of_octets(name: &[u8]) -> &'static str {
    let extension = match name
        .iter()
        .rposition(|b| matches!(b, b'.' | b'/'))
        .and_then(|place| name.split_at_checked(place))
    {
        Some((_, [b'.', extension @ ..])) => extension,
        _ => return DEFAULT,
    };
    let known = TYPES.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known.as_bytes()));
    known.map_or(DEFAULT, |(_, media)| media)
}

const DEFAULT: &str = "application/octet-stream";

/// The commonest first; names as registered with IANA.
static TYPES: [(&str, &str); 42] = [
    ("html", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("gif", "image/gif"),
    ("ico", "image/vnd.microsoft.icon"),
    ("woff2", "font/woff2"),
    ("woff", "font/woff"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    ("json", "application/json"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("txt", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("xml", "application/xml"),
    ("htm", "text/html; charset=utf-8"),
    ("xhtml", "application/xhtml+xml"),
    ("pdf", "application/pdf"),
    ("csv", "text/csv; charset=utf-8"),
    ("webmanifest", "application/manifest+json"),
    ("map", "application/json"),
    ("atom", "application/atom+xml"),
    ("rss", "application/rss+xml"),
    ("ics", "text/calendar; charset=utf-8"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("tar", "application/x-tar"),
    ("bmp", "image/bmp"),
];

#[cfg(test)]
mod tests {
    use super::media_type;

    #[test]
    fn by_extension() {
        for (name, media) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.c/PICTURE.PNG", "image/png"),
            ("a.html/b", "application/octet-stream"),
            ("", "application/octet-stream"),
            ("x.tar.gz", "application/gzip"),
            (".html", "text/html; charset=utf-8"),
            ("x.", "application/octet-stream"),
        ] {
            assert_eq!(media_type(name), media, "{name}");
        }
    }
}
