//! The server's side of the handshake: RFC 8446 sections 2, 4 and appendix A.2.
#[cfg(feature = "post-handshake-authentication")]
mod authentication;
mod early_data;
mod hello;
mod resumption;
mod retry;
#[cfg(feature = "tls12")]
mod tls12;

use crate::{
    Alert, Certificate, ClientAuthentication, ServerConfig,
    certificate_type::CertificateType,
    compression::with_unpacked,
    config::EARLY_DATA,
    connection::{Connection, Exporter, Flight, Role, Step},
    crypto::{CipherSuite, NamedGroup, Provider, Secret, SignatureScheme, Transcript},
    exchange::check_finished,
    key_schedule::KeySchedule,
    protection::Protection,
    signature::{CLIENT_CONTEXT, PublicKey},
    wire::{CertificateList, ExtensionType, Extensions, HandshakeType, Message, ProtocolNames, U16List},
};
use airglow_device::Entropy;
use zeroize::Zeroizing;

/// The server's side of a [`Connection`].
pub struct Server<'c, P: Provider> {
    config: &'c ServerConfig<'c, P>,
    random: Zeroizing<[u8; 64]>,
    client_random: [u8; 32],
    state: State<'c, P>,
    protocol: Option<u8>,
    peer: Option<[u8; 32]>,
    resumed: bool,
    /// Bytes of early data that may still be passed over.
    early_data: usize,
    accepts_early_data: bool,
    /// We have answered with a cookie and kept nothing.
    wants_cookie: bool,
    /// Bytes of early data that the configuration and the incoming buffer allow.
    max_early_data: u32,
    /// For tickets: whom the client asked for.
    server_name: [u8; 16],
    exporter: Option<Exporter>,
    early_exporter: Option<Exporter>,
}

/// What a second ClientHello must keep.
struct Retry<P: Provider> {
    suite: CipherSuite,
    /// The group that was asked for.
    group: Option<NamedGroup>,
    random: [u8; 32],
    transcript: P::Transcript,
}

struct AwaitFinished<'c, P: Provider> {
    expects: Expects,
    suite: CipherSuite,
    schedule: KeySchedule<&'c P>,
    transcript: P::Transcript,
    client_handshake_traffic: Secret,
    client_application_traffic: Secret,
    wants_tickets: bool,
    /// The client may be asked who it is later.
    #[cfg(feature = "post-handshake-authentication")]
    post_handshake: bool,
}

/// What the client sends next.
// As State.
#[allow(clippy::large_enum_variant)]
enum Expects {
    /// Early data and the message that ends them; so many bytes may still come.
    EndOfEarlyData(u32),
    Certificate(CertificateType),
    CertificateVerify(PublicKey),
    Finished,
}

// One per connection, beside buffers many times as large; there may be no allocator to box with.
#[allow(clippy::large_enum_variant)]
enum State<'c, P: Provider> {
    AwaitHello(Option<Retry<P>>),
    AwaitFinished(AwaitFinished<'c, P>),
    #[cfg(feature = "tls12")]
    Tls12(tls12::Handshake<P>),
    /// A client that may be asked who it is.
    #[cfg(feature = "post-handshake-authentication")]
    Connected(authentication::Known<P>),
    Done,
}

impl<'c, P: Provider, B: AsRef<[u8]> + AsMut<[u8]>> Connection<Server<'c, P>, P, B> {
    /// A server that waits for a ClientHello. `incoming` must hold the largest record that is to be taken and
    /// the longest ClientHello ([`BUFFER`](crate::BUFFER) suits everyone); `outgoing` the certificate chain
    /// and two KiB more. Less in `incoming` is told to clients that know RFC 8449 and fails with others.
    pub fn server(config: &'c ServerConfig<'c, P>, entropy: &impl Entropy, incoming: B, outgoing: B) -> Self {
        let mut random = Zeroizing::new([0; 64]);
        entropy.fill(&mut *random);
        let server = Server {
            config,
            random,
            client_random: [0; 32],
            state: State::AwaitHello(None),
            protocol: None,
            peer: None,
            resumed: false,
            early_data: 0,
            accepts_early_data: false,
            wants_cookie: false,
            max_early_data: 0,
            server_name: [0; 16],
            exporter: None,
            early_exporter: None,
        };
        Self::new(server, incoming, outgoing)
    }
}

impl<P: Provider> Role<P> for Server<'_, P> {
    fn provider(&self) -> &P {
        &self.config.provider
    }
    fn takes_tickets(&self) -> bool {
        false
    }
    fn ticket(&mut self, _: &[u8]) -> Result<(), Alert> {
        Err(Alert::UNEXPECTED_MESSAGE)
    }
    fn early_data(&mut self) -> &mut usize {
        &mut self.early_data
    }
    fn take_early_data(&mut self, len: usize) -> Result<(), Alert> {
        if !EARLY_DATA {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        let State::AwaitFinished(AwaitFinished { expects: Expects::EndOfEarlyData(left), .. }) =
            &mut self.state
        else {
            return Err(Alert::UNEXPECTED_MESSAGE);
        };
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.10
        //# A server receiving more than
        //# max_early_data_size bytes of 0-RTT data SHOULD terminate the
        //# connection with an "unexpected_message" alert.
        *left = left.checked_sub(len as u32).ok_or(Alert::UNEXPECTED_MESSAGE)?;
        Ok(())
    }
    fn early_data_accepted(&self) -> bool {
        EARLY_DATA && self.accepts_early_data
    }
    fn early_data_is_replayable(&self) -> bool {
        self.config.early_data_is_replayable()
    }
    fn may_write(&self) -> bool {
        // Our Finished is out, and the client has shown to have the session's key.
        EARLY_DATA && self.accepts_early_data
    }
    fn early_exporter(&self) -> Option<&Exporter> {
        self.early_exporter.as_ref()
    }
    fn protocol(&self) -> Option<&[u8]> {
        self.config.protocols.get(usize::from(self.protocol?)).copied()
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
    #[cfg(feature = "post-handshake-authentication")]
    fn late(&mut self, message: Message<'_>, client: Option<&Secret>) -> Result<bool, Alert> {
        self.authentication(message, client)
    }
    #[cfg(feature = "post-handshake-authentication")]
    fn is_answered(&self) -> bool {
        matches!(&self.state, State::Connected(known) if known.is_answered())
    }
    #[cfg(feature = "tls12")]
    fn change_cipher_spec(&mut self) -> Result<Option<Protection<P>>, Alert> {
        let State::Tls12(state) = &mut self.state else { return Ok(None) };
        state.expects.change_cipher_spec()?;
        state.agreed.keys(&self.config.provider, crate::tls12::Side::Client).map(Some)
    }
    fn handle<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        message: Message<'_>,
        room: usize,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        match core::mem::replace(&mut self.state, State::Done) {
            State::AwaitHello(retry) if message.kind == HandshakeType::CLIENT_HELLO => {
                self.hello(retry, message, room, out)
            }
            State::AwaitFinished(state) => {
                let asked =
                    self.config.wants_compressed() && matches!(state.expects, Expects::Certificate(_));
                with_unpacked(message, asked, room, |message| self.protected(state, message, out))
            }
            #[cfg(feature = "tls12")]
            State::Tls12(state) => self.handle_tls12(state, message, out),
            _ => Err(Alert::UNEXPECTED_MESSAGE),
        }
    }
}

fn required(extensions: Extensions<'_>, kind: ExtensionType) -> Result<&[u8], Alert> {
    extensions.find(kind).ok_or(Alert::MISSING_EXTENSION)
}

fn halves(random: &[u8; 64]) -> [&[u8; 32]; 2] {
    match random.as_chunks::<32>().0 {
        [a, b] => [a, b],
        // 64 is two times 32.
        _ => [&[0; 32]; 2],
    }
}

/// The key of a client's Certificate in answer to a request of this context; `None` if it shows none and need not.
fn client_key(
    clients: ClientAuthentication<'_>,
    body: &[u8],
    context: &[u8],
    kind: CertificateType,
) -> Result<Option<PublicKey>, Alert> {
    let list = CertificateList::parse(body)?;
    if list.certificate_request_context != context {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    if list.entries().any(|(_, extensions)| extensions.iter().next().is_some()) {
        return Err(Alert::UNSUPPORTED_EXTENSION);
    }
    //= https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.4
    //# If the client does not send any certificates (i.e., it sends an empty
    //# Certificate message), the server MAY at its discretion either
    //# continue the handshake without client authentication or abort the
    //# handshake with a "certificate_required" alert.
    if list.entries().next().is_none() {
        return if clients.required { Err(Alert::CERTIFICATE_REQUIRED) } else { Ok(None) };
    }
    let key = PublicKey::of(list, kind)?;
    if kind.is_raw() {
        clients.verifier.verify_client_key(key.spki())?;
    } else {
        clients.verifier.verify_client(list.entries())?;
    }
    Ok(Some(key))
}

impl<'c, P: Provider> Server<'c, P> {
    fn log(&self, label: &str, secret: &Secret) {
        if let Some(log) = self.config.key_log {
            log.log(label, &self.client_random, secret);
        }
    }

    fn certificate(
        &self,
        host: Option<&[u8]>,
        schemes: U16List<'_>,
    ) -> Result<(&'c Certificate<'c>, SignatureScheme), Alert> {
        let usable = |certificate: &'c Certificate<'c>| Some((certificate, certificate.scheme(schemes)?));
        let all = self.config.certificates.iter();
        let named = host.and_then(|host| all.clone().filter(|one| one.is_for(host)).find_map(usable));
        named.or_else(|| all.clone().find_map(usable)).ok_or(Alert::HANDSHAKE_FAILURE)
    }

    fn agree_on_protocol(&self, extensions: Extensions<'_>) -> Result<Option<u8>, Alert> {
        let offered = extensions.find(ExtensionType::APPLICATION_LAYER_PROTOCOL_NEGOTIATION);
        let offered = offered.map(ProtocolNames::parse).transpose()?;
        let Some(offered) = offered.filter(|_| !self.config.protocols.is_empty()) else { return Ok(None) };
        let mut ours = (0..u8::MAX).zip(self.config.protocols);
        let common = ours.find(|(_, name)| offered.iter().any(|other| other == **name));
        common.map(|(index, _)| Some(index)).ok_or(Alert::NO_APPLICATION_PROTOCOL)
    }

    #[inline(never)]
    fn protected<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        mut state: AwaitFinished<'c, P>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let provider = &self.config.provider;
        state.expects = match (state.expects, message.kind) {
            (Expects::EndOfEarlyData(_), HandshakeType::END_OF_EARLY_DATA) if EARLY_DATA => {
                if !message.body.is_empty() {
                    return Err(Alert::DECODE_ERROR);
                }
                state.expects = Expects::Finished;
                state.transcript.update(message.whole);
                let keys = Protection::new(provider, state.suite, state.client_handshake_traffic.clone());
                self.state = State::AwaitFinished(state);
                return Ok(Step::Keys(keys.ok_or(Alert::INTERNAL_ERROR)?));
            }
            (Expects::Certificate(kind), HandshakeType::CERTIFICATE) => {
                let clients = self.config.clients.ok_or(Alert::INTERNAL_ERROR)?;
                client_key(clients, message.body, &[], kind)?
                    .map_or(Expects::Finished, Expects::CertificateVerify)
            }
            (Expects::CertificateVerify(key), HandshakeType::CERTIFICATE_VERIFY) => {
                key.check(provider, CLIENT_CONTEXT, &state.transcript.current(), message.body)?;
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
        self.state = State::AwaitFinished(state);
        Ok(Step::Continue)
    }

    fn finished<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        mut state: AwaitFinished<'c, P>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let expected = state.schedule.finished(&state.client_handshake_traffic, &state.transcript.current());
        check_finished(&expected, message.body)?;
        state.transcript.update(message.whole);
        if state.wants_tickets {
            let secret = state.schedule.derive(b"res master", &state.transcript.current());
            // Without room for them the client does without.
            let _ = out.0.handshake(|out| self.tickets(state.suite, &secret, out));
        }
        #[cfg(feature = "post-handshake-authentication")]
        if state.post_handshake {
            self.state = State::Connected(authentication::Known::new(state.suite, state.transcript));
        }
        let keys = Protection::new(&self.config.provider, state.suite, state.client_application_traffic);
        Ok(Step::Connected(keys.ok_or(Alert::INTERNAL_ERROR)?))
    }
}

#[cfg(test)]
impl<P: Provider> Server<'_, P> {
    /// Makes it believe that something else was said, so that the right Finished is wrong.
    pub(crate) fn mishear(&mut self) {
        match &mut self.state {
            State::AwaitFinished(state) => state.transcript.update(b"?"),
            #[cfg(feature = "tls12")]
            State::Tls12(state) => state.agreed.transcripts.update(b"?"),
            _ => {}
        }
    }
}
