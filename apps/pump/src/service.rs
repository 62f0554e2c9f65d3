//! The HTTP service: a small page, as many bytes as one likes, and the digest of what one sends.
use crate::bytes;
use airglow_http::{Error, Exchange, Method, Status};
use core::fmt::Write as _;
use sha2::{Digest, Sha256};

/// 4 KiB that never change.
static PAGE: [u8; 4096] = [b'x'; 4096];

/// Answers `GET /page`, `GET /bytes/N` and `POST /sha256`.
pub async fn answer(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let head = *exchange.head();
    match (head.method, head.path) {
        (Method::Get | Method::Head, "/page") => {
            exchange.respond(Status::OK).content_type("text/plain").send_static(&PAGE).await
        }
        (Method::Get | Method::Head, path) => match path.strip_prefix("/bytes/").and_then(|n| n.parse().ok())
        {
            Some(length) => give(exchange, length).await,
            None => exchange.respond(Status::NOT_FOUND).empty().await,
        },
        (Method::Post, "/sha256") => digest(exchange).await,
        _ => exchange.respond(Status::NOT_FOUND).empty().await,
    }
}

async fn give(exchange: &mut Exchange<'_>, length: u64) -> Result<(), Error> {
    let response = exchange.respond(Status::OK).content_type("application/octet-stream");
    let mut writer = response.sized(length).await?;
    let mut buffer = [0; 4096];
    let mut at = 0;
    while at < length {
        let len = buffer.len().min(usize::try_from(length - at).unwrap_or(usize::MAX));
        let piece = buffer.get_mut(..len).unwrap_or(&mut []);
        bytes::fill(at, piece);
        writer.write(piece).await?;
        at += len as u64;
    }
    writer.finish().await
}

async fn digest(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let mut hash = Sha256::new();
    let mut buffer = [0; 4096];
    loop {
        match exchange.read(&mut buffer).await? {
            0 => break,
            n => hash.update(buffer.get(..n).unwrap_or(&[])),
        }
    }
    let mut text = Text::default();
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    let _ = text.write_str("\n");
    exchange.respond(Status::OK).content_type("text/plain").send(&text.octets).await
}

/// 64 hexadecimal digits and a line's end.
struct Text {
    octets: [u8; 65],
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { octets: [0; 65], len: 0 }
    }
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let place = self.octets.get_mut(self.len..self.len + text.len()).ok_or(core::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
