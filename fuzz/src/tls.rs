//! TLS: codecs over any bytes, and each end against a peer that follows the protocol up to bytes of the fuzzer's choice.
use airglow_device::{Clock, Instant, SeededEntropy};
use airglow_tls::{
    Certificate, CertificateType, Client, ClientAuthentication, ClientConfig, CompressedCertificate,
    Connection, CookieKey, EarlyData, Error, Event, PinnedKeys, Role, Server, ServerConfig, SessionCache,
    TicketKeys, Version,
    crypto::{
        Aead, CipherSuite, Hash, NamedGroup, PrivateKey, Provider, Restricted, RustCrypto, Secret,
        SignatureScheme, TAG, Transcript, subject_public_key_info,
    },
    wire::{
        CertificateList, CertificateVerify, ClientHello, Extensions, KeyShares, Message, NewSessionTicket,
        OfferedPsks, ProtocolNames, RecordHeader, ServerHello, U16List,
    },
};
use std::{cell::Cell, rc::Rc, sync::LazyLock, time::Duration};

/// Every codec, PEM and DER over any bytes; what they hand out lies within the input.
pub fn tls_messages(data: &[u8]) {
    let within = |part: &[u8]| assert!(part.len() <= data.len());
    if let Ok(hello) = ClientHello::parse(data) {
        within(hello.legacy_session_id);
        hello.cipher_suites.iter().for_each(drop);
        extensions(hello.extensions);
    }
    if let Ok(hello) = ServerHello::parse(data) {
        extensions(hello.extensions);
    }
    if let Ok(list) = CertificateList::parse(data) {
        list.entries().for_each(|(certificate, _)| within(certificate));
    }
    if let Ok(list) = CertificateList::parse_tls12(data) {
        assert!(
            list.entries().all(|(certificate, more)| !certificate.is_empty() && more.iter().next().is_none())
        );
    }
    if let Ok(verify) = CertificateVerify::parse(data) {
        within(verify.signature);
    }
    if let Ok(ticket) = NewSessionTicket::parse(data) {
        assert!(!ticket.ticket.is_empty());
        extensions(ticket.extensions);
    }
    if let Some(message) = Message::parse(data) {
        assert_eq!(Message::announced(data), Some(message.whole.len()));
    }
    let _ = RecordHeader::parse(data);
    if let Ok(block) = Extensions::parse(data) {
        extensions(block);
    }
    let _ = airglow_tls::pem::certificates(data);
    let _ = airglow_tls::pem::private_key(data);
    if let Some(key) = subject_public_key_info(data) {
        within(key);
        assert!(!RustCrypto.verify(SignatureScheme::ECDSA_SECP256R1_SHA256, key, b"", data));
    }
}

fn extensions(block: Extensions<'_>) {
    let _ = (block.has_duplicates(), block.last());
    for extension in block.iter() {
        let data = extension.data;
        let _ = (U16List::parse(data), U16List::parse8(data), ProtocolNames::parse(data));
        if let Ok(shares) = KeyShares::parse(data) {
            assert!(shares.iter().all(|(_, key)| !key.is_empty()));
        }
        if let Ok(psks) = OfferedPsks::parse(data) {
            assert!(psks.iter().count() > 0 && psks.iter().all(|(_, _, binder)| binder.len() >= 32));
        }
    }
}

/// Changes to what a peer says: at which byte, and how.
#[derive(Default)]
struct Edits {
    edits: Vec<(usize, u8)>,
    at: Cell<usize>,
}

impl Edits {
    fn apply(&self, bytes: &mut [u8]) {
        let start = self.at.get();
        for (position, change) in &self.edits {
            if let Some(byte) = position.checked_sub(start).and_then(|index| bytes.get_mut(index)) {
                *byte ^= change;
            }
        }
        self.at.set(start + bytes.len());
    }
}

/// A peer's primitives: what is said under protection is changed before it is protected, so that it arrives with a good tag.
struct Meddler {
    provider: Restricted<RustCrypto>,
    edits: Rc<Edits>,
}

struct MeddlingAead(<RustCrypto as Provider>::Aead, Rc<Edits>);

impl Aead for MeddlingAead {
    fn seal(&self, nonce: &[u8; 12], associated_data: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        self.1.apply(text);
        self.0.seal(nonce, associated_data, text)
    }
    fn open(&self, nonce: &[u8; 12], associated_data: &[u8], text: &mut [u8], tag: &[u8; TAG]) -> Option<()> {
        self.0.open(nonce, associated_data, text, tag)
    }
}

impl Provider for Meddler {
    type Transcript = <RustCrypto as Provider>::Transcript;
    type Aead = MeddlingAead;
    type KeyExchange = <RustCrypto as Provider>::KeyExchange;
    fn cipher_suites(&self) -> &[CipherSuite] {
        self.provider.cipher_suites()
    }
    fn groups(&self) -> &[NamedGroup] {
        self.provider.groups()
    }
    fn signature_schemes(&self) -> &[SignatureScheme] {
        self.provider.signature_schemes()
    }
    fn hash(&self, hash: Hash) -> Self::Transcript {
        self.provider.hash(hash)
    }
    fn hmac(&self, hash: Hash, key: &[u8], parts: &[&[u8]]) -> Secret {
        self.provider.hmac(hash, key, parts)
    }
    fn aead(&self, suite: CipherSuite, key: &[u8]) -> Option<MeddlingAead> {
        Some(MeddlingAead(self.provider.aead(suite, key)?, self.edits.clone()))
    }
    fn key_exchange(&self, group: NamedGroup, random: &[u8; 32]) -> Option<Self::KeyExchange> {
        self.provider.key_exchange(group, random)
    }
    fn verify(&self, scheme: SignatureScheme, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
        self.provider.verify(scheme, spki, message, signature)
    }
    fn verify_hash(&self, scheme: SignatureScheme, spki: &[u8], hash: &[u8], signature: &[u8]) -> bool {
        self.provider.verify_hash(scheme, spki, hash, signature)
    }
}

/// What the fuzzer asks of a pair.
struct Plan {
    /// The peer shows a certificate, or resumes a session.
    certificate: bool,
    resumes: bool,
    /// The oldest version that either side speaks, and the newest that the peer does.
    oldest: Version,
    newest: Version,
    /// A client that resumes sends early data.
    early: bool,
    /// Both show bare keys, if both do.
    types: &'static [CertificateType],
    /// Certificates are compressed, and the server wants its cookie back.
    extras: bool,
    /// Bytes at a time.
    step: usize,
    /// Changes to the bytes on the wire, and to what is said under protection.
    wire: Edits,
    protected: Rc<Edits>,
    /// Sent as it is when the peer has said everything.
    rest: Vec<u8>,
}

/// Flags, a count, so many changes of four bytes each (where, high and low, how, and how much), and the rest.
fn plan(data: &[u8]) -> Option<Plan> {
    let ([flags, step, count], mut rest) = data.split_first_chunk()?;
    let (mut wire, mut protected) = (Edits::default(), Edits::default());
    for _ in 0..count % 8 {
        let ([high, low, change], after) = rest.split_first_chunk()?;
        rest = after;
        let position = usize::from(high & 0x7f) << 8 | usize::from(*low);
        let edits = if high >> 7 == 0 { &mut wire } else { &mut protected };
        edits.edits.push((position, *change));
    }
    Some(Plan {
        certificate: flags & 1 != 0,
        resumes: flags & 2 != 0,
        oldest: if flags & 0x18 == 0 { Version::Tls13 } else { Version::Tls12 },
        newest: if flags & 8 == 0 { Version::Tls13 } else { Version::Tls12 },
        early: flags & 0x20 != 0,
        types: if flags & 0x40 == 0 { &[CertificateType::X509] } else { EITHER },
        extras: flags & 0x80 != 0,
        step: usize::from(*step).max(1) * if flags & 4 == 0 { 64 } else { 1 },
        wire,
        protected: Rc::new(protected),
        rest: rest.to_vec(),
    })
}

const EITHER: &[CertificateType] = &[CertificateType::RawPublicKey, CertificateType::X509];
const CERTIFICATE: &[u8] = include_bytes!("../../tls/tests/keys/p256.der");
static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    PrivateKey::from_der(include_bytes!("../../tls/tests/keys/p256.pkcs8.der")).expect("a key")
});
/// Without the group that takes long.
const CLASSIC: Restricted<RustCrypto> = Restricted {
    provider: RustCrypto,
    cipher_suites: &[CipherSuite::TLS_AES_128_GCM_SHA256, CipherSuite::TLS_CHACHA20_POLY1305_SHA256],
    groups: &[NamedGroup::X25519, NamedGroup::SECP256R1],
};

fn pin() -> [u8; 32] {
    let mut hash = RustCrypto.hash(Hash::Sha256);
    hash.update(subject_public_key_info(CERTIFICATE).expect("a certificate"));
    *hash.current().first_chunk().expect("32 bytes")
}

struct Stopped;
impl Clock for Stopped {
    fn now(&self) -> Instant {
        Instant::from_secs(1)
    }
}

type End<R, P> = Connection<R, P, Vec<u8>>;

/// A server of ours against a client that goes wrong.
pub fn tls_server(data: &[u8]) {
    let Some(plan) = plan(data) else { return };
    both(&plan, true);
}

/// A client of ours against a server that goes wrong.
pub fn tls_client(data: &[u8]) {
    let Some(plan) = plan(data) else { return };
    both(&plan, false);
}

fn both(plan: &Plan, server_is_ours: bool) {
    let entropy = SeededEntropy::predictable(1);
    let chain = [CERTIFICATE];
    let mut certificates = [Certificate::new(&chain, &*KEY, &["a.example"])];
    let compressed = CompressedCertificate::new(&certificates[0]);
    if plan.extras {
        certificates[0].compressed = compressed.as_ref();
    }
    let cookies = CookieKey::new(&entropy, &Stopped, Duration::from_secs(5));
    let tickets = TicketKeys::<_, 1>::new(CLASSIC, &Stopped, &entropy, Duration::from_secs(60));
    let sessions = SessionCache::new(&Stopped, 4);
    let pins = [pin()];
    let verifier = PinnedKeys(&pins);
    let clients =
        Some(ClientAuthentication { verifier: &verifier, required: false }).filter(|_| plan.certificate);
    let certificate = Some(certificates[0]).filter(|_| plan.certificate);
    macro_rules! server {
        ($provider:expr, $newest:expr) => {
            ServerConfig {
                protocols: &[b"a", b"bc"],
                minimum_version: plan.oldest,
                maximum_version: $newest,
                tickets: Some(&tickets),
                clients,
                post_handshake_clients: clients,
                early_data: if plan.early { EarlyData::OnRequest(100) } else { EarlyData::Refused },
                cookies: Some(&cookies).filter(|_| plan.extras),
                certificate_types: plan.types,
                client_certificate_types: plan.types,
                wants_compressed: plan.extras,
                ..ServerConfig::new($provider, &certificates)
            }
        };
    }
    macro_rules! client {
        ($provider:expr, $newest:expr) => {
            ClientConfig {
                protocols: &[b"bc"],
                minimum_version: plan.oldest,
                maximum_version: $newest,
                certificate,
                post_handshake_auth: plan.certificate,
                early_data: plan.early,
                certificate_types: plan.types,
                server_certificate_types: plan.types,
                wants_compressed: plan.extras,
                sessions: Some(&sessions).map(|sessions| sessions as &dyn airglow_tls::Sessions),
                ..ClientConfig::new($provider, verifier)
            }
        };
    }
    let buffers = || (vec![0; 5_000], vec![0; 3_000]);
    let new_client = |config| {
        let (incoming, outgoing) = buffers();
        Connection::client(config, "a.example", &entropy, incoming, outgoing).expect("room")
    };
    let newest = Version::Tls13;
    let (good_server, good_client) = (server!(CLASSIC, newest), client!(CLASSIC, newest));
    let first_client = client!(CLASSIC, plan.newest);
    if plan.resumes {
        let (incoming, outgoing) = buffers();
        let mut server = Connection::server(&good_server, &entropy, incoming, outgoing);
        let mut client = new_client(&first_client);
        for _ in 0..4 {
            let _ = carry(&mut client, &mut server, 9_999, &Edits::default());
            let _ = carry(&mut server, &mut client, 9_999, &Edits::default());
        }
        assert!(client.is_connected() && server.is_connected() && !sessions.is_empty());
    }
    let meddler = || Meddler { provider: CLASSIC, edits: plan.protected.clone() };
    let (incoming, outgoing) = buffers();
    if server_is_ours {
        let config = client!(meddler(), plan.newest);
        let (incoming_2, outgoing_2) = buffers();
        let mut client: End<Client<'_, _, _>, _> =
            Connection::client(&config, "a.example", &entropy, incoming_2, outgoing_2).expect("room");
        let _ = client.write_early(b"early");
        let server = Connection::server(&good_server, &entropy, incoming, outgoing);
        judge(plan, server, client, |server, _| server.request_certificate().is_ok_and(|asked| asked));
    } else {
        let config = server!(meddler(), plan.newest);
        let server: End<Server<'_, _>, _> = Connection::server(&config, &entropy, incoming, outgoing);
        let mut client = new_client(&good_client);
        let _ = client.write_early(b"early");
        judge(plan, client, server, |_, server| server.request_certificate().is_ok_and(|asked| asked));
    }
}

/// Carries what `from` has to say to `to`, changed by `edits`; what became of it.
fn carry<R: Role<P>, P: Provider, S: Role<Q>, Q: Provider>(
    from: &mut End<R, P>,
    to: &mut End<S, Q>,
    step: usize,
    edits: &Edits,
) -> Result<(), Error> {
    let mut bytes = from.output().to_vec();
    from.sent(bytes.len());
    edits.apply(&mut bytes);
    feed(to, &bytes, step)
}

fn feed<R: Role<P>, P: Provider>(to: &mut End<R, P>, mut bytes: &[u8], step: usize) -> Result<(), Error> {
    while !bytes.is_empty() {
        let space = to.space();
        let count = bytes.len().min(step).min(space.len());
        if count == 0 {
            return Ok(());
        }
        space[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        to.received(count);
        loop {
            let event = to.process()?;
            // Early data are used up too, but for the last byte, which comes again when the handshake is done.
            let count = to.plaintext().len().max(to.early_data().len().saturating_sub(1));
            to.consume(count);
            if !matches!(event, Event::Data | Event::EarlyData) {
                break;
            }
        }
    }
    Ok(())
}

/// Our end must end well or with one error that stays; and never be connected to a peer whose handshake was changed. When the
/// handshake is done the server asks once more who the client is, with `ask`.
fn judge<R: Role<P>, P: Provider, S: Role<Q>, Q: Provider>(
    plan: &Plan,
    mut ours: End<R, P>,
    mut theirs: End<S, Q>,
    ask: impl Fn(&mut End<R, P>, &mut End<S, Q>) -> bool,
) {
    let (mut outcome, mut asked) = (Ok(()), false);
    for _ in 0..7 {
        let to_us = carry(&mut theirs, &mut ours, plan.step, &plan.wire);
        if outcome.is_ok() {
            outcome = to_us;
        }
        let _ = carry(&mut ours, &mut theirs, plan.step, &Edits::default());
        asked = asked || ours.is_connected() && theirs.is_connected() && ask(&mut ours, &mut theirs);
    }
    // Two ends that take the handshake for done have heard the same: Finished saw to it.
    if theirs.is_connected() && ours.is_connected() {
        assert_eq!(ours.protocol(), theirs.protocol());
        assert_eq!(ours.early_data_accepted(), theirs.early_data_accepted());
        let exported = |secret: Option<Secret>| secret.map(|secret| secret.to_vec());
        assert_eq!(exported(ours.export(b"x", b"y", 32)), exported(theirs.export(b"x", b"y", 32)));
    }
    let last = feed(&mut ours, &plan.rest, plan.step);
    if let Err(error) = outcome {
        assert_eq!(ours.process(), Err(error), "an error stays");
        assert!(plan.rest.is_empty() || last == Err(error));
        assert!(ours.write(b"more").is_err());
        if let Error::Sent(alert) = error {
            assert_ne!(alert, airglow_tls::Alert::INTERNAL_ERROR, "no fault of ours");
        }
    }
    let _ = ours.received_end();
}
