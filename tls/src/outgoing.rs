//! What goes out: protected in place in one buffer of the caller's.
use crate::{
    Alert,
    crypto::{CipherSuite, Provider, Secret},
    protection::{MAX_OVERHEAD, Protection},
    wire::{Block, ContentType, HandshakeType, MAX_PLAINTEXT, NoRoom, RECORD_HEADER, RecordHeader, Writer},
};
use core::ops::Range;
use zeroize::zeroize_bytes;

/// Kept free for a KeyUpdate and an alert.
const RESERVE: usize = 5 + MAX_OVERHEAD + 2 + MAX_OVERHEAD;

pub(crate) struct Outgoing<P: Provider, B> {
    buf: B,
    start: usize,
    end: usize,
    keys: Option<Protection<P>>,
    /// Most content of one record that the peer takes (RFC 8449).
    limit: usize,
    key_update_owed: bool,
}

/// Writes one handshake message.
pub(crate) fn emit_message(
    out: &mut Writer<'_>,
    kind: HandshakeType,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), Alert>,
) -> Result<(), Alert> {
    out.u8(kind.0)?;
    let block: Block = out.block(3)?;
    body(out)?;
    Ok(out.end(block)?)
}

impl<P: Provider, B: AsRef<[u8]> + AsMut<[u8]>> Outgoing<P, B> {
    pub(crate) const fn new(buf: B) -> Self {
        Self { buf, start: 0, end: 0, keys: None, limit: MAX_PLAINTEXT, key_update_owed: false }
    }
    /// From here on records are protected with the keys of `secret`. A function of its own, because keys take as much
    /// stack while they are made as all the rest of a handshake's step.
    #[inline(never)]
    pub(crate) fn protect_with(
        &mut self,
        provider: &P,
        suite: CipherSuite,
        secret: Secret,
    ) -> Result<(), Alert> {
        self.keys = Some(Protection::new(provider, suite, secret).ok_or(Alert::INTERNAL_ERROR)?);
        Ok(())
    }
    /// From here on records are protected with `keys`.
    #[cfg(feature = "tls12")]
    pub(crate) fn protect(&mut self, keys: Protection<P>) {
        self.keys = Some(keys);
    }
    /// The traffic secret of what is sent.
    #[cfg(feature = "post-handshake-authentication")]
    pub(crate) fn secret(&self) -> Option<&Secret> {
        self.keys.as_ref().map(Protection::secret)
    }
    /// From here on records are not protected, for there are no keys that both sides have.
    pub(crate) fn unprotect(&mut self) {
        self.keys = None;
    }
    pub(crate) fn limit(&mut self, limit: usize) {
        self.limit = limit.clamp(1, MAX_PLAINTEXT);
    }
    pub(crate) const fn owe_key_update(&mut self) {
        self.key_update_owed = true;
    }
    pub(crate) const fn memory(&mut self) -> &mut B {
        &mut self.buf
    }
    pub(crate) fn capacity(&self) -> usize {
        self.buf.as_ref().len()
    }
    pub(crate) fn pending(&self) -> &[u8] {
        self.buf.as_ref().get(self.start..self.end).unwrap_or_default()
    }
    pub(crate) fn sent(&mut self, len: usize) {
        self.start = self.start.saturating_add(len).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }
    #[cfg(test)]
    pub(crate) fn keys(&mut self) -> Option<&mut Protection<P>> {
        self.keys.as_mut()
    }

    fn compact(&mut self) {
        self.buf.as_mut().copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }
    fn room(&self) -> usize {
        self.buf.as_ref().len() - self.end
    }

    /// Bytes before a record's content.
    fn head(&self) -> usize {
        RECORD_HEADER + self.keys.as_ref().map_or(0, Protection::explicit_nonce)
    }

    /// Makes one record of the `len` bytes that already lie behind the place for its header.
    fn seal(&mut self, content_type: ContentType, len: usize) -> Result<(), NoRoom> {
        let record = self.buf.as_mut().get_mut(self.end..).ok_or(NoRoom)?;
        self.end += match &mut self.keys {
            Some(keys) => keys.seal(content_type, record, len)?,
            None => {
                *record.first_chunk_mut().ok_or(NoRoom)? = RecordHeader { content_type, len }.emit();
                RECORD_HEADER + len
            }
        };
        Ok(())
    }

    fn record(&mut self, content_type: ContentType, content: &[u8]) -> Result<(), NoRoom> {
        if self.room() < content.len() + MAX_OVERHEAD {
            self.compact();
        }
        let at = self.end + self.head();
        let place = self.buf.as_mut().get_mut(at..at + content.len()).ok_or(NoRoom)?;
        place.copy_from_slice(content);
        self.seal(content_type, content.len())
    }

    /// Sends the handshake messages that `write` writes, in as few records as the peer's limit allows.
    pub(crate) fn handshake(
        &mut self,
        write: impl FnOnce(&mut Writer<'_>) -> Result<(), Alert>,
    ) -> Result<(), Alert> {
        self.compact();
        // The messages are written where no record that is made of them, front to back, can reach them.
        let shift = (self.room() / self.limit + 1) * MAX_OVERHEAD;
        let from = self.end + shift;
        let mut writer = Writer::new(self.buf.as_mut().get_mut(from..).ok_or(NoRoom)?);
        let outcome = write(&mut writer);
        let until = from + writer.len();
        let outcome = outcome.and_then(|()| Ok(self.records(from..until)?));
        // What was meant for the peer alone is nowhere but under protection.
        zeroize_bytes(self.buf.as_mut().get_mut(self.end..until).unwrap_or_default());
        outcome
    }

    /// Makes records of the handshake messages that lie in `messages`.
    fn records(&mut self, messages: Range<usize>) -> Result<(), NoRoom> {
        let (mut from, mut left) = (messages.start, messages.len());
        while left > 0 {
            let len = left.min(self.limit);
            let head = self.head();
            self.buf.as_mut().copy_within(from..from + len, self.end + head);
            self.seal(ContentType::HANDSHAKE, len)?;
            from += len;
            left -= len;
        }
        Ok(())
    }

    /// The record that means nothing, for middleboxes (RFC 8446 appendix D.4).
    pub(crate) fn change_cipher_spec(&mut self) -> Result<(), NoRoom> {
        let keys = self.keys.take();
        let result = self.record(ContentType::CHANGE_CIPHER_SPEC, &[1]);
        self.keys = keys;
        result
    }

    /// An alert; one that finds no room is not sent.
    pub(crate) fn alert(&mut self, alert: Alert) {
        let level = if matches!(alert, Alert::CLOSE_NOTIFY | Alert::NO_RENEGOTIATION) { 1 } else { 2 };
        let _ = self.record(ContentType::ALERT, &[level, alert.0]);
    }

    /// Sends a KeyUpdate and changes the keys, when it is owed to the peer or the keys are worn.
    pub(crate) fn refresh(&mut self, provider: &P) -> Result<(), Alert> {
        let worn = self.keys.as_ref().is_some_and(Protection::is_worn);
        // TLS 1.2 has no way to other keys but a handshake, which is refused: the connection ends.
        if worn && self.keys.as_ref().is_some_and(Protection::is_tls12) {
            return Err(Alert::INTERNAL_ERROR);
        }
        if (worn || self.key_update_owed) && self.buf.as_ref().len() - self.pending().len() >= RESERVE {
            // update_not_requested
            self.record(ContentType::HANDSHAKE, &[HandshakeType::KEY_UPDATE.0, 0, 0, 1, 0])?;
            self.key_update_owed = false;
            if let Some(keys) = &mut self.keys {
                keys.update(provider)?;
            }
        }
        Ok(())
    }

    /// Takes as much of `bytes` as one record and the buffer hold; 0 when there is no room at all.
    pub(crate) fn write(&mut self, provider: &P, bytes: &[u8]) -> Result<usize, Alert> {
        let full = MAX_OVERHEAD + RESERVE;
        if self.room() <= full {
            self.compact();
        }
        let len = bytes.len().min(self.limit).min(self.room().saturating_sub(full));
        if len > 0 {
            self.refresh(provider)?;
            self.record(ContentType::APPLICATION_DATA, bytes.get(..len).unwrap_or_default())?;
        }
        Ok(len)
    }
}
