//! The server's side of the handshake: RFC 8446 sections 2, 4 and appendix A.2.
use crate::{
    Alert,
    connection::{Connection, Flight, Role, Step},
    crypto::{
        CipherSuite, KeyExchange, MAX_KEY_SHARE, NamedGroup, Provider, Secret, SignatureScheme, Signer,
        Transcript,
    },
    key_schedule::KeySchedule,
    outgoing::emit_message,
    protection::Protection,
    signature::{SERVER_CONTEXT, signed_content},
    wire::{
        CertificateList, ClientHello, ExtensionType, Extensions, HELLO_RETRY_REQUEST, HandshakeType,
        KeyShares, Malformed, Message, NoRoom, ProtocolNames, Reader, ServerHello, U16List, Writer,
    },
};
use airglow_device::Entropy;
use core::fmt;
use zeroize::Zeroizing;

/// TLS 1.3 on the wire.
pub(crate) const TLS13: u16 = 0x0304;
/// Early data that is passed over when a client sends it unasked: one record for each KiB of a first flight.
const MAX_EARLY_DATA: usize = 64 * 1024;

/// A certificate chain, its key, and the names it is for.
#[derive(Clone, Copy)]
pub struct Certificate<'c> {
    /// DER, the end entity's first, each next one certifying the one before; without the root.
    pub chain: &'c [&'c [u8]],
    /// The end entity's private key.
    pub key: &'c dyn Signer,
    /// The host names it is for, in lower case; `*.` in front stands for one label. The first certificate
    /// of a configuration also serves names that none is for.
    pub names: &'c [&'c str],
}

impl fmt::Debug for Certificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Certificate<'_> {
    fn is_for(&self, host: &[u8]) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            None => name.as_bytes().eq_ignore_ascii_case(host),
            Some(parent) => {
                let dot = host.iter().position(|byte| *byte == b'.').filter(|dot| *dot > 0);
                let rest = dot.and_then(|dot| host.get(dot + 1..));
                rest.is_some_and(|rest| rest.eq_ignore_ascii_case(parent.as_bytes()))
            }
        })
    }
    fn scheme(&self, offered: U16List<'_>) -> Option<SignatureScheme> {
        self.key.schemes().iter().copied().find(|scheme| offered.contains(scheme.0))
    }
}

/// What a server has and wants; shared by its connections.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig<'c, P> {
    /// The primitives; its order of suites and groups is the server's preference.
    pub provider: P,
    /// At least one.
    pub certificates: &'c [Certificate<'c>],
    /// Application protocols (RFC 7301), best first. When there are some and the client names none of
    /// them, the handshake fails; a client that names none at all is served without.
    pub protocols: &'c [&'c [u8]],
}

/// The server's side of a [`Connection`].
pub struct Server<'c, P: Provider> {
    config: &'c ServerConfig<'c, P>,
    random: Zeroizing<[u8; 64]>,
    state: State<'c, P>,
    protocol: Option<&'c [u8]>,
    early_data: usize,
}

/// What a second ClientHello must keep.
struct Retry<P: Provider> {
    suite: CipherSuite,
    group: NamedGroup,
    random: [u8; 32],
    transcript: P::Transcript,
}

struct AwaitFinished<'c, P: Provider> {
    suite: CipherSuite,
    schedule: KeySchedule<&'c P>,
    transcript: P::Transcript,
    client_handshake_traffic: Secret,
    client_application_traffic: Secret,
}

/// Writes the body of a message that may depend on what was said before.
type Body<'b, T> = dyn FnMut(&mut Writer<'_>, &T) -> Result<(), Alert> + 'b;

// One per connection, beside buffers many times as large; there may be no allocator to box with.
#[allow(clippy::large_enum_variant)]
enum State<'c, P: Provider> {
    AwaitHello(Option<Retry<P>>),
    AwaitFinished(AwaitFinished<'c, P>),
    Done,
}

impl<'c, P: Provider, B: AsRef<[u8]> + AsMut<[u8]>> Connection<Server<'c, P>, P, B> {
    /// A server that waits for a ClientHello. `incoming` must hold the largest record that is to be taken and
    /// the longest ClientHello ([`BUFFER`](crate::BUFFER) suits everyone); `outgoing` the certificate chain
    /// and one KiB more. Less in `incoming` is told to clients that know RFC 8449 and fails with others.
    pub fn server(config: &'c ServerConfig<'c, P>, entropy: &impl Entropy, incoming: B, outgoing: B) -> Self {
        let mut random = Zeroizing::new([0; 64]);
        entropy.fill(&mut *random);
        let state = State::AwaitHello(None);
        Self::new(Server { config, random, state, protocol: None, early_data: 0 }, incoming, outgoing)
    }
}

impl<P: Provider> Role<P> for Server<'_, P> {
    fn provider(&self) -> &P {
        &self.config.provider
    }
    fn takes_tickets(&self) -> bool {
        false
    }
    fn early_data(&mut self) -> &mut usize {
        &mut self.early_data
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
        match (core::mem::replace(&mut self.state, State::Done), message.kind) {
            (State::AwaitHello(retry), HandshakeType::CLIENT_HELLO) => self.hello(retry, message, room, out),
            (State::AwaitFinished(state), HandshakeType::FINISHED) => self.finished(state, message),
            _ => Err(Alert::UNEXPECTED_MESSAGE),
        }
    }
}

/// The host name of a `server_name` extension (RFC 6066 section 3).
fn host_name(data: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let mut reader = Reader::new(data);
    let mut list = Reader::new(reader.vector16()?);
    reader.end()?;
    let mut host = None;
    while !list.is_empty() {
        let kind = list.u8()?;
        let name = list.vector16()?;
        if name.is_empty() {
            return Err(Malformed);
        }
        if kind == 0 {
            host = host.or(Some(name));
        }
    }
    Ok(host)
}

/// The peer's `record_size_limit` (RFC 8449 section 4), as bytes of content.
pub(crate) fn record_size_limit(data: &[u8]) -> Result<usize, Alert> {
    let mut reader = Reader::new(data);
    let limit = reader.u16()?;
    reader.end()?;
    // Below 64 is illegal; one byte is the content type's.
    if limit < 64 { Err(Alert::ILLEGAL_PARAMETER) } else { Ok(usize::from(limit) - 1) }
}

/// Writes our own `record_size_limit` for a buffer of `room` bytes.
pub(crate) fn emit_record_size_limit(out: &mut Writer<'_>, room: usize) -> Result<(), NoRoom> {
    let most = crate::wire::MAX_PLAINTEXT + 1;
    let limit = room.saturating_sub(crate::protection::OVERHEAD - 1).clamp(64, most);
    out.u16(ExtensionType::RECORD_SIZE_LIMIT.0)?;
    out.u16(2)?;
    out.u16(limit as u16)
}

fn required(extensions: Extensions<'_>, kind: ExtensionType) -> Result<&[u8], Alert> {
    extensions.find(kind).ok_or(Alert::MISSING_EXTENSION)
}

impl<'c, P: Provider> Server<'c, P> {
    fn hello<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        retry: Option<Retry<P>>,
        message: Message<'_>,
        room: usize,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let hello = ClientHello::parse(message.body)?;
        let extensions = hello.extensions;
        let suite = self.agree_on_version(&hello)?;

        let groups = U16List::parse(required(extensions, ExtensionType::SUPPORTED_GROUPS)?)?;
        let shares = KeyShares::parse(required(extensions, ExtensionType::KEY_SHARE)?)?;
        let schemes = U16List::parse(required(extensions, ExtensionType::SIGNATURE_ALGORITHMS)?)?;
        let ours = self.config.provider.groups().iter().copied();
        let share = |group: NamedGroup| shares.iter().find(|share| share.0 == group.0);
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.8
        //# Clients MUST NOT offer any KeyShareEntry values
        //# for groups not listed in the client's "supported_groups" extension.
        //# Servers MAY check for violations of these rules and abort the
        //# handshake with an "illegal_parameter" alert if one is violated.
        if ours.clone().any(|group| share(group).is_some() && !groups.contains(group.0)) {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let chosen = ours.clone().find_map(|group| share(group).map(|(_, key)| (group, key)));
        let Some((group, client_share)) = chosen else {
            let common = ours.clone().find(|group| groups.contains(group.0));
            let group = common.ok_or(Alert::HANDSHAKE_FAILURE)?;
            return match retry {
                // A second request is forbidden (section 4.1.4): the client did not do as it was told.
                Some(_) => Err(Alert::ILLEGAL_PARAMETER),
                None => self.retry(&hello, message, suite, group, out),
            };
        };
        if shares.iter().filter(|share| share.0 == group.0).count() > 1 {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let retried = retry.is_some();
        let mut transcript = match retry {
            Some(retry)
                if (retry.suite, retry.group, &retry.random) != (suite, group, hello.random)
                    || shares.iter().count() != 1 =>
            {
                return Err(Alert::ILLEGAL_PARAMETER);
            }
            Some(retry) => retry.transcript,
            None => self.config.provider.hash(suite.hash()),
        };
        transcript.update(message.whole);

        let (certificate, scheme, named) = self.certificate(extensions, schemes)?;
        self.protocol = self.agree_on_protocol(extensions)?;
        let limit = extensions.find(ExtensionType::RECORD_SIZE_LIMIT).map(record_size_limit).transpose()?;
        if extensions.find(ExtensionType::EARLY_DATA).is_some() {
            self.early_data = MAX_EARLY_DATA;
        }

        let (server_share, shared) = self.exchange(group, client_share)?;
        let [server_random, _] = halves(&self.random);
        out.0.handshake(|out| {
            let start = out.len();
            emit_server_hello(out, server_random, hello.legacy_session_id, suite, |out| {
                key_share(out, group, &server_share)
            })?;
            transcript.update(out.since(start));
            Ok(())
        })?;
        if !retried && !hello.legacy_session_id.is_empty() {
            out.0.change_cipher_spec()?;
        }

        let provider = &self.config.provider;
        let keys = |secret| Protection::new(provider, suite, secret).ok_or(Alert::INTERNAL_ERROR);
        let mut schedule = KeySchedule::early(provider, suite.hash(), None);
        schedule.handshake(&shared);
        let hash = transcript.current();
        let client_handshake_traffic = schedule.derive(b"c hs traffic", &hash);
        let server_handshake_traffic = schedule.derive(b"s hs traffic", &hash);
        out.0.protect(keys(server_handshake_traffic.clone())?);
        if let Some(limit) = limit {
            out.0.limit(limit);
        }
        let protocol = self.protocol;
        out.0.handshake(|out| {
            let mut write = |out: &mut Writer<'_>,
                             kind: HandshakeType,
                             body: &mut Body<'_, P::Transcript>|
             -> Result<(), Alert> {
                let start = out.len();
                emit_message(out, kind, |out| body(out, &transcript))?;
                transcript.update(out.since(start));
                Ok(())
            };
            write(out, HandshakeType::ENCRYPTED_EXTENSIONS, &mut |out, _| {
                let block = out.block(2)?;
                if named {
                    out.u16(ExtensionType::SERVER_NAME.0)?;
                    out.u16(0)?;
                }
                if let Some(protocol) = protocol {
                    emit_protocols(out, &[protocol])?;
                }
                if limit.is_some() {
                    emit_record_size_limit(out, room)?;
                }
                Ok(out.end(block)?)
            })?;
            write(out, HandshakeType::CERTIFICATE, &mut |out, _| {
                Ok(CertificateList::emit(out, certificate.chain)?)
            })?;
            write(out, HandshakeType::CERTIFICATE_VERIFY, &mut |out, transcript| {
                out.u16(scheme.0)?;
                let block = out.block(2)?;
                let content = signed_content(SERVER_CONTEXT, &transcript.current());
                let len = certificate.key.sign(scheme, content.bytes(), out.spare());
                out.room(len.ok_or(Alert::INTERNAL_ERROR)?)?;
                Ok(out.end(block)?)
            })?;
            write(out, HandshakeType::FINISHED, &mut |out, transcript| {
                Ok(out.bytes(&schedule.finished(&server_handshake_traffic, &transcript.current()))?)
            })
        })?;

        schedule.main();
        let hash = transcript.current();
        out.0.protect(keys(schedule.derive(b"s ap traffic", &hash))?);
        let client_application_traffic = schedule.derive(b"c ap traffic", &hash);
        let read = keys(client_handshake_traffic.clone())?;
        self.state = State::AwaitFinished(AwaitFinished {
            suite,
            schedule,
            transcript,
            client_handshake_traffic,
            client_application_traffic,
        });
        Ok(Step::Keys(read))
    }

    /// Checks what decides whether this is TLS 1.3 at all, and chooses a suite.
    fn agree_on_version(&self, hello: &ClientHello<'_>) -> Result<CipherSuite, Alert> {
        let extensions = hello.extensions;
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2
        //# There MUST NOT be more than one extension of the same type in a given extension block.
        if extensions.has_duplicates() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let versions = extensions.find(ExtensionType::SUPPORTED_VERSIONS).ok_or(Alert::PROTOCOL_VERSION)?;
        if !U16List::parse8(versions)?.contains(TLS13) {
            return Err(Alert::PROTOCOL_VERSION);
        }
        if hello.legacy_compression_methods != [0] {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        if extensions.find(ExtensionType::PRE_SHARED_KEY).is_some() {
            //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.11
            //# Servers MUST check that it is the last extension and otherwise fail the
            //# handshake with an "illegal_parameter" alert.
            if extensions.last() != Some(ExtensionType::PRE_SHARED_KEY) {
                return Err(Alert::ILLEGAL_PARAMETER);
            }
            required(extensions, ExtensionType::PSK_KEY_EXCHANGE_MODES)?;
        }
        let ours = self.config.provider.cipher_suites().iter().copied();
        ours.into_iter().find(|suite| hello.cipher_suites.contains(suite.0)).ok_or(Alert::HANDSHAKE_FAILURE)
    }

    fn certificate(
        &self,
        extensions: Extensions<'_>,
        schemes: U16List<'_>,
    ) -> Result<(&'c Certificate<'c>, SignatureScheme, bool), Alert> {
        let usable = |certificate: &'c Certificate<'c>| Some((certificate, certificate.scheme(schemes)?));
        let all = self.config.certificates.iter();
        let host = extensions.find(ExtensionType::SERVER_NAME).map(host_name).transpose()?.flatten();
        let named = host.and_then(|host| all.clone().filter(|one| one.is_for(host)).find_map(usable));
        let (certificate, scheme) =
            named.or_else(|| all.clone().find_map(usable)).ok_or(Alert::HANDSHAKE_FAILURE)?;
        Ok((certificate, scheme, named.is_some()))
    }

    fn agree_on_protocol(&self, extensions: Extensions<'_>) -> Result<Option<&'c [u8]>, Alert> {
        let offered = extensions.find(ExtensionType::APPLICATION_LAYER_PROTOCOL_NEGOTIATION);
        let offered = offered.map(ProtocolNames::parse).transpose()?;
        let Some(offered) = offered.filter(|_| !self.config.protocols.is_empty()) else { return Ok(None) };
        let mut ours = self.config.protocols.iter().copied();
        let common = ours.find(|name| offered.iter().any(|other| other == *name));
        common.map(Some).ok_or(Alert::NO_APPLICATION_PROTOCOL)
    }

    /// Our share and the shared secret.
    fn exchange(&self, group: NamedGroup, client_share: &[u8]) -> Result<(Share, Secret), Alert> {
        let [_, seed] = halves(&self.random);
        let exchange = key_exchange(&self.config.provider, group, seed).ok_or(Alert::INTERNAL_ERROR)?;
        let shared = exchange.agree(client_share).ok_or(Alert::ILLEGAL_PARAMETER)?;
        Ok((Share::new(&exchange), shared))
    }

    fn retry<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        hello: &ClientHello<'_>,
        first: Message<'_>,
        suite: CipherSuite,
        group: NamedGroup,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let mut hash = self.config.provider.hash(suite.hash());
        hash.update(first.whole);
        let mut transcript = message_hash(&self.config.provider, suite, &hash.current());
        out.0.handshake(|out| {
            let start = out.len();
            emit_server_hello(out, &HELLO_RETRY_REQUEST, hello.legacy_session_id, suite, |out| {
                out.u16(group.0)
            })?;
            transcript.update(out.since(start));
            Ok(())
        })?;
        // A client with a session id wants to look like an old one to boxes in between (appendix D.4).
        if !hello.legacy_session_id.is_empty() {
            out.0.change_cipher_spec()?;
        }
        if hello.extensions.find(ExtensionType::EARLY_DATA).is_some() {
            self.early_data = MAX_EARLY_DATA;
        }
        self.state = State::AwaitHello(Some(Retry { suite, group, random: *hello.random, transcript }));
        Ok(Step::Continue)
    }

    fn finished(&mut self, state: AwaitFinished<'c, P>, message: Message<'_>) -> Result<Step<P>, Alert> {
        let expected = state.schedule.finished(&state.client_handshake_traffic, &state.transcript.current());
        if message.body.len() != expected.len() {
            return Err(Alert::DECODE_ERROR);
        }
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.4.4
        //# Recipients of Finished messages MUST verify that the contents are
        //# correct and if incorrect MUST terminate the connection with a
        //# "decrypt_error" alert.
        if !expected.matches(message.body) {
            return Err(Alert::DECRYPT_ERROR);
        }
        let keys = Protection::new(&self.config.provider, state.suite, state.client_application_traffic);
        Ok(Step::Connected(keys.ok_or(Alert::INTERNAL_ERROR)?))
    }
}

#[cfg(test)]
impl<P: Provider> Server<'_, P> {
    /// Makes it believe that something else was said, so that the right Finished is wrong.
    pub(crate) fn mishear(&mut self) {
        if let State::AwaitFinished(state) = &mut self.state {
            state.transcript.update(b"?");
        }
    }
}

/// A public key share.
pub(crate) struct Share {
    bytes: [u8; MAX_KEY_SHARE],
    len: usize,
}

impl Share {
    pub(crate) fn new(exchange: &impl KeyExchange) -> Self {
        let mut bytes = [0; MAX_KEY_SHARE];
        let len = exchange.public(&mut bytes);
        Self { bytes, len }
    }
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

pub(crate) fn halves(random: &[u8; 64]) -> [&[u8; 32]; 2] {
    match random.as_chunks::<32>().0 {
        [a, b] => [a, b],
        // 64 is two times 32.
        _ => [&[0; 32]; 2],
    }
}

/// A key pair from a seed; the rare seed that is no key leads to another.
pub(crate) fn key_exchange<P: Provider>(
    provider: &P,
    group: NamedGroup,
    seed: &[u8; 32],
) -> Option<P::KeyExchange> {
    let mut seed = Zeroizing::new(*seed);
    for _ in 0..4 {
        if let Some(exchange) = provider.key_exchange(group, &seed) {
            return Some(exchange);
        }
        let next = provider.hmac(crate::crypto::Hash::Sha256, &*seed, &[b"another key"]);
        *seed = *next.first_chunk()?;
    }
    None
}

pub(crate) fn key_share(out: &mut Writer<'_>, group: NamedGroup, share: &Share) -> Result<(), NoRoom> {
    out.u16(group.0)?;
    let block = out.block(2)?;
    out.bytes(share.bytes())?;
    out.end(block)
}

pub(crate) fn emit_protocols(out: &mut Writer<'_>, protocols: &[&[u8]]) -> Result<(), NoRoom> {
    out.u16(ExtensionType::APPLICATION_LAYER_PROTOCOL_NEGOTIATION.0)?;
    let (data, list) = (out.block(2)?, out.block(2)?);
    for protocol in protocols {
        let name = out.block(1)?;
        out.bytes(protocol)?;
        out.end(name)?;
    }
    out.end(list)?;
    out.end(data)
}

/// A ServerHello or HelloRetryRequest whose `key_share` data `share` writes.
fn emit_server_hello(
    out: &mut Writer<'_>,
    random: &[u8; 32],
    session_id: &[u8],
    suite: CipherSuite,
    share: impl FnOnce(&mut Writer<'_>) -> Result<(), NoRoom>,
) -> Result<(), Alert> {
    emit_message(out, HandshakeType::SERVER_HELLO, |out| {
        ServerHello::emit_head(out, random, session_id, suite.0)?;
        let block = out.block(2)?;
        out.u16(ExtensionType::SUPPORTED_VERSIONS.0)?;
        out.u16(2)?;
        out.u16(TLS13)?;
        out.u16(ExtensionType::KEY_SHARE.0)?;
        let data = out.block(2)?;
        share(out)?;
        out.end(data)?;
        Ok(out.end(block)?)
    })
}

/// The transcript after a HelloRetryRequest starts with this, of the hash of the first ClientHello (RFC 8446 section 4.4.1).
pub(crate) fn message_hash<P: Provider>(provider: &P, suite: CipherSuite, first: &[u8]) -> P::Transcript {
    let mut transcript = provider.hash(suite.hash());
    transcript.update(&[HandshakeType::MESSAGE_HASH.0, 0, 0, suite.hash().len() as u8]);
    transcript.update(first);
    transcript
}
