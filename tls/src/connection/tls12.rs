//! What a connection does differently in TLS 1.2.
use super::{Connection, Fault, Role};
use crate::{
    Alert,
    crypto::Provider,
    wire::{HandshakeType, Message, RecordHeader},
};

/// The Certificate in front of `content` together with the CertificateStatus behind it: neither is of use alone, and nothing
/// of them is kept. `None` until it is known what is behind it.
pub(super) fn with_status<'m>(message: Message<'m>, content: &'m [u8]) -> Option<Message<'m>> {
    if message.kind != HandshakeType::CERTIFICATE {
        return Some(message);
    }
    let next = Message::parse(content.get(message.whole.len()..)?)?;
    if next.kind != HandshakeType::CERTIFICATE_STATUS {
        return Some(message);
    }
    Some(Message { whole: content.get(..message.whole.len() + next.whole.len())?, ..message })
}

impl<R: Role<P>, P: Provider, B: AsRef<[u8]> + AsMut<[u8]>> Connection<R, P, B> {
    /// The peer has said that what follows is protected, which in TLS 1.3 means nothing.
    pub(super) fn change_cipher_spec(&mut self) -> Result<(), Fault> {
        if let Some(keys) = self.role.change_cipher_spec()? {
            // Part of a message would be taken for part of a protected one.
            if !self.incoming.content().is_empty() {
                return Err(Alert::UNEXPECTED_MESSAGE.into());
            }
            self.read = Some(keys);
        }
        Ok(())
    }

    /// Opens the next record; whether there are more data.
    pub(super) fn open_tls12(&mut self, header: RecordHeader) -> Result<bool, Fault> {
        let Some(keys) = &mut self.read else { return Err(Alert::INTERNAL_ERROR.into()) };
        let explicit = keys.explicit_nonce();
        let len = header.len.checked_sub(explicit).ok_or(Alert::BAD_RECORD_MAC)?;
        let explicit = if explicit > 0 { self.incoming.explicit_nonce() } else { None };
        let content = keys.open_tls12(explicit, self.incoming.record(len))?;
        self.content(header.content_type, len, content)
    }

    /// Passes over bytes from `at` on of a handshake that the peer wants to begin within this one, and tells it that there
    /// will be none.
    pub(super) fn renegotiation(&mut self, record: usize, at: usize, len: usize) -> Result<usize, Fault> {
        if let Some(at) = self.late_byte(record, at, len) {
            return Ok(at);
        }
        let [kind, high, middle, low, _] = self.late;
        // Only clients take tickets.
        let hello = if self.role.takes_tickets() {
            HandshakeType::HELLO_REQUEST
        } else {
            HandshakeType::CLIENT_HELLO
        };
        if HandshakeType(kind) != hello {
            return Err(Alert::UNEXPECTED_MESSAGE.into());
        }
        if self.late_len == 4 {
            self.late_len = 0;
            self.late_skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            if hello == HandshakeType::HELLO_REQUEST && self.late_skip > 0 {
                return Err(Alert::DECODE_ERROR.into());
            }
            self.count_message()?;
            self.outgoing.alert(Alert::NO_RENEGOTIATION);
        }
        Ok(at + 1)
    }
}
