//! The client's side of the handshake: RFC 8446 sections 2, 4 and appendix A.1.
mod answer;
#[cfg(feature = "post-handshake-authentication")]
mod authentication;
mod early_data;
mod hello;
#[cfg(feature = "tls12")]
mod tls12;

use self::{answer::first_hash, early_data::Early};
use crate::{
    Alert, ClientConfig,
    certificate_type::{CertificateType, X509, bare},
    compression::{self, Unpacks, with_unpacked},
    connection::{Connection, Exporter, Flight, Role, Step},
    crypto::{CipherSuite, Provider, Secret, SignatureScheme, Transcript},
    exchange::{check_finished, record_size_limit},
    key_schedule::{KeySchedule, expand_label},
    outgoing::emit_message,
    protection::Protection,
    sessions::{LONGEST, Session},
    signature::{CLIENT_CONTEXT, PublicKey, SERVER_CONTEXT, emit_certificate_verify},
    verifier::Verifier,
    wire::{
        CertificateList, ExtensionType, Extensions, HELLO_RETRY_REQUEST, HandshakeType, MAX_PLAINTEXT,
        Message, NewSessionTicket, ProtocolNames, Reader, ServerHello, U16List, Writer,
    },
};
use airglow_device::Entropy;
use core::time::Duration;
use zeroize::Zeroizing;

/// The client's side of a [`Connection`].
pub struct Client<'c, P: Provider, V> {
    config: &'c ClientConfig<'c, P, V>,
    server_name: &'c str,
    random: [u8; 32],
    session_id: [u8; 32],
    seed: Zeroizing<[u8; 32]>,
    state: State<'c, P>,
    protocol: Option<&'c [u8]>,
    no_early_data: usize,
    early: Option<Early>,
    accepted_early_data: bool,
    /// Most content of one record that the server takes.
    record_limit: u16,
    resumed: bool,
    peer: Option<[u8; 32]>,
    exporter: Option<Exporter>,
    early_exporter: Option<Exporter>,
    /// What tickets are made keys with.
    resumption: Option<(CipherSuite, Secret)>,
}

struct AwaitServerHello<P: Provider> {
    exchange: P::KeyExchange,
    /// Beside a share that many servers do not know yet.
    other: Option<P::KeyExchange>,
    session: Option<Session>,
    /// SHA-256 and SHA-384 of the first ClientHello, while the suite is open.
    hellos: [P::Transcript; 2],
    /// What a HelloRetryRequest has fixed.
    retry: Option<(CipherSuite, P::Transcript)>,
}

struct Handshake<'c, P: Provider> {
    expects: Expects,
    suite: CipherSuite,
    schedule: KeySchedule<&'c P>,
    transcript: P::Transcript,
    client_traffic: Secret,
    server_traffic: Secret,
    wanted: Wanted,
    kinds: Kinds,
}

/// What the server wants of us.
#[derive(Clone, Copy)]
struct Wanted {
    requested: Requested,
    unpacks: Unpacks,
}

/// With what the server and we show who we are.
#[derive(Clone, Copy)]
struct Kinds {
    server: CertificateType,
    client: CertificateType,
}

/// Whether the server has asked for a certificate, and how we may sign.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Requested {
    No,
    /// We have none that it takes.
    Empty,
    Signed(SignatureScheme),
}

// As State.
#[allow(clippy::large_enum_variant)]
enum Expects {
    EncryptedExtensions,
    Certificate,
    CertificateVerify(PublicKey),
    Finished,
}

// One per connection, beside buffers many times as large; there may be no allocator to box with.
#[allow(clippy::large_enum_variant)]
enum State<'c, P: Provider> {
    AwaitServerHello(AwaitServerHello<P>),
    Handshake(Handshake<'c, P>),
    #[cfg(feature = "tls12")]
    Tls12(tls12::Handshake<P>),
    /// The server may ask who we are.
    #[cfg(feature = "post-handshake-authentication")]
    Connected(authentication::Known<P>),
    Done,
}

impl<'c, P: Provider, V: Verifier, B: AsRef<[u8]> + AsMut<[u8]>> Connection<Client<'c, P, V>, P, B> {
    /// A client that wants to talk to `server_name`, a host name or an IP address; its ClientHello is in
    /// [`output`](Connection::output). `incoming` must hold the server's certificates and the largest record
    /// ([`BUFFER`](crate::BUFFER) suits most; less is told to the server), `outgoing` two KiB or more.
    ///
    /// # Errors
    /// [`Error::NoRoom`](crate::Error::NoRoom) when `outgoing` is too short, or the provider has no group.
    pub fn client(
        config: &'c ClientConfig<'c, P, V>,
        server_name: &'c str,
        entropy: &impl Entropy,
        incoming: B,
        outgoing: B,
    ) -> Result<Self, crate::Error> {
        let (mut random, mut session_id, mut seed) = ([0; 32], [0; 32], Zeroizing::new([0; 32]));
        entropy.fill(&mut random);
        entropy.fill(&mut session_id);
        entropy.fill(&mut *seed);
        let room = incoming.as_ref().len();
        let client = Client {
            config,
            server_name,
            random,
            session_id,
            seed,
            state: State::Done,
            protocol: None,
            no_early_data: 0,
            early: None,
            accepted_early_data: false,
            record_limit: MAX_PLAINTEXT as u16,
            resumed: false,
            peer: None,
            exporter: None,
            early_exporter: None,
            resumption: None,
        };
        let mut connection = Self::new(client, incoming, outgoing);
        connection
            .role
            .start(room, &mut Flight(&mut connection.outgoing))
            .map_err(|_| crate::Error::NoRoom)?;
        Ok(connection.started())
    }
}

impl<P: Provider, V: Verifier> Role<P> for Client<'_, P, V> {
    fn provider(&self) -> &P {
        &self.config.provider
    }
    fn takes_tickets(&self) -> bool {
        true
    }
    fn ticket(&mut self, body: &[u8]) -> Result<(), Alert> {
        let ticket = NewSessionTicket::parse(body)?;
        if ticket.extensions.has_duplicates() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let (Some(sessions), Some((suite, secret))) = (self.config.sessions, &self.resumption) else {
            return Ok(());
        };
        let lifetime = Duration::from_secs(ticket.ticket_lifetime.into()).min(LONGEST);
        let max_early_data = match ticket.extensions.find(ExtensionType::EARLY_DATA) {
            Some(data) => u32::from_be_bytes(data.try_into().map_err(|_| Alert::DECODE_ERROR)?),
            None => 0,
        };
        let (hash, len) = (suite.hash(), suite.hash().len());
        let provider = &self.config.provider;
        let psk = expand_label(provider, hash, secret, b"resumption", ticket.ticket_nonce, len);
        let session = Session::new(*suite, psk, lifetime, ticket.ticket);
        // A ticket that is good for no time at all is for now, and we have no use for it.
        if let Some(session) = session.filter(|_| !lifetime.is_zero()) {
            let (age_add, record_limit) = (ticket.ticket_age_add, self.record_limit);
            let protocol = self.protocol_index();
            sessions.put(
                self.server_name,
                Session { age_add, max_early_data, record_limit, protocol, ..session },
            );
        }
        Ok(())
    }
    fn exporter(&self) -> Option<&Exporter> {
        self.exporter.as_ref()
    }
    fn resumed(&self) -> bool {
        self.resumed
    }
    fn peer(&self) -> Option<&[u8; 32]> {
        self.peer.as_ref()
    }
    fn early_data(&mut self) -> &mut usize {
        self.no_early_data = 0;
        &mut self.no_early_data
    }
    fn early_data_accepted(&self) -> bool {
        self.accepted_early_data
    }
    fn early_exporter(&self) -> Option<&Exporter> {
        self.early_exporter.as_ref()
    }
    fn protocol(&self) -> Option<&[u8]> {
        self.protocol
    }
    #[cfg(feature = "post-handshake-authentication")]
    fn late(&mut self, message: Message<'_>, _: Option<&Secret>) -> Result<bool, Alert> {
        self.asked(message)
    }
    #[cfg(feature = "post-handshake-authentication")]
    fn owes_answer(&self) -> bool {
        matches!(&self.state, State::Connected(known) if known.owes_answer())
    }
    #[cfg(feature = "post-handshake-authentication")]
    fn answer<B: AsRef<[u8]> + AsMut<[u8]>>(&mut self, out: &mut Flight<'_, P, B>) -> Result<(), Alert> {
        self.authenticate(out)
    }
    #[cfg(feature = "tls12")]
    fn change_cipher_spec(&mut self) -> Result<Option<Protection<P>>, Alert> {
        let State::Tls12(state) = &mut self.state else { return Ok(None) };
        state.expects.change_cipher_spec()?;
        state.agreed.keys(&self.config.provider, crate::tls12::Side::Server).map(Some)
    }
    #[cfg(feature = "tls12")]
    fn awaits_status(&self) -> bool {
        matches!(&self.state, State::Tls12(state) if state.awaits_status())
    }
    fn handle<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        message: Message<'_>,
        room: usize,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        match core::mem::replace(&mut self.state, State::Done) {
            State::AwaitServerHello(state) if message.kind == HandshakeType::SERVER_HELLO => {
                let hello = ServerHello::parse(message.body)?;
                if hello.extensions.has_duplicates() {
                    return Err(Alert::ILLEGAL_PARAMETER);
                }
                #[cfg(feature = "tls12")]
                if self.takes_tls12(&hello) {
                    return self.hello_tls12(state, hello, message, out);
                }
                match *hello.random == HELLO_RETRY_REQUEST {
                    true => self.retry(state, hello, message, room, out),
                    false => self.hello(state, hello, message, out),
                }
            }
            State::Handshake(state) => {
                let asked = self.config.wants_compressed() && matches!(state.expects, Expects::Certificate);
                with_unpacked(message, asked, room, |message| self.protected(state, message, out))
            }
            #[cfg(feature = "tls12")]
            State::Tls12(state) => self.handle_tls12(state, message, out),
            _ => Err(Alert::UNEXPECTED_MESSAGE),
        }
    }
}

impl<'c, P: Provider, V: Verifier> Client<'c, P, V> {
    fn protected<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        mut state: Handshake<'c, P>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        state.expects = match (state.expects, message.kind) {
            (Expects::EncryptedExtensions, HandshakeType::ENCRYPTED_EXTENSIONS) => {
                state.kinds =
                    self.encrypted_extensions(message.body, state.suite, &state.client_traffic, out)?;
                if self.resumed { Expects::Finished } else { Expects::Certificate }
            }
            (Expects::Certificate, HandshakeType::CERTIFICATE_REQUEST)
                if state.wanted.requested == Requested::No =>
            {
                let (context, wanted) = self.certificate_request(message.body)?;
                if !context.is_empty() {
                    return Err(Alert::ILLEGAL_PARAMETER);
                }
                state.wanted = wanted;
                Expects::Certificate
            }
            (Expects::Certificate, HandshakeType::CERTIFICATE) => {
                Expects::CertificateVerify(self.certificate(message.body, state.kinds.server)?)
            }
            (Expects::CertificateVerify(key), HandshakeType::CERTIFICATE_VERIFY) => {
                let provider = &self.config.provider;
                key.check(provider, SERVER_CONTEXT, &state.transcript.current(), message.body)?;
                self.peer = Some(key.pin(provider));
                Expects::Finished
            }
            (Expects::Finished, HandshakeType::FINISHED) => {
                state.expects = Expects::Finished;
                return self.finished(state, message, out);
            }
            _ => return Err(Alert::UNEXPECTED_MESSAGE),
        };
        state.transcript.update(message.whole);
        self.state = State::Handshake(state);
        Ok(Step::Continue)
    }

    fn encrypted_extensions<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        body: &[u8],
        suite: CipherSuite,
        client_traffic: &Secret,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Kinds, Alert> {
        let mut reader = Reader::new(body);
        let extensions = Extensions::parse(reader.vector16()?)?;
        reader.end()?;
        if extensions.has_duplicates() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        self.record_limit = MAX_PLAINTEXT as u16;
        let [of_server, of_client] = self.config.certificate_types();
        let mut kinds = Kinds { server: CertificateType::X509, client: CertificateType::X509 };
        for extension in extensions.iter() {
            match extension.kind {
                ExtensionType::SUPPORTED_GROUPS => {}
                ExtensionType::EARLY_DATA if self.early.is_some() && extension.data.is_empty() => {
                    self.accepted_early_data = true;
                }
                ExtensionType::SERVER_NAME if self.names_a_host() && extension.data.is_empty() => {}
                ExtensionType::SERVER_CERTIFICATE_TYPE if of_server != X509 && !self.resumed => {
                    kinds.server = CertificateType::chosen(of_server, extension.data)?;
                }
                ExtensionType::CLIENT_CERTIFICATE_TYPE if of_client != X509 && !self.resumed => {
                    kinds.client = CertificateType::chosen(of_client, extension.data)?;
                }
                ExtensionType::RECORD_SIZE_LIMIT => {
                    self.record_limit = record_size_limit(extension.data)?.min(MAX_PLAINTEXT) as u16;
                }
                ExtensionType::APPLICATION_LAYER_PROTOCOL_NEGOTIATION
                    if !self.config.protocols.is_empty() =>
                {
                    self.protocol = Some(self.chosen_protocol(extension.data)?);
                }
                _ => return Err(Alert::UNSUPPORTED_EXTENSION),
            }
        }
        // A server that does not know the extension shows a certificate.
        if !self.resumed && !of_server.contains(&kinds.server) {
            return Err(Alert::UNSUPPORTED_CERTIFICATE);
        }
        out.0.limit(self.record_limit.into());
        let protocol = self.protocol_index();
        match &self.early {
            // What was sent early was meant for the protocol of then.
            Some(early) if self.accepted_early_data && early.protocol != protocol => {
                Err(Alert::ILLEGAL_PARAMETER)
            }
            Some(_) if !self.accepted_early_data => {
                self.early = None;
                out.0.protect_with(&self.config.provider, suite, client_traffic.clone())?;
                Ok(kinds)
            }
            _ => Ok(kinds),
        }
    }

    /// Which of our protocols was chosen.
    fn protocol_index(&self) -> Option<u8> {
        let index = self.config.protocols.iter().position(|name| Some(*name) == self.protocol)?;
        u8::try_from(index).ok()
    }

    /// The one of our protocols that the server chose.
    fn chosen_protocol(&self, data: &[u8]) -> Result<&'c [u8], Alert> {
        let names = ProtocolNames::parse(data)?;
        let mut names = names.iter();
        let (chosen, more) = (names.next(), names.next());
        let mut ours = self.config.protocols.iter().copied();
        let chosen = ours.find(|name| Some(*name) == chosen && more.is_none());
        chosen.ok_or(Alert::ILLEGAL_PARAMETER)
    }

    fn certificate(&self, body: &[u8], kind: CertificateType) -> Result<PublicKey, Alert> {
        let list = CertificateList::parse(body)?;
        if !list.certificate_request_context.is_empty() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let status = self.config.verifier.wants_status();
        let asked = |kind| status && kind == ExtensionType::STATUS_REQUEST;
        let mut extensions = list.entries().flat_map(|(_, extensions)| extensions.iter());
        if !extensions.all(|extension| asked(extension.kind)) {
            return Err(Alert::UNSUPPORTED_EXTENSION);
        }
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.4
        //# If the server supplies an empty Certificate message, the client MUST
        //# abort the handshake with a "decode_error" alert.
        let key = PublicKey::of(list, kind)?;
        match kind {
            CertificateType::X509 => self.config.verifier.verify(self.server_name, list.entries())?,
            CertificateType::RawPublicKey => self.config.verifier.verify_key(self.server_name, key.spki())?,
        }
        Ok(key)
    }

    fn finished<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        mut state: Handshake<'c, P>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let expected = state.schedule.finished(&state.server_traffic, &state.transcript.current());
        check_finished(&expected, message.body)?;
        state.transcript.update(message.whole);
        let hash = state.transcript.current();
        let provider = &self.config.provider;
        if self.early.is_some() {
            self.end_early_data(&mut state.transcript, out)?;
            out.0.protect_with(provider, state.suite, state.client_traffic.clone())?;
        }
        out.0.handshake(|out| {
            if state.wanted.requested != Requested::No {
                self.show(out, &mut state.transcript, state.wanted, state.kinds.client, &[])?;
            }
            let finished = state.schedule.finished(&state.client_traffic, &state.transcript.current());
            let start = out.len();
            emit_message(out, HandshakeType::FINISHED, |out| Ok(out.bytes(&finished)?))?;
            state.transcript.update(out.since(start));
            Ok(())
        })?;
        state.schedule.main();
        let client = state.schedule.derive(b"c ap traffic", &hash);
        let server = state.schedule.derive(b"s ap traffic", &hash);
        let exporter = state.schedule.derive(b"exp master", &hash);
        self.log("CLIENT_TRAFFIC_SECRET_0", &client);
        self.log("SERVER_TRAFFIC_SECRET_0", &server);
        self.log("EXPORTER_SECRET", &exporter);
        self.exporter = Some(Exporter::new(state.suite.hash(), exporter));
        if self.config.sessions.is_some() {
            let secret = state.schedule.derive(b"res master", &state.transcript.current());
            self.resumption = Some((state.suite, secret));
        }
        out.0.protect_with(provider, state.suite, client)?;
        #[cfg(feature = "post-handshake-authentication")]
        if self.config.post_handshake_auth() {
            self.state = State::Connected(authentication::Known::new(state.suite, state.transcript));
        }
        Protection::new(provider, state.suite, server).map(Step::Connected).ok_or(Alert::INTERNAL_ERROR)
    }

    /// Writes Certificate, and CertificateVerify unless that is empty because we have none that would do (RFC 8446 section
    /// 4.4.2.3), in answer to a request of this context.
    fn show(
        &self,
        out: &mut Writer<'_>,
        transcript: &mut P::Transcript,
        wanted: Wanted,
        kind: CertificateType,
        context: &[u8],
    ) -> Result<(), Alert> {
        let start = out.len();
        let scheme = if let Requested::Signed(scheme) = wanted.requested { Some(scheme) } else { None };
        let [_, types] = self.config.certificate_types();
        let certificate = self.config.certificate.zip(scheme).filter(|_| types.contains(&kind));
        let chain = certificate.map_or(&[][..], |(certificate, _)| certificate.chain);
        let key = bare(chain).filter(|_| kind == CertificateType::RawPublicKey);
        let chain = key.as_ref().map_or(chain, core::slice::from_ref);
        let compressed =
            certificate.and_then(|(certificate, _)| certificate.compressed(false, wanted.unpacks));
        match compressed.filter(|_| kind == CertificateType::X509) {
            Some(compressed) => {
                emit_message(out, HandshakeType::COMPRESSED_CERTIFICATE, |out| Ok(out.bytes(compressed)?))?
            }
            None => emit_message(out, HandshakeType::CERTIFICATE, |out| {
                Ok(CertificateList::emit(out, context, chain, None)?)
            })?,
        }
        transcript.update(out.since(start));
        if let Some((certificate, scheme)) = certificate {
            let (start, hash) = (out.len(), transcript.current());
            emit_message(out, HandshakeType::CERTIFICATE_VERIFY, |out| {
                emit_certificate_verify(out, certificate.key, scheme, CLIENT_CONTEXT, &hash)
            })?;
            transcript.update(out.since(start));
        }
        Ok(())
    }

    /// The context of a CertificateRequest, and what it wants of us.
    fn certificate_request<'m>(&self, body: &'m [u8]) -> Result<(&'m [u8], Wanted), Alert> {
        let mut reader = Reader::new(body);
        let context = reader.vector8()?;
        let extensions = Extensions::parse(reader.vector16()?)?;
        reader.end()?;
        let schemes = extensions.find(ExtensionType::SIGNATURE_ALGORITHMS).ok_or(Alert::MISSING_EXTENSION)?;
        let unpacks = compression::unpacks(extensions.find(ExtensionType::COMPRESS_CERTIFICATE))?;
        let schemes = U16List::parse(schemes)?;
        let scheme = self.config.certificate.and_then(|certificate| certificate.scheme(schemes));
        let requested = scheme.map_or(Requested::Empty, Requested::Signed);
        Ok((context, Wanted { requested, unpacks }))
    }

    fn log(&self, label: &str, secret: &Secret) {
        if let Some(log) = self.config.key_log {
            log.log(label, &self.random, secret);
        }
    }
}

#[cfg(test)]
impl<P: Provider, V> Client<'_, P, V> {
    /// Makes it believe that something else was said, so that the right signature is wrong; or that the
    /// server has another secret, so that the right Finished is.
    pub(crate) fn mishear(&mut self, said: bool) {
        match &mut self.state {
            #[cfg(feature = "tls12")]
            State::Tls12(state) => state.agreed.transcripts.update(b"?"),
            State::Handshake(state) if said => state.transcript.update(b"?"),
            State::Handshake(state) => state.server_traffic = Secret::new(b"?"),
            _ => {}
        }
    }
    /// Makes it believe that it offered no early data, or some for this protocol.
    #[cfg(feature = "early-data")]
    pub(crate) fn expect_early_data(&mut self, protocol: Option<Option<u8>>) {
        match (&mut self.early, protocol) {
            (Some(early), Some(protocol)) => early.protocol = protocol,
            (early, _) => *early = None,
        }
    }
}
