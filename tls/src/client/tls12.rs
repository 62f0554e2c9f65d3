//! The client's side of TLS 1.2's handshake: RFC 5246 section 7.3.
use super::{AwaitServerHello, Client, Requested, State, answer::DOWNGRADE};
use crate::{
    Alert,
    certificate_type::CertificateType,
    connection::{Flight, Step},
    crypto::{CipherSuite, Hash, Provider, Secret, SignatureScheme},
    exchange::{check_finished, from_seed, record_size_limit},
    outgoing::emit_message,
    sessions::{LONGEST, Session},
    signature::{PublicKey, emit_signature},
    tls12::{
        Agreed, Expects, ServerKeyExchange, Share, Side, TLS12, Transcripts, check_renegotiation_info,
        groups, suite_number, suite_of,
    },
    verifier::Verifier,
    wire::{CertificateList, ExtensionType, HandshakeType, Message, Reader, ServerHello, U16List},
};
use core::time::Duration;
use zeroize::Zeroizing;

/// How long a ticket is kept of which the server does not say it.
const UNTOLD: Duration = Duration::from_secs(3_600);

/// A handshake from the ServerHello on.
pub(super) struct Handshake<P: Provider> {
    /// With what came in the ticket: good once the server's Finished is.
    pub(super) expects: Expects<Awaited, Option<Session>>,
    pub(super) agreed: Agreed<P>,
    /// Whether the server signs with RSA.
    rsa: bool,
    /// Whether the server has said that it may send a CertificateStatus.
    status: bool,
    requested: Requested,
    /// Whether the server has promised a ticket.
    ticket: bool,
}

/// What the server sends next.
// One per connection, beside buffers many times as large; there may be no allocator to box with.
#[allow(clippy::large_enum_variant)]
pub(super) enum Awaited {
    Certificate,
    ServerKeyExchange(PublicKey),
    ServerHelloDone(Share, Secret),
    NewSessionTicket,
}

impl<P: Provider> Handshake<P> {
    /// Whether the next message may come with a CertificateStatus.
    pub(super) const fn awaits_status(&self) -> bool {
        self.status && matches!(self.expects, Expects::Message(Awaited::Certificate))
    }
}

/// What is left to come: the end, with a ticket before it if one was promised.
const fn end(ticket: bool) -> Expects<Awaited, Option<Session>> {
    if ticket { Expects::Message(Awaited::NewSessionTicket) } else { Expects::ChangeCipherSpec(None) }
}

/// The session of a NewSessionTicket (RFC 5077 section 3.3), if there is one and it can be kept.
fn session<P: Provider>(body: &[u8], agreed: &Agreed<P>, rsa: bool) -> Result<Option<Session>, Alert> {
    let mut reader = Reader::new(body);
    let (hint, ticket) = (u32::from_be_bytes(*reader.array()?), reader.vector16()?);
    reader.end()?;
    let number = suite_number(agreed.suite, rsa).ok_or(Alert::INTERNAL_ERROR)?;
    let lifetime = if hint == 0 { UNTOLD } else { Duration::from_secs(hint.into()).min(LONGEST) };
    let kept = Session::new(CipherSuite(number), agreed.master.clone(), lifetime, ticket);
    Ok(kept.filter(|_| !ticket.is_empty()))
}

/// The signature schemes of a CertificateRequest (RFC 5246 section 7.4.4).
fn certificate_request(body: &[u8]) -> Result<U16List<'_>, Alert> {
    let mut reader = Reader::new(body);
    let (types, schemes, _) = (reader.vector8()?, reader.vector16()?, reader.vector16()?);
    reader.end()?;
    if types.is_empty() { Err(Alert::DECODE_ERROR) } else { Ok(U16List::new(schemes)?) }
}

impl<'c, P: Provider, V: Verifier> Client<'c, P, V> {
    /// Whether the server wants TLS 1.2, and the configuration lets it.
    pub(super) fn takes_tls12(&self, hello: &ServerHello<'_>) -> bool {
        self.config.minimum_version.lets_tls12()
            && (!self.config.maximum_version.lets_tls13()
                || hello.extensions.find(ExtensionType::SUPPORTED_VERSIONS).is_none())
    }

    pub(super) fn hello_tls12<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        state: AwaitServerHello<P>,
        hello: ServerHello<'_>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        // Somebody in between wants it to be less than both could do.
        if self.config.maximum_version.lets_tls13()
            && DOWNGRADE.iter().any(|sentinel| hello.random.ends_with(sentinel))
        {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        // What was sent early cannot be taken back (RFC 8446 appendix D.3).
        if hello.legacy_version != TLS12 || self.early.is_some() {
            return Err(Alert::PROTOCOL_VERSION);
        }
        let suite = suite_of(hello.cipher_suite);
        let suite = suite.filter(|(suite, _)| self.config.provider.cipher_suites().contains(suite));
        let (suite, rsa) = suite.ok_or(Alert::ILLEGAL_PARAMETER)?;
        // Our session id is of no session (RFC 8446 section 4.1.2): it comes back where a ticket was taken (RFC 5077
        // section 3.4), and then the suite is that of the session (RFC 5246 section 7.4.1.3).
        let session = state.session.filter(Session::is_tls12);
        let resumed = hello.legacy_session_id_echo == self.session_id;
        let known = session.as_ref().is_some_and(|session| session.suite.0 == hello.cipher_suite);
        if state.retry.is_some() || resumed && !known || hello.legacy_compression_method != 0 {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        // Raw public keys are not spoken of here.
        let [of_server, _] = self.config.certificate_types();
        if !of_server.contains(&CertificateType::X509) {
            return Err(Alert::UNSUPPORTED_CERTIFICATE);
        }
        let (mut extended, mut indicated, mut status, mut ticket) = (false, false, false, false);
        for extension in hello.extensions.iter() {
            match extension.kind {
                ExtensionType::EXTENDED_MASTER_SECRET if extension.data.is_empty() => extended = true,
                ExtensionType::RENEGOTIATION_INFO => {
                    check_renegotiation_info(extension.data)?;
                    indicated = true;
                }
                ExtensionType::EC_POINT_FORMATS if extension.data.contains(&0) => {}
                ExtensionType::EC_POINT_FORMATS => return Err(Alert::ILLEGAL_PARAMETER),
                ExtensionType::SERVER_NAME if self.names_a_host() && extension.data.is_empty() => {}
                ExtensionType::STATUS_REQUEST
                    if self.config.verifier.wants_status() && extension.data.is_empty() =>
                {
                    status = true;
                }
                ExtensionType::SESSION_TICKET
                    if self.config.sessions.is_some() && extension.data.is_empty() =>
                {
                    ticket = true;
                }
                ExtensionType::RECORD_SIZE_LIMIT => out.0.limit(record_size_limit(extension.data)?),
                ExtensionType::APPLICATION_LAYER_PROTOCOL_NEGOTIATION
                    if !self.config.protocols.is_empty() =>
                {
                    self.protocol = Some(self.chosen_protocol(extension.data)?);
                }
                _ => return Err(Alert::UNSUPPORTED_EXTENSION),
            }
        }
        if !extended || !indicated {
            return Err(Alert::HANDSHAKE_FAILURE);
        }
        let mut randoms = [0; 64];
        let (client_random, server_random) = randoms.split_at_mut(32);
        client_random.copy_from_slice(&self.random);
        server_random.copy_from_slice(hello.random);
        let mut transcripts = Transcripts(state.hellos);
        transcripts.update(message.whole);
        let session = session.filter(|_| resumed);
        self.resumed = resumed;
        let master = session.map_or(Secret::zeros(0), |session| session.psk);
        let agreed = Agreed { suite, transcripts, randoms, master };
        let requested = Requested::No;
        if resumed {
            self.log("CLIENT_RANDOM", &agreed.master);
        }
        let expects = if resumed { end(ticket) } else { Expects::Message(Awaited::Certificate) };
        self.state = State::Tls12(Handshake { expects, agreed, rsa, status, requested, ticket });
        Ok(Step::Continue)
    }

    pub(super) fn handle_tls12<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        mut state: Handshake<P>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        //= https://www.rfc-editor.org/rfc/rfc5246#section-7.4.1.1
        //# This message MUST NOT be included in the message hashes that are
        //# maintained throughout the handshake and used in the Finished messages
        //# and the certificate verify message.
        if message.kind == HandshakeType::HELLO_REQUEST && message.body.is_empty() {
            self.state = State::Tls12(state);
            return Ok(Step::Continue);
        }
        let provider = &self.config.provider;
        state.expects = match (state.expects, message.kind) {
            (Expects::Message(Awaited::Certificate), HandshakeType::CERTIFICATE) => {
                let behind = message.whole.get(4 + message.body.len()..).unwrap_or_default();
                let status = Message::parse(behind).map(|status| status.body);
                let list = CertificateList::parse_tls12(message.body)?.with_status(status);
                let key = PublicKey::of(list, CertificateType::X509)?;
                self.config.verifier.verify(self.server_name, list.entries())?;
                Expects::Message(Awaited::ServerKeyExchange(key))
            }
            (Expects::Message(Awaited::ServerKeyExchange(key)), HandshakeType::SERVER_KEY_EXCHANGE) => {
                let exchange = ServerKeyExchange::parse(message.body)?;
                exchange.check(provider, &key, &state.agreed.randoms, state.rsa)?;
                self.peer = Some(key.pin(provider));
                if !groups(provider).any(|group| group == exchange.group) {
                    return Err(Alert::ILLEGAL_PARAMETER);
                }
                let seed = provider.hmac(Hash::Sha256, &*self.seed, &[b"TLS 1.2 share"]);
                let seed = Zeroizing::new(*seed.first_chunk().ok_or(Alert::INTERNAL_ERROR)?);
                let answer = from_seed(provider, &seed, |seed| {
                    Share::new(|out| provider.answer(exchange.group, seed, exchange.share, out))
                });
                let (share, shared) = answer.ok_or(Alert::ILLEGAL_PARAMETER)?;
                Expects::Message(Awaited::ServerHelloDone(share, shared))
            }
            (
                Expects::Message(Awaited::ServerHelloDone(share, shared)),
                HandshakeType::CERTIFICATE_REQUEST,
            ) if state.requested == Requested::No => {
                let offered = certificate_request(message.body)?;
                let [_, of_client] = self.config.certificate_types();
                let shows = of_client.contains(&CertificateType::X509);
                let certificate = self.config.certificate.filter(|_| shows);
                let scheme = certificate.and_then(|certificate| certificate.scheme(offered));
                // What we sign is known as a hash only.
                let scheme = scheme.filter(|scheme| scheme.hash().is_some());
                state.requested = scheme.map_or(Requested::Empty, Requested::Signed);
                Expects::Message(Awaited::ServerHelloDone(share, shared))
            }
            (Expects::Message(Awaited::ServerHelloDone(share, shared)), HandshakeType::SERVER_HELLO_DONE) => {
                if !message.body.is_empty() {
                    return Err(Alert::DECODE_ERROR);
                }
                state.agreed.transcripts.update(message.whole);
                state.expects = end(state.ticket);
                self.answer_tls12(&mut state, &share, &shared, out)?;
                self.state = State::Tls12(state);
                return Ok(Step::Continue);
            }
            (Expects::Message(Awaited::NewSessionTicket), HandshakeType::NEW_SESSION_TICKET) => {
                Expects::ChangeCipherSpec(session(message.body, &state.agreed, state.rsa)?)
            }
            (Expects::Finished(session), HandshakeType::FINISHED) => {
                check_finished(&state.agreed.finished(provider, Side::Server), message.body)?;
                if self.resumed {
                    state.agreed.transcripts.update(message.whole);
                    state.agreed.finish(provider, Side::Client, out)?;
                }
                //= https://www.rfc-editor.org/rfc/rfc5077#section-3.3
                //# The client MUST NOT treat the ticket as valid until it has
                //# verified the server's Finished message.
                if let (Some(sessions), Some(session)) = (self.config.sessions, session) {
                    sessions.put(self.server_name, session);
                }
                self.exporter = Some(state.agreed.exporter());
                return Ok(Step::Finished);
            }
            _ => return Err(Alert::UNEXPECTED_MESSAGE),
        };
        state.agreed.transcripts.update(message.whole);
        self.state = State::Tls12(state);
        Ok(Step::Continue)
    }

    /// Our certificate if there is one, our share, and Finished under the keys that come of it.
    fn answer_tls12<B: AsRef<[u8]> + AsMut<[u8]>>(
        &self,
        state: &mut Handshake<P>,
        share: &Share,
        shared: &[u8],
        out: &mut Flight<'_, P, B>,
    ) -> Result<(), Alert> {
        let provider = &self.config.provider;
        let scheme: Option<SignatureScheme> =
            if let Requested::Signed(scheme) = state.requested { Some(scheme) } else { None };
        let certificate = self.config.certificate.zip(scheme);
        out.0.handshake(|out| {
            let start = out.len();
            if state.requested != Requested::No {
                let chain = certificate.map_or(&[][..], |(certificate, _)| certificate.chain);
                emit_message(out, HandshakeType::CERTIFICATE, |out| {
                    Ok(CertificateList::emit_tls12(out, chain)?)
                })?;
            }
            emit_message(out, HandshakeType::CLIENT_KEY_EXCHANGE, |out| {
                let block = out.block(1)?;
                out.bytes(share.bytes())?;
                Ok(out.end(block)?)
            })?;
            state.agreed.transcripts.update(out.since(start));
            state.agreed.share(provider, shared);
            if let Some((certificate, scheme)) = certificate {
                let start = out.len();
                let said = state.agreed.transcripts.current(scheme.hash().ok_or(Alert::INTERNAL_ERROR)?);
                emit_message(out, HandshakeType::CERTIFICATE_VERIFY, |out| {
                    emit_signature(out, scheme, |out| certificate.key.sign_hash(scheme, &said, out))
                })?;
                state.agreed.transcripts.update(out.since(start));
            }
            Ok(())
        })?;
        self.log("CLIENT_RANDOM", &state.agreed.master);
        state.agreed.finish(provider, Side::Client, out)
    }
}
