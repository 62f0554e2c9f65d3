//! Properties: what OpenFlow 1.4 and later have instead of fixed fields (1.5 section 7.2.1.1).
use super::{Fault, Reader};
use alloc::vec::Vec;

/// Reads one property: its type and what it holds, without the padding to eight bytes behind it.
///
/// # Errors
/// [`Fault::BadPropertyLength`].
pub fn parse<'a>(reader: &mut Reader<'a>) -> Result<(u16, Reader<'a>), Fault> {
    let bad = |_| Fault::BadPropertyLength;
    let kind = reader.u16().map_err(bad)?;
    let length = usize::from(reader.u16().map_err(bad)?);
    let body = reader.take(length.checked_sub(4).ok_or(Fault::BadPropertyLength)?).map_err(bad)?;
    // The last one's padding may be left out.
    let padding = length.next_multiple_of(8) - length;
    reader.skip(padding.min(reader.rest().len())).map_err(bad)?;
    Ok((kind, Reader(body)))
}

/// Writes one property: `write` gives what it holds.
pub fn emit(kind: u16, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    write(out);
    let length = out.len() - at;
    out[at + 2..at + 4].copy_from_slice(&(length as u16).to_be_bytes());
    out.resize(at + length.next_multiple_of(8), 0);
}
