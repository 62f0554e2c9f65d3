//! Sessions of TLS 1.2 that are resumed: RFC 5077, bound to their handshakes by RFC 7627.
use super::{Greeting, Handshake};
use crate::{
    Alert,
    connection::{Flight, Step},
    crypto::{CipherSuite, Provider, Secret},
    outgoing::emit_message,
    server::{Server, State},
    tickets::{MAX_SERVER_TICKET, Resumption},
    tls12::{Agreed, Expects, Side, Transcripts, suite_of},
    wire::{ClientHello, HandshakeType, Writer},
};
use core::time::Duration;

impl<P: Provider> Server<'_, P> {
    /// The session of a ticket, if the client may go on with it as it greets us now; the ticket is then spent. All our sessions have an
    /// extended master secret, and hellos without are refused before this.
    pub(super) fn session_tls12(&self, hello: &ClientHello<'_>, ticket: &[u8]) -> Option<Resumption> {
        let tickets = self.config.tickets?;
        let session = tickets.open(ticket)?;
        let (suite, _) = suite_of(session.suite.0)?;
        let common = self.config.provider.cipher_suites().contains(&suite)
            && hello.cipher_suites.contains(session.suite.0);
        // RFC 6066 section 3: not for another host than then.
        let same = session.server_name == self.server_name;
        (common && same && self.suffices(&session) && tickets.spend(ticket)).then_some(session)
    }

    /// Answers with everything that there is to say, and waits for the client's Finished.
    pub(super) fn resume_tls12<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        session: Resumption,
        greeting: &Greeting<'_>,
        hello: &ClientHello<'_>,
        mut transcripts: Transcripts<P>,
        randoms: [u8; 64],
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let number = session.suite.0;
        let (suite, _) = suite_of(number).ok_or(Alert::INTERNAL_ERROR)?;
        self.resumed = true;
        self.peer = session.peer;
        let master = session.psk;
        out.0.handshake(|out| {
            let start = out.len();
            //= https://www.rfc-editor.org/rfc/rfc5077#section-3.4
            //# If the server accepts the ticket
            //# and the Session ID is not empty, then it MUST respond with the same
            //# Session ID present in the ClientHello.
            greeting.emit(out, hello.legacy_session_id, number, &[])?;
            self.ticket_tls12(number, &master, out)?;
            transcripts.update(out.since(start));
            Ok(())
        })?;
        self.log("CLIENT_RANDOM", &master);
        let mut agreed = Agreed { suite, transcripts, randoms, master };
        agreed.finish(&self.config.provider, Side::Server, out)?;
        self.state = State::Tls12(Handshake { expects: Expects::ChangeCipherSpec(()), agreed, ticket: None });
        Ok(Step::Continue)
    }

    /// Writes a NewSessionTicket; an empty one if there is no ticket this time, as one was promised (RFC 5077 section
    /// 3.3).
    pub(super) fn ticket_tls12(
        &self,
        number: u16,
        master: &Secret,
        out: &mut Writer<'_>,
    ) -> Result<(), Alert> {
        let session = Resumption {
            suite: CipherSuite(number),
            psk: master.clone(),
            age_add: 0,
            age: Duration::ZERO,
            peer: self.peer,
            protocol: self.protocol,
            max_early_data: 0,
            server_name: self.server_name,
        };
        let mut ticket = [0; MAX_SERVER_TICKET];
        let issued = self.config.tickets.and_then(|tickets| tickets.issue(&session, &mut ticket));
        let (len, lifetime) = issued.unwrap_or_default();
        emit_message(out, HandshakeType::NEW_SESSION_TICKET, |out| {
            out.bytes(&(lifetime.as_secs() as u32).to_be_bytes())?;
            let block = out.block(2)?;
            out.bytes(ticket.get(..len).unwrap_or_default())?;
            Ok(out.end(block)?)
        })
    }
}
