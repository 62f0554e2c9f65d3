//! Answers that are not one piece of memory: several ranges, and values that a store does not lend.
use super::{Chosen, Value, part, put_content_range};
use crate::{
    Error, Writer,
    wire::{ByteRange, EntityTag, Output, Ranges},
};
use airglow_device::KeyValue;

/// The content that an answer does not lend: each range, behind a head of its own where there are several.
pub(super) async fn send<K: KeyValue>(
    mut writer: Writer<'_, '_>,
    value: &Value<'_, K>,
    chosen: &Chosen,
) -> Result<(), Error> {
    let size = value.size;
    let several = chosen.ranges(writer.exchange(), size).several();
    for index in 0.. {
        let range = chosen.ranges(writer.exchange(), size).get(index, size);
        let Some(range) = range.filter(|_| !writer.silent()) else { break };
        if several {
            writer.put(|out| put_head(out, chosen, &range, size)).await?;
        }
        match value.lend().and_then(|content| part(content, &range)) {
            Some(content) => writer.write_lent(content).await?,
            None => writer.fill_from(value.store, value.key, range.start, range.len()).await?,
        }
    }
    if several && !writer.silent() {
        writer.put(|out| put_end(out, chosen)).await?;
    }
    writer.done()
}

/// RFC 9110 section 14.6: each part with its own head, in one message of known length.
pub(super) fn length(ranges: &Ranges, chosen: &Chosen, size: u64) -> u64 {
    let mut scratch = [0; 320];
    let mut out = Output::new(&mut scratch);
    put_end(&mut out, chosen);
    let mut length = out.len() as u64;
    for range in (0..).map_while(|index| ranges.get(index, size)) {
        out.truncate(0);
        put_head(&mut out, chosen, &range, size);
        length += out.len() as u64 + range.len();
    }
    length
}

/// The field that says what stands between the parts.
pub(super) fn put_type(out: &mut Output<'_>, chosen: &Chosen) {
    out.put(b"Content-Type: multipart/byteranges; boundary=");
    put_boundary(out, chosen);
    out.put(b"\r\n");
}

/// What stands between the parts. It must not occur in the content. A fixed one that an author could put there would only harm the
/// readers of their own file; the tag makes even that unlikely.
fn put_boundary(out: &mut Output<'_>, chosen: &Chosen) {
    let mut space = *b"\"0000000000000000\"";
    if let Some(digest) = chosen.digest {
        EntityTag::from_digest(digest, &mut space);
    }
    out.put(b"airglow-part-");
    out.put(space.get(1..17).unwrap_or(&[]));
}

fn put_head(out: &mut Output<'_>, chosen: &Chosen, range: &ByteRange, size: u64) {
    out.put(b"\r\n--");
    put_boundary(out, chosen);
    out.put(b"\r\n");
    out.put_field("Content-Type", chosen.media.as_bytes());
    put_content_range(out, range, size);
    out.put(b"\r\n");
}

fn put_end(out: &mut Output<'_>, chosen: &Chosen) {
    out.put(b"\r\n--");
    put_boundary(out, chosen);
    out.put(b"--\r\n");
}
