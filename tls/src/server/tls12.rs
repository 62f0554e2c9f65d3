//! The server's side of TLS 1.2's handshake: RFC 5246 section 7.3.
mod resumption;

use super::{Server, State, halves, hello::host_name};
use crate::{
    Alert, Version,
    certificate_type::CertificateType,
    connection::{Flight, Step},
    crypto::{CipherSuite, KeyExchange, NamedGroup, Provider, Secret, SignatureScheme},
    exchange::{TLS13, check_finished, emit_protocols, emit_record_size_limit, from_seed, record_size_limit},
    outgoing::emit_message,
    protection::MAX_OVERHEAD,
    signature::{PublicKey, emit_signature},
    tls12::{
        Agreed, EMPTY_RENEGOTIATION_INFO_SCSV, Expects, FALLBACK_SCSV, SENTINEL, Side, TLS12, Transcripts,
        check_renegotiation_info, emit_extension, emit_parameters, groups, suite_number,
    },
    wire::{
        CertificateList, CertificateVerify, ClientHello, ExtensionType, HandshakeType, MAX_PLAINTEXT,
        Message, Reader, ServerHello, U16List, Writer,
    },
};

/// ClientCertificateTypes (RFC 8422 section 5.5, RFC 5246 section 7.4.4): ecdsa_sign, rsa_sign.
const CERTIFICATE_TYPES: [u8; 2] = [64, 1];

/// A handshake from the ServerHelloDone on.
pub(super) struct Handshake<P: Provider> {
    pub(super) expects: Expects<Awaited<P>>,
    pub(super) agreed: Agreed<P>,
    /// The number of the suite, if the client was promised a ticket.
    ticket: Option<u16>,
}

/// What a ServerHello says, whether a session is resumed with it or not.
struct Greeting<'g> {
    random: [u8; 32],
    renegotiation_info: bool,
    point_formats: bool,
    protocol: Option<&'g [u8]>,
    /// Bytes of our incoming buffer, for a client that knows limits.
    room: Option<usize>,
    ticket: bool,
}

impl Greeting<'_> {
    /// Writes it; `more` are extensions that say nothing but that they are there, if they are.
    fn emit(
        &self,
        out: &mut Writer<'_>,
        session_id: &[u8],
        suite: u16,
        more: &[(ExtensionType, bool)],
    ) -> Result<(), Alert> {
        emit_message(out, HandshakeType::SERVER_HELLO, |out| {
            ServerHello::emit_head(out, &self.random, session_id, suite)?;
            let block = out.block(2)?;
            emit_extension(out, ExtensionType::EXTENDED_MASTER_SECRET, &[])?;
            if self.renegotiation_info {
                emit_extension(out, ExtensionType::RENEGOTIATION_INFO, &[0])?;
            }
            if self.point_formats {
                emit_extension(out, ExtensionType::EC_POINT_FORMATS, &[1, 0])?;
            }
            if let Some(protocol) = self.protocol {
                emit_protocols(out, &[protocol])?;
            }
            if let Some(room) = self.room {
                emit_record_size_limit(out, room, MAX_OVERHEAD, MAX_PLAINTEXT)?;
            }
            let ticket = (ExtensionType::SESSION_TICKET, self.ticket);
            for (kind, _) in more.iter().chain([&ticket]).filter(|(_, there)| *there) {
                emit_extension(out, *kind, &[])?;
            }
            Ok(out.end(block)?)
        })
    }
}

/// What the client sends next.
// One per connection, beside buffers many times as large; there may be no allocator to box with.
#[allow(clippy::large_enum_variant)]
pub(super) enum Awaited<P: Provider> {
    Certificate { required: bool, exchange: P::KeyExchange },
    ClientKeyExchange { client: Option<PublicKey>, exchange: P::KeyExchange },
    CertificateVerify(PublicKey),
}

/// The curve of a certificate's key, which the client must know too (RFC 8422 section 5.1).
const fn curve(scheme: SignatureScheme) -> Option<NamedGroup> {
    match scheme {
        SignatureScheme::ECDSA_SECP256R1_SHA256 => Some(NamedGroup::SECP256R1),
        SignatureScheme::ECDSA_SECP384R1_SHA384 => Some(NamedGroup::SECP384R1),
        _ => None,
    }
}

/// Checks what a hello must say of itself to a server of this version at best. Whether it says that it knows secure
/// renegotiation.
fn check(hello: &ClientHello<'_>, best: Version) -> Result<bool, Alert> {
    let extensions = hello.extensions;
    if extensions.has_duplicates() || !hello.legacy_compression_methods.contains(&0) {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    //= https://www.rfc-editor.org/rfc/rfc7507#section-3
    //# If TLS_FALLBACK_SCSV appears in ClientHello.cipher_suites and the
    //# highest protocol version supported by the server is higher than
    //# the version indicated in ClientHello.client_version, the server
    //# MUST respond with a fatal inappropriate_fallback alert
    if best.lets_tls13() && hello.cipher_suites.contains(FALLBACK_SCSV) {
        return Err(Alert::INAPPROPRIATE_FALLBACK);
    }
    match extensions.find(ExtensionType::EXTENDED_MASTER_SECRET) {
        None => return Err(Alert::HANDSHAKE_FAILURE),
        Some([]) => {}
        Some(_) => return Err(Alert::DECODE_ERROR),
    }
    if let Some(data) = extensions.find(ExtensionType::EC_POINT_FORMATS) {
        let mut reader = Reader::new(data);
        let formats = reader.vector8()?;
        reader.end()?;
        // Everybody must take uncompressed points, and say so if they say anything (RFC 8422 section 5.1.2).
        if !formats.contains(&0) {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
    }
    let renegotiation = extensions.find(ExtensionType::RENEGOTIATION_INFO);
    renegotiation.map_or(Ok(()), check_renegotiation_info)?;
    Ok(renegotiation.is_some() || hello.cipher_suites.contains(EMPTY_RENEGOTIATION_INFO_SCSV))
}

impl<'c, P: Provider> Server<'c, P> {
    /// Whether the client gets TLS 1.2: it cannot do better, and the configuration lets it.
    pub(super) fn takes_tls12(&self, hello: &ClientHello<'_>) -> Result<bool, Alert> {
        if !self.config.minimum_version.lets_tls12() {
            return Ok(false);
        }
        let Some(versions) = hello.extensions.find(ExtensionType::SUPPORTED_VERSIONS) else {
            return Ok(hello.legacy_version >= TLS12);
        };
        let versions = U16List::parse8(versions)?;
        let better = self.config.maximum_version.lets_tls13() && versions.contains(TLS13);
        Ok(!better && versions.contains(TLS12))
    }

    pub(super) fn hello_tls12<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        hello: &ClientHello<'_>,
        message: Message<'_>,
        room: usize,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let best = self.config.maximum_version;
        let renegotiation_info = check(hello, best)?;
        let (extensions, provider) = (hello.extensions, &self.config.provider);
        let host = extensions.find(ExtensionType::SERVER_NAME).map(host_name).transpose()?.flatten();
        self.remember_host(host);
        self.client_random = *hello.random;
        self.protocol = self.agree_on_protocol(extensions)?;
        if let Some(limit) = extensions.find(ExtensionType::RECORD_SIZE_LIMIT) {
            out.0.limit(record_size_limit(limit)?);
        }
        let [random, seed] = halves(&self.random);
        let mut randoms = [0; 64];
        let (client_random, server_random) = randoms.split_at_mut(32);
        client_random.copy_from_slice(hello.random);
        server_random.copy_from_slice(random);
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3
        //# TLS 1.3 servers which negotiate TLS 1.2 or below in
        //# response to a ClientHello MUST set the last 8 bytes of their Random
        //# value specially in their ServerHello.
        if let Some(end) = randoms.last_chunk_mut().filter(|_| best.lets_tls13()) {
            *end = SENTINEL;
        }
        let mut transcripts = Transcripts::new(provider);
        transcripts.update(message.whole);
        let ticket = extensions.find(ExtensionType::SESSION_TICKET).filter(|_| self.config.tickets.is_some());
        let has = |kind| extensions.find(kind).is_some();
        let protocol = self.protocol.and_then(|index| self.config.protocols.get(usize::from(index)));
        let greeting = Greeting {
            random: *randoms.last_chunk().ok_or(Alert::INTERNAL_ERROR)?,
            renegotiation_info,
            point_formats: has(ExtensionType::EC_POINT_FORMATS),
            protocol: protocol.copied(),
            room: has(ExtensionType::RECORD_SIZE_LIMIT).then_some(room),
            ticket: ticket.is_some(),
        };
        if let Some(session) = ticket.and_then(|ticket| self.session_tls12(hello, ticket)) {
            return self.resume_tls12(session, &greeting, hello, transcripts, randoms, out);
        }

        let offered = extensions.find(ExtensionType::SUPPORTED_GROUPS).map(U16List::parse).transpose()?;
        let offers = |group: NamedGroup| match offered {
            Some(offered) => offered.contains(group.0),
            None => group == NamedGroup::SECP256R1,
        };
        let group = groups(provider).find(|group| offers(*group)).ok_or(Alert::HANDSHAKE_FAILURE)?;
        // Who names no schemes means SHA-1.
        let schemes = extensions.find(ExtensionType::SIGNATURE_ALGORITHMS).ok_or(Alert::HANDSHAKE_FAILURE)?;
        let (certificate, scheme) = self.certificate(host, U16List::parse(schemes)?)?;
        let number = |suite: &CipherSuite| suite_number(*suite, scheme.is_rsa());
        let common = |suite: &&CipherSuite| number(suite).is_some_and(|n| hello.cipher_suites.contains(n));
        let suite = *provider.cipher_suites().iter().find(common).ok_or(Alert::HANDSHAKE_FAILURE)?;
        let number = number(&suite).ok_or(Alert::INTERNAL_ERROR)?;
        if curve(scheme).is_some_and(|curve| !offers(curve)) {
            return Err(Alert::HANDSHAKE_FAILURE);
        }
        // Raw public keys are not spoken of here.
        let [ours, clients] = self.config.certificate_types();
        let lists = |types: &[CertificateType]| types.contains(&CertificateType::X509);
        if !lists(ours) || (self.config.clients.is_some() && !lists(clients)) {
            return Err(Alert::UNSUPPORTED_CERTIFICATE);
        }
        let types = extensions.find(ExtensionType::SERVER_CERTIFICATE_TYPE);
        CertificateType::choose(&[CertificateType::X509], types)?;
        let ocsp = certificate.ocsp.filter(|_| has(ExtensionType::STATUS_REQUEST));
        let named = host.is_some_and(|host| self.config.certificates.iter().any(|one| one.is_for(host)));
        let more = [(ExtensionType::SERVER_NAME, named), (ExtensionType::STATUS_REQUEST, ocsp.is_some())];

        let exchange = from_seed(provider, seed, |seed| provider.key_exchange(group, seed));
        let exchange = exchange.ok_or(Alert::INTERNAL_ERROR)?;
        out.0.handshake(|out| {
            let start = out.len();
            greeting.emit(out, &[], number, &more)?;
            emit_message(out, HandshakeType::CERTIFICATE, |out| {
                Ok(CertificateList::emit_tls12(out, certificate.chain)?)
            })?;
            if let Some(response) = ocsp {
                emit_message(out, HandshakeType::CERTIFICATE_STATUS, |out| {
                    // ocsp
                    out.u8(1)?;
                    let block = out.block(3)?;
                    out.bytes(response)?;
                    Ok(out.end(block)?)
                })?;
            }
            emit_message(out, HandshakeType::SERVER_KEY_EXCHANGE, |out| {
                let signed = emit_parameters(out, group, &randoms, |out| exchange.public(out))?;
                emit_signature(out, scheme, |out| certificate.key.sign(scheme, signed.bytes(), out))
            })?;
            if self.config.clients.is_some() {
                emit_message(out, HandshakeType::CERTIFICATE_REQUEST, |out| self.certificate_request(out))?;
            }
            emit_message(out, HandshakeType::SERVER_HELLO_DONE, |_| Ok(()))?;
            transcripts.update(out.since(start));
            Ok(())
        })?;
        let expects = Expects::Message(match self.config.clients {
            Some(clients) => Awaited::Certificate { required: clients.required, exchange },
            None => Awaited::ClientKeyExchange { client: None, exchange },
        });
        let master = Secret::zeros(0);
        let agreed = Agreed { suite, transcripts, randoms, master };
        let ticket = Some(number).filter(|_| greeting.ticket);
        self.state = State::Tls12(Handshake { expects, agreed, ticket });
        Ok(Step::Continue)
    }

    /// Only schemes whose hash of all messages there will be (RFC 5246 section 7.4.4); no names of authorities.
    fn certificate_request(&self, out: &mut Writer<'_>) -> Result<(), Alert> {
        let types = out.block(1)?;
        out.bytes(&CERTIFICATE_TYPES)?;
        out.end(types)?;
        let schemes = out.block(2)?;
        for scheme in self.config.provider.signature_schemes() {
            if scheme.hash().is_some() {
                out.u16(scheme.0)?;
            }
        }
        out.end(schemes)?;
        Ok(out.u16(0)?)
    }

    pub(super) fn handle_tls12<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        mut state: Handshake<P>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let provider = &self.config.provider;
        state.expects = match (state.expects, message.kind) {
            (Expects::Message(Awaited::Certificate { required, exchange }), HandshakeType::CERTIFICATE) => {
                let list = CertificateList::parse_tls12(message.body)?;
                let client = match (list.entries().next(), self.config.clients) {
                    //= https://www.rfc-editor.org/rfc/rfc5246#section-7.4.6
                    //# If the client does not send any certificates, the
                    //# server MAY at its discretion either continue the handshake without
                    //# client authentication, or respond with a fatal handshake_failure
                    //# alert.
                    (None, _) if required => return Err(Alert::HANDSHAKE_FAILURE),
                    (None, _) => None,
                    (Some(_), Some(clients)) => {
                        let key = PublicKey::of(list, CertificateType::X509)?;
                        clients.verifier.verify_client(list.entries())?;
                        Some(key)
                    }
                    (Some(_), None) => return Err(Alert::INTERNAL_ERROR),
                };
                Expects::Message(Awaited::ClientKeyExchange { client, exchange })
            }
            (
                Expects::Message(Awaited::ClientKeyExchange { client, exchange }),
                HandshakeType::CLIENT_KEY_EXCHANGE,
            ) => {
                let mut reader = Reader::new(message.body);
                let share = reader.vector8()?;
                reader.end()?;
                let shared = exchange.agree(share).ok_or(Alert::ILLEGAL_PARAMETER)?;
                state.agreed.transcripts.update(message.whole);
                state.agreed.share(provider, &shared);
                self.log("CLIENT_RANDOM", &state.agreed.master);
                state.expects = client.map_or(Expects::ChangeCipherSpec(()), |key| {
                    Expects::Message(Awaited::CertificateVerify(key))
                });
                self.state = State::Tls12(state);
                return Ok(Step::Continue);
            }
            (Expects::Message(Awaited::CertificateVerify(key)), HandshakeType::CERTIFICATE_VERIFY) => {
                let verify = CertificateVerify::parse(message.body)?;
                let scheme = SignatureScheme(verify.algorithm);
                let hash = scheme.hash().filter(|_| provider.signature_schemes().contains(&scheme));
                let said = state.agreed.transcripts.current(hash.ok_or(Alert::ILLEGAL_PARAMETER)?);
                if !provider.verify_hash(scheme, key.spki(), &said, verify.signature) {
                    return Err(Alert::DECRYPT_ERROR);
                }
                self.peer = Some(key.pin(provider));
                Expects::ChangeCipherSpec(())
            }
            (Expects::Finished(()), HandshakeType::FINISHED) => {
                state.expects = Expects::Finished(());
                return self.finished_tls12(state, message, out);
            }
            _ => return Err(Alert::UNEXPECTED_MESSAGE),
        };
        state.agreed.transcripts.update(message.whole);
        self.state = State::Tls12(state);
        Ok(Step::Continue)
    }

    fn finished_tls12<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        mut state: Handshake<P>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let provider = &self.config.provider;
        check_finished(&state.agreed.finished(provider, Side::Client), message.body)?;
        // In a session that is resumed ours came first.
        if !self.resumed {
            state.agreed.transcripts.update(message.whole);
            if let Some(number) = state.ticket {
                out.0.handshake(|out| {
                    let start = out.len();
                    self.ticket_tls12(number, &state.agreed.master, out)?;
                    state.agreed.transcripts.update(out.since(start));
                    Ok(())
                })?;
            }
            state.agreed.finish(provider, Side::Server, out)?;
        }
        self.exporter = Some(state.agreed.exporter());
        Ok(Step::Finished)
    }
}
