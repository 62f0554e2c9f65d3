//! Sessions that are resumed: RFC 8446 sections 4.2.11 and 4.6.1.
use super::{Server, required};
use crate::{
    Alert,
    config::EARLY_DATA,
    crypto::{CipherSuite, Provider, Secret, Transcript},
    key_schedule::{KeySchedule, expand_label},
    outgoing::emit_message,
    tickets::{MAX_SERVER_TICKET, Resumption},
    wire::{ClientHello, ExtensionType, Extensions, HandshakeType, Message, OfferedPsks, Reader, Writer},
};

/// Tickets of a client that are looked at.
const MAX_IDENTITIES: usize = 4;
/// Tickets that a client gets: browsers open several connections at once.
const TICKETS: u8 = 2;

/// A pre-shared key that a client has shown to have.
pub(super) struct Chosen<'m> {
    pub(super) session: Resumption,
    pub(super) index: u16,
    pub(super) ticket: &'m [u8],
    /// How old the client says that the ticket is, in milliseconds.
    pub(super) age: u32,
}

impl<P: Provider> Server<'_, P> {
    /// The pre-shared keys that are offered in a way we take.
    pub(super) fn psks<'m>(&self, hello: &ClientHello<'m>) -> Result<Option<OfferedPsks<'m>>, Alert> {
        let extensions = hello.extensions;
        let Some(data) = extensions.find(ExtensionType::PRE_SHARED_KEY) else { return Ok(None) };
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.11
        //# Servers MUST check that it is the last extension and otherwise fail the
        //# handshake with an "illegal_parameter" alert.
        if extensions.last() != Some(ExtensionType::PRE_SHARED_KEY) {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.9
        //# If clients offer
        //# "pre_shared_key" without a "psk_key_exchange_modes" extension,
        //# servers MUST abort the handshake.
        required(extensions, ExtensionType::PSK_KEY_EXCHANGE_MODES)?;
        let psks = OfferedPsks::parse(data)?;
        Ok(Some(psks).filter(|_| self.config.tickets.is_some() && offers_psk_dhe_ke(extensions) == Ok(true)))
    }

    /// The suite: that of the session which is resumed if there is one, else the best.
    pub(super) fn suite(
        &self,
        hello: &ClientHello<'_>,
        fixed: Option<CipherSuite>,
        psks: Option<OfferedPsks<'_>>,
    ) -> Result<CipherSuite, Alert> {
        let ours = self.config.provider.cipher_suites();
        let common = |suite: &CipherSuite| ours.contains(suite) && hello.cipher_suites.contains(suite.0);
        if let Some(suite) = fixed {
            return if common(&suite) { Ok(suite) } else { Err(Alert::ILLEGAL_PARAMETER) };
        }
        let tickets = psks.into_iter().flat_map(OfferedPsks::iter).take(MAX_IDENTITIES);
        let mut sessions = tickets.filter_map(|(ticket, ..)| self.config.tickets?.open(ticket));
        let resumed = sessions.next().map(|session| session.suite).filter(common);
        resumed.or_else(|| ours.iter().copied().find(common)).ok_or(Alert::HANDSHAKE_FAILURE)
    }

    /// The first session that is known, fits the suite, and whose key the client shows to have.
    pub(super) fn resume<'m>(
        &self,
        psks: OfferedPsks<'m>,
        suite: CipherSuite,
        message: Message<'m>,
        transcript: &P::Transcript,
    ) -> Result<Option<Chosen<'m>>, Alert> {
        let Some(tickets) = self.config.tickets else { return Ok(None) };
        for (index, (ticket, age, binder)) in (0..).zip(psks.iter().take(MAX_IDENTITIES)) {
            let Some(session) = tickets.open(ticket) else { continue };
            #[cfg(feature = "tls12")]
            if crate::tls12::suite_of(session.suite.0).is_some() {
                continue;
            }
            if session.suite.hash() != suite.hash() {
                continue;
            }
            let truncated = message.whole.len().checked_sub(psks.binders_len);
            let truncated = truncated.and_then(|len| message.whole.get(..len)).ok_or(Alert::DECODE_ERROR)?;
            let mut transcript = transcript.clone();
            transcript.update(truncated);
            let provider = &self.config.provider;
            let schedule = KeySchedule::early(provider, suite.hash(), Some(&session.psk));
            let key = schedule.derive(b"res binder", &provider.hash(suite.hash()).current());
            //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.11
            //# Prior to accepting PSK key establishment, the server MUST validate the
            //# corresponding binder value (see Section 4.2.11.2 below).  If this
            //# value is not present or does not validate, the server MUST abort the
            //# handshake.
            if !schedule.finished(&key, &transcript.current()).matches(binder) {
                return Err(Alert::DECRYPT_ERROR);
            }
            let age = age.wrapping_sub(session.age_add);
            return Ok(Some(Chosen { session, index, ticket, age }));
        }
        Ok(None)
    }

    /// Whether the session has what this configuration asks of its clients.
    pub(super) fn suffices(&self, session: &Resumption) -> bool {
        self.config.clients.is_none_or(|clients| session.peer.is_some() || !clients.required)
    }

    pub(super) fn tickets(
        &self,
        suite: CipherSuite,
        secret: &Secret,
        out: &mut Writer<'_>,
    ) -> Result<(), Alert> {
        let Some(tickets) = self.config.tickets else { return Ok(()) };
        // A session that was resumed has used one up.
        for number in 0..if self.resumed { 1 } else { TICKETS } {
            let (hash, len) = (suite.hash(), suite.hash().len());
            let psk = expand_label(&self.config.provider, hash, secret, b"resumption", &[number], len);
            let age_add = tickets.age_add();
            let age = core::time::Duration::ZERO;
            let max_early_data = if EARLY_DATA { self.max_early_data } else { 0 };
            let session = Resumption {
                suite,
                psk,
                age_add,
                age,
                peer: self.peer,
                protocol: self.protocol,
                max_early_data,
                server_name: self.server_name,
            };
            let mut ticket = [0; MAX_SERVER_TICKET];
            let Some((len, lifetime)) = tickets.issue(&session, &mut ticket) else { return Ok(()) };
            emit_message(out, HandshakeType::NEW_SESSION_TICKET, |out| {
                out.bytes(&(lifetime.as_secs() as u32).to_be_bytes())?;
                out.bytes(&age_add.to_be_bytes())?;
                out.bytes(&[1, number])?;
                let block = out.block(2)?;
                out.bytes(ticket.get(..len).unwrap_or_default())?;
                out.end(block)?;
                let extensions = out.block(2)?;
                if max_early_data > 0 {
                    out.u16(ExtensionType::EARLY_DATA.0)?;
                    out.u16(4)?;
                    out.bytes(&max_early_data.to_be_bytes())?;
                }
                Ok(out.end(extensions)?)
            })?;
        }
        Ok(())
    }
}

/// Whether `psk_key_exchange_modes` has psk_dhe_ke (RFC 8446 section 4.2.9).
pub(super) fn offers_psk_dhe_ke(extensions: Extensions<'_>) -> Result<bool, Alert> {
    let Some(data) = extensions.find(ExtensionType::PSK_KEY_EXCHANGE_MODES) else { return Ok(false) };
    let mut reader = Reader::new(data);
    let modes = reader.vector8()?;
    reader.end()?;
    if modes.is_empty() { Err(Alert::DECODE_ERROR) } else { Ok(modes.contains(&1)) }
}
