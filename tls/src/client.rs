//! The client's side of the handshake: RFC 8446 sections 2, 4 and appendix A.1.
use crate::{
    Alert,
    connection::{Connection, Flight, Role, Step},
    crypto::{
        CipherSuite, Hash, KeyExchange, NamedGroup, Provider, Secret, SignatureScheme, Transcript,
        subject_public_key_info,
    },
    key_schedule::KeySchedule,
    outgoing::emit_message,
    protection::Protection,
    server::{
        Share, emit_protocols, emit_record_size_limit, key_exchange, key_share, message_hash,
        record_size_limit,
    },
    signature::{SERVER_CONTEXT, signed_content},
    verifier::Verifier,
    wire::{
        CertificateList, CertificateVerify, ExtensionType, Extensions, HELLO_RETRY_REQUEST, HandshakeType,
        Message, ProtocolNames, Reader, ServerHello, Writer,
    },
};
use airglow_device::Entropy;
use core::net::IpAddr;
use zeroize::Zeroizing;

/// Longest SubjectPublicKeyInfo that is kept until CertificateVerify; those of P-256 take 91 bytes.
const MAX_PUBLIC_KEY: usize = 128;
/// RFC 8446 section 4.1.3: a server that could have done better says so at the end of its random.
const DOWNGRADE: [[u8; 8]; 2] = [*b"DOWNGRD\x01", *b"DOWNGRD\x00"];

/// What a client wants; shared by its connections.
#[derive(Clone, Copy, Debug)]
pub struct ClientConfig<'c, P, V> {
    /// The primitives; its order of suites and groups is the client's preference.
    pub provider: P,
    /// Says whether a server's certificates are good.
    pub verifier: V,
    /// Application protocols to offer (RFC 7301), best first.
    pub protocols: &'c [&'c [u8]],
}

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
}

struct AwaitServerHello<P: Provider> {
    exchange: P::KeyExchange,
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
    /// The server has asked for a certificate.
    requested: bool,
    public_key: [u8; MAX_PUBLIC_KEY],
    public_key_len: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    EncryptedExtensions,
    Certificate,
    CertificateVerify,
    Finished,
}

// One per connection, beside buffers many times as large; there may be no allocator to box with.
#[allow(clippy::large_enum_variant)]
enum State<'c, P: Provider> {
    AwaitServerHello(AwaitServerHello<P>),
    Handshake(Handshake<'c, P>),
    Done,
}

impl<'c, P: Provider, V: Verifier, B: AsRef<[u8]> + AsMut<[u8]>> Connection<Client<'c, P, V>, P, B> {
    /// A client that wants to talk to `server_name`, a host name or an IP address; its ClientHello is in
    /// [`output`](Connection::output). `incoming` must hold the server's certificates and the largest record
    /// ([`BUFFER`](crate::BUFFER) suits most; less is told to the server), `outgoing` one KiB or more.
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
    fn early_data(&mut self) -> &mut usize {
        self.no_early_data = 0;
        &mut self.no_early_data
    }
    fn protocol(&self) -> Option<&[u8]> {
        self.protocol
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
                match *hello.random == HELLO_RETRY_REQUEST {
                    true => self.retry(state, hello, message, room, out),
                    false => self.hello(state, hello, message, out),
                }
            }
            State::Handshake(state) => self.protected(state, message, out),
            _ => Err(Alert::UNEXPECTED_MESSAGE),
        }
    }
}

impl<'c, P: Provider, V: Verifier> Client<'c, P, V> {
    fn start<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        room: usize,
        out: &mut Flight<'_, P, B>,
    ) -> Result<(), Alert> {
        let provider = &self.config.provider;
        let group = provider.groups().first().copied().ok_or(Alert::INTERNAL_ERROR)?;
        let exchange = key_exchange(provider, group, &self.seed).ok_or(Alert::INTERNAL_ERROR)?;
        let mut hellos = [provider.hash(Hash::Sha256), provider.hash(Hash::Sha384)];
        out.0.handshake(|out| {
            let start = out.len();
            self.client_hello(out, &exchange, None, room)?;
            hellos.iter_mut().for_each(|hello| hello.update(out.since(start)));
            Ok(())
        })?;
        self.state = State::AwaitServerHello(AwaitServerHello { exchange, hellos, retry: None });
        Ok(())
    }

    fn client_hello(
        &self,
        out: &mut Writer<'_>,
        exchange: &P::KeyExchange,
        cookie: Option<&[u8]>,
        room: usize,
    ) -> Result<(), Alert> {
        let provider = &self.config.provider;
        emit_message(out, HandshakeType::CLIENT_HELLO, |out| {
            out.u16(0x0303)?;
            out.bytes(&self.random)?;
            out.u8(32)?;
            out.bytes(&self.session_id)?;
            let suites = out.block(2)?;
            for suite in provider.cipher_suites() {
                out.u16(suite.0)?;
            }
            out.end(suites)?;
            out.bytes(&[1, 0])?;
            let extensions = out.block(2)?;
            if self.names_a_host() {
                out.u16(ExtensionType::SERVER_NAME.0)?;
                let (data, list) = (out.block(2)?, out.block(2)?);
                out.u8(0)?;
                let name = out.block(2)?;
                out.bytes(self.server_name.trim_end_matches('.').as_bytes())?;
                out.end(name)?;
                out.end(list)?;
                out.end(data)?;
            }
            out.u16(ExtensionType::SUPPORTED_VERSIONS.0)?;
            out.bytes(&[0, 3, 2, 3, 4])?;
            let numbers =
                |out: &mut Writer<'_>, kind: ExtensionType, numbers: &mut dyn Iterator<Item = u16>| {
                    out.u16(kind.0)?;
                    let (data, list) = (out.block(2)?, out.block(2)?);
                    for number in numbers {
                        out.u16(number)?;
                    }
                    out.end(list)?;
                    out.end(data)
                };
            let mut groups = provider.groups().iter().map(|group| group.0);
            numbers(out, ExtensionType::SUPPORTED_GROUPS, &mut groups)?;
            let mut schemes = provider.signature_schemes().iter().map(|scheme| scheme.0);
            numbers(out, ExtensionType::SIGNATURE_ALGORITHMS, &mut schemes)?;
            out.u16(ExtensionType::KEY_SHARE.0)?;
            let (data, list) = (out.block(2)?, out.block(2)?);
            key_share(out, exchange.group(), &Share::new(exchange))?;
            out.end(list)?;
            out.end(data)?;
            if !self.config.protocols.is_empty() {
                emit_protocols(out, self.config.protocols)?;
            }
            emit_record_size_limit(out, room)?;
            if let Some(cookie) = cookie {
                out.u16(ExtensionType::COOKIE.0)?;
                let data = out.block(2)?;
                out.bytes(cookie)?;
                out.end(data)?;
            }
            Ok(out.end(extensions)?)
        })
    }

    /// Literal addresses are not allowed in `server_name` (RFC 6066 section 3).
    fn names_a_host(&self) -> bool {
        self.server_name.parse::<IpAddr>().is_err()
    }

    /// What a ServerHello and a HelloRetryRequest have in common.
    fn check(&self, state: &AwaitServerHello<P>, hello: &ServerHello<'_>) -> Result<CipherSuite, Alert> {
        match hello.extensions.find(ExtensionType::SUPPORTED_VERSIONS) {
            Some([3, 4]) => {}
            Some(_) => return Err(Alert::ILLEGAL_PARAMETER),
            None => {
                //= https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3
                //# TLS 1.3 clients receiving a ServerHello indicating TLS 1.2 or below
                //# MUST check that the last 8 bytes are not equal to either of these
                //# values.
                let downgraded = DOWNGRADE.iter().any(|sentinel| hello.random.ends_with(sentinel));
                return Err(if downgraded { Alert::ILLEGAL_PARAMETER } else { Alert::PROTOCOL_VERSION });
            }
        }
        let suite = CipherSuite(hello.cipher_suite);
        let offered = self.config.provider.cipher_suites().contains(&suite);
        let kept = state.retry.as_ref().is_none_or(|(retried, _)| *retried == suite);
        if !offered
            || !kept
            || hello.legacy_session_id_echo != self.session_id
            || hello.legacy_compression_method != 0
        {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        Ok(suite)
    }

    fn retry<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        state: AwaitServerHello<P>,
        hello: ServerHello<'_>,
        message: Message<'_>,
        room: usize,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let suite = self.check(&state, &hello)?;
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.1.4
        //# If a client receives a second
        //# HelloRetryRequest in the same connection (i.e., where the ClientHello
        //# was itself in response to a HelloRetryRequest), it MUST abort the
        //# handshake with an "unexpected_message" alert.
        if state.retry.is_some() {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        let (mut cookie, mut group) = (None, None);
        for extension in hello.extensions.iter() {
            match extension.kind {
                ExtensionType::SUPPORTED_VERSIONS => {}
                ExtensionType::COOKIE => {
                    let mut reader = Reader::new(extension.data);
                    if reader.vector16()?.is_empty() || !reader.is_empty() {
                        return Err(Alert::DECODE_ERROR);
                    }
                    cookie = Some(extension.data);
                }
                ExtensionType::KEY_SHARE => {
                    let mut reader = Reader::new(extension.data);
                    group = Some(NamedGroup(reader.u16()?));
                    reader.end()?;
                }
                _ => return Err(Alert::UNSUPPORTED_EXTENSION),
            }
        }
        let provider = &self.config.provider;
        let exchange = match group {
            Some(group) if group == state.exchange.group() || !provider.groups().contains(&group) => {
                return Err(Alert::ILLEGAL_PARAMETER);
            }
            Some(group) => {
                let seed = provider.hmac(Hash::Sha256, &*self.seed, &[b"second share"]);
                let seed = Zeroizing::new(*seed.first_chunk().ok_or(Alert::INTERNAL_ERROR)?);
                key_exchange(provider, group, &seed).ok_or(Alert::INTERNAL_ERROR)?
            }
            // A request that changes nothing is forbidden.
            None if cookie.is_none() => return Err(Alert::ILLEGAL_PARAMETER),
            None => state.exchange,
        };
        let mut transcript = message_hash(provider, suite, &first_hash::<P>(&state.hellos, suite).current());
        transcript.update(message.whole);
        out.0.change_cipher_spec()?;
        out.0.handshake(|out| {
            let start = out.len();
            self.client_hello(out, &exchange, cookie, room)?;
            transcript.update(out.since(start));
            Ok(())
        })?;
        let retry = Some((suite, transcript));
        self.state = State::AwaitServerHello(AwaitServerHello { exchange, hellos: state.hellos, retry });
        Ok(Step::Continue)
    }

    fn hello<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        state: AwaitServerHello<P>,
        hello: ServerHello<'_>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let suite = self.check(&state, &hello)?;
        let known = [ExtensionType::SUPPORTED_VERSIONS, ExtensionType::KEY_SHARE];
        if hello.extensions.iter().any(|extension| !known.contains(&extension.kind)) {
            return Err(Alert::UNSUPPORTED_EXTENSION);
        }
        let share = hello.extensions.find(ExtensionType::KEY_SHARE).ok_or(Alert::MISSING_EXTENSION)?;
        let mut reader = Reader::new(share);
        let (group, share) = (reader.u16()?, reader.vector16()?);
        reader.end()?;
        if group != state.exchange.group().0 {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let shared = state.exchange.agree(share).ok_or(Alert::ILLEGAL_PARAMETER)?;

        let provider = &self.config.provider;
        if state.retry.is_none() {
            out.0.change_cipher_spec()?;
        }
        let mut transcript = match state.retry {
            Some((_, transcript)) => transcript,
            None => first_hash::<P>(&state.hellos, suite).clone(),
        };
        transcript.update(message.whole);
        let mut schedule = KeySchedule::early(provider, suite.hash(), None);
        schedule.handshake(&shared);
        let hash = transcript.current();
        let client_traffic = schedule.derive(b"c hs traffic", &hash);
        let server_traffic = schedule.derive(b"s hs traffic", &hash);
        let keys =
            |secret: &Secret| Protection::new(provider, suite, secret.clone()).ok_or(Alert::INTERNAL_ERROR);
        out.0.protect(keys(&client_traffic)?);
        let read = keys(&server_traffic)?;
        self.state = State::Handshake(Handshake {
            expects: Expects::EncryptedExtensions,
            suite,
            schedule,
            transcript,
            client_traffic,
            server_traffic,
            requested: false,
            public_key: [0; MAX_PUBLIC_KEY],
            public_key_len: 0,
        });
        Ok(Step::Keys(read))
    }

    fn protected<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        mut state: Handshake<'c, P>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        state.expects = match (state.expects, message.kind) {
            (Expects::EncryptedExtensions, HandshakeType::ENCRYPTED_EXTENSIONS) => {
                self.encrypted_extensions(message.body, out)?;
                Expects::Certificate
            }
            (Expects::Certificate, HandshakeType::CERTIFICATE_REQUEST) if !state.requested => {
                certificate_request(message.body)?;
                state.requested = true;
                Expects::Certificate
            }
            (Expects::Certificate, HandshakeType::CERTIFICATE) => {
                self.certificate(&mut state, message.body)?;
                Expects::CertificateVerify
            }
            (Expects::CertificateVerify, HandshakeType::CERTIFICATE_VERIFY) => {
                let verify = CertificateVerify::parse(message.body)?;
                let scheme = SignatureScheme(verify.algorithm);
                if !self.config.provider.signature_schemes().contains(&scheme) {
                    return Err(Alert::ILLEGAL_PARAMETER);
                }
                let content = signed_content(SERVER_CONTEXT, &state.transcript.current());
                let key = state.public_key.get(..state.public_key_len).unwrap_or_default();
                if !self.config.provider.verify(scheme, key, content.bytes(), verify.signature) {
                    return Err(Alert::DECRYPT_ERROR);
                }
                Expects::Finished
            }
            (Expects::Finished, HandshakeType::FINISHED) => return self.finished(state, message, out),
            _ => return Err(Alert::UNEXPECTED_MESSAGE),
        };
        state.transcript.update(message.whole);
        self.state = State::Handshake(state);
        Ok(Step::Continue)
    }

    fn encrypted_extensions<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        body: &[u8],
        out: &mut Flight<'_, P, B>,
    ) -> Result<(), Alert> {
        let mut reader = Reader::new(body);
        let extensions = Extensions::parse(reader.vector16()?)?;
        reader.end()?;
        if extensions.has_duplicates() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        for extension in extensions.iter() {
            match extension.kind {
                ExtensionType::SUPPORTED_GROUPS => {}
                ExtensionType::SERVER_NAME if self.names_a_host() && extension.data.is_empty() => {}
                ExtensionType::RECORD_SIZE_LIMIT => out.0.limit(record_size_limit(extension.data)?),
                ExtensionType::APPLICATION_LAYER_PROTOCOL_NEGOTIATION
                    if !self.config.protocols.is_empty() =>
                {
                    let names = ProtocolNames::parse(extension.data)?;
                    let mut names = names.iter();
                    let (chosen, more) = (names.next(), names.next());
                    let mut ours = self.config.protocols.iter().copied();
                    self.protocol = ours.find(|name| Some(*name) == chosen && more.is_none());
                    if self.protocol.is_none() {
                        return Err(Alert::ILLEGAL_PARAMETER);
                    }
                }
                _ => return Err(Alert::UNSUPPORTED_EXTENSION),
            }
        }
        Ok(())
    }

    fn certificate(&self, state: &mut Handshake<'c, P>, body: &[u8]) -> Result<(), Alert> {
        let list = CertificateList::parse(body)?;
        if !list.certificate_request_context.is_empty() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        if list.entries().any(|(_, extensions)| extensions.iter().next().is_some()) {
            return Err(Alert::UNSUPPORTED_EXTENSION);
        }
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.4
        //# If the server supplies an empty Certificate message, the client MUST
        //# abort the handshake with a "decode_error" alert.
        let (first, _) = list.entries().next().ok_or(Alert::DECODE_ERROR)?;
        let key = subject_public_key_info(first).ok_or(Alert::BAD_CERTIFICATE)?;
        let place = state.public_key.get_mut(..key.len()).ok_or(Alert::UNSUPPORTED_CERTIFICATE)?;
        self.config.verifier.verify(self.server_name, list.entries())?;
        place.copy_from_slice(key);
        state.public_key_len = key.len();
        Ok(())
    }

    fn finished<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        mut state: Handshake<'c, P>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let expected = state.schedule.finished(&state.server_traffic, &state.transcript.current());
        if message.body.len() != expected.len() {
            return Err(Alert::DECODE_ERROR);
        }
        if !expected.matches(message.body) {
            return Err(Alert::DECRYPT_ERROR);
        }
        state.transcript.update(message.whole);
        let hash = state.transcript.current();
        out.0.handshake(|out| {
            if state.requested {
                // We have none to show (RFC 8446 section 4.4.2.3).
                let start = out.len();
                emit_message(out, HandshakeType::CERTIFICATE, |out| Ok(CertificateList::emit(out, &[])?))?;
                state.transcript.update(out.since(start));
            }
            let finished = state.schedule.finished(&state.client_traffic, &state.transcript.current());
            emit_message(out, HandshakeType::FINISHED, |out| Ok(out.bytes(&finished)?))
        })?;
        state.schedule.main();
        let keys = |label: &[u8]| {
            let secret = state.schedule.derive(label, &hash);
            Protection::new(&self.config.provider, state.suite, secret).ok_or(Alert::INTERNAL_ERROR)
        };
        out.0.protect(keys(b"c ap traffic")?);
        Ok(Step::Connected(keys(b"s ap traffic")?))
    }
}

#[cfg(test)]
impl<P: Provider, V> Client<'_, P, V> {
    /// Makes it believe that something else was said, so that the right signature is wrong; or that the
    /// server has another secret, so that the right Finished is.
    pub(crate) fn mishear(&mut self, said: bool) {
        match &mut self.state {
            State::Handshake(state) if said => state.transcript.update(b"?"),
            State::Handshake(state) => state.server_traffic = Secret::new(b"?"),
            _ => {}
        }
    }
}

fn first_hash<P: Provider>(hellos: &[P::Transcript; 2], suite: CipherSuite) -> &P::Transcript {
    let [sha256, sha384] = hellos;
    match suite.hash() {
        Hash::Sha256 => sha256,
        Hash::Sha384 => sha384,
    }
}

fn certificate_request(body: &[u8]) -> Result<(), Alert> {
    let mut reader = Reader::new(body);
    if !reader.vector8()?.is_empty() {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    let extensions = Extensions::parse(reader.vector16()?)?;
    reader.end()?;
    extensions.find(ExtensionType::SIGNATURE_ALGORITHMS).map(|_| ()).ok_or(Alert::MISSING_EXTENSION)
}
