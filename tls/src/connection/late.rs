//! Messages after the handshake: RFC 8446 section 4.6.
#[cfg(feature = "post-handshake-authentication")]
use super::Flight;
use super::{Connection, Fault, Role};
#[cfg(feature = "post-handshake-authentication")]
use crate::protection::Protection;
use crate::{
    Alert,
    crypto::Provider,
    wire::{HandshakeType, Message, RECORD_HEADER},
};

/// KeyUpdates and tickets in a row, without data between them, that are taken for an attack.
pub(super) const MAX_IDLE_MESSAGES: u8 = 32;

impl<R: Role<P>, P: Provider, B: AsRef<[u8]> + AsMut<[u8]>> Connection<R, P, B> {
    /// Shows the role a ticket that lies in one record, where all known servers put it; others are passed over.
    pub(super) fn whole_ticket(&mut self, record: usize, at: usize, len: usize) -> Result<(), Fault> {
        if self.late_len == 0 && self.late_skip == 0 && self.role.takes_tickets() {
            let bytes = self.incoming.record(record).get(RECORD_HEADER + at..RECORD_HEADER + len);
            let message = Message::parse(bytes.unwrap_or_default());
            if let Some(message) = message.filter(|message| message.kind == HandshakeType::NEW_SESSION_TICKET)
            {
                self.role.ticket(message.body)?;
            }
        }
        Ok(())
    }

    /// Keeps the byte at `at` of a message after the handshake, or passes over what is not looked at: then where it goes on.
    pub(super) fn late_byte(&mut self, record: usize, at: usize, len: usize) -> Option<usize> {
        let bytes = self.incoming.record(record).get(RECORD_HEADER + at..RECORD_HEADER + len);
        let bytes = bytes.unwrap_or_default();
        if self.late_skip > 0 {
            let skipped = self.late_skip.min(bytes.len());
            self.late_skip -= skipped;
            return Some(at + skipped);
        }
        if let (Some(byte), Some(place)) = (bytes.first(), self.late.get_mut(self.late_len)) {
            *place = *byte;
            self.late_len += 1;
        }
        None
    }

    /// Takes bytes from `at` on of messages after the handshake: a few bytes are kept, tickets are passed over.
    pub(super) fn late_message(&mut self, record: usize, at: usize, len: usize) -> Result<usize, Fault> {
        if let Some(at) = self.late_byte(record, at, len) {
            return Ok(at);
        }
        let [kind, high, middle, low, update] = self.late;
        match (HandshakeType(kind), self.late_len) {
            (HandshakeType::KEY_UPDATE, 1..=3) => {}
            (HandshakeType::KEY_UPDATE, 4) if [high, middle, low] != [0, 0, 1] => {
                return Err(Alert::DECODE_ERROR.into());
            }
            (HandshakeType::KEY_UPDATE, 4) => {}
            (HandshakeType::KEY_UPDATE, _) if update > 1 => return Err(Alert::ILLEGAL_PARAMETER.into()),
            (HandshakeType::KEY_UPDATE, _) => {
                self.count_message()?;
                if at + 1 != len {
                    return Err(Alert::UNEXPECTED_MESSAGE.into());
                }
                if let Some(keys) = &mut self.read {
                    keys.update(self.role.provider())?;
                }
                if update == 1 {
                    self.outgoing.owe_key_update();
                }
            }
            (HandshakeType::NEW_SESSION_TICKET, 1..=3) if self.role.takes_tickets() => {}
            (HandshakeType::NEW_SESSION_TICKET, _) if self.role.takes_tickets() => {
                self.count_message()?;
                self.late_skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            }
            _ => return Err(Alert::UNEXPECTED_MESSAGE.into()),
        }
        let whole = if kind == HandshakeType::KEY_UPDATE.0 { 5 } else { 4 };
        if self.late_len == whole {
            self.late_len = 0;
        }
        Ok(at + 1)
    }

    /// Shows the role a message by which clients show who they are, where it goes on behind it. Such a message must lie in
    /// one record, where all known peers put it: nothing is kept of others, which are refused.
    #[cfg(feature = "post-handshake-authentication")]
    pub(super) fn authentication(
        &mut self,
        record: usize,
        at: usize,
        len: usize,
    ) -> Result<Option<usize>, Fault> {
        if self.late_len > 0 || self.late_skip > 0 {
            return Ok(None);
        }
        let bytes = self.incoming.record(record).get(RECORD_HEADER + at..RECORD_HEADER + len);
        let client = self.read.as_ref().map(Protection::secret);
        if let Some(message) = Message::parse(bytes.unwrap_or_default())
            && self.role.late(message, client)?
        {
            let next = at + message.whole.len();
            self.count_message()?;
            return Ok(Some(next));
        }
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.6.2
        //# All of the client's messages for a given
        //# response MUST appear consecutively on the wire with no intervening
        //# messages of other types.
        if self.role.is_answered() { Err(Alert::UNEXPECTED_MESSAGE.into()) } else { Ok(None) }
    }
    /// A client: shows the server who it is, if that has asked, as soon as all that was said before is sent, so that there is
    /// room.
    #[cfg(feature = "post-handshake-authentication")]
    pub(super) fn answer(&mut self) -> Result<(), Alert> {
        if self.role.owes_answer() && !self.sent_close && self.outgoing.pending().is_empty() {
            self.role.answer(&mut Flight(&mut self.outgoing))?;
        }
        Ok(())
    }

    /// Counts a message that brings no data.
    pub(super) fn count_message(&mut self) -> Result<(), Alert> {
        self.idle_messages += 1;
        if self.idle_messages > MAX_IDLE_MESSAGES { Err(Alert::UNEXPECTED_MESSAGE) } else { Ok(()) }
    }
}
