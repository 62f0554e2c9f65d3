//! Clients that are asked for a certificate after the handshake: RFC 8446 section 4.6.2.
use super::{Server, State, client_key, halves, hello::emit_certificate_request};
use crate::{
    Alert, Error,
    certificate_type::CertificateType,
    connection::{Connection, Flight},
    crypto::{CipherSuite, Hash, Provider, Secret, Transcript},
    exchange::check_finished,
    key_schedule::finished,
    outgoing::emit_message,
    signature::{CLIENT_CONTEXT, PublicKey},
    wire::{ExtensionType, Extensions, HandshakeType, Message},
};

/// Bytes of a request's `certificate_request_context`.
const CONTEXT: usize = 16;

/// What is kept of the handshake of a client that may be asked.
pub(super) struct Known<P: Provider> {
    suite: CipherSuite,
    /// Every message of the handshake.
    transcript: P::Transcript,
    /// How often it was asked.
    count: u32,
    asked: Option<Asked<P>>,
}

/// A request that is not yet answered.
struct Asked<P: Provider> {
    context: [u8; CONTEXT],
    transcript: P::Transcript,
    expects: Expects,
}

// As State.
#[allow(clippy::large_enum_variant)]
enum Expects {
    Certificate,
    CertificateVerify(PublicKey),
    /// From whom, if it shows a certificate.
    Finished(Option<[u8; 32]>),
}

impl<P: Provider> Known<P> {
    pub(super) const fn new(suite: CipherSuite, transcript: P::Transcript) -> Self {
        Self { suite, transcript, count: 0, asked: None }
    }
    pub(super) fn is_answered(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| !matches!(asked.expects, Expects::Certificate))
    }
}

impl<P: Provider> Server<'_, P> {
    /// Whether the client says that it may be asked, and the configuration lets us.
    pub(super) fn may_be_asked(&self, extensions: Extensions<'_>) -> Result<bool, Alert> {
        let says = extensions.find(ExtensionType::POST_HANDSHAKE_AUTH);
        match says.filter(|_| self.config.post_handshake_clients.is_some()) {
            None => Ok(false),
            Some([]) => Ok(true),
            Some(_) => Err(Alert::DECODE_ERROR),
        }
    }
    /// Asks the client, if it may be asked and is not being asked already.
    fn request<B: AsRef<[u8]> + AsMut<[u8]>>(&mut self, out: &mut Flight<'_, P, B>) -> Result<bool, Alert> {
        let State::Connected(known) = &mut self.state else { return Ok(false) };
        if known.asked.is_some() {
            return Ok(false);
        }
        known.count = known.count.wrapping_add(1);
        //= https://www.rfc-editor.org/rfc/rfc8446#section-4.3.2
        //# The certificate_request_context MUST be unique within
        //# the scope of this connection (thus preventing replay of client
        //# CertificateVerify messages).
        let provider = &self.config.provider;
        let [_, seed] = halves(&self.random);
        let parts: [&[u8]; 2] = [b"certificate request", &known.count.to_be_bytes()];
        let context = provider.hmac(Hash::Sha256, seed, &parts);
        let context = *context.first_chunk::<CONTEXT>().ok_or(Alert::INTERNAL_ERROR)?;
        let mut transcript = known.transcript.clone();
        out.0.handshake(|out| {
            let start = out.len();
            emit_message(out, HandshakeType::CERTIFICATE_REQUEST, |out| {
                emit_certificate_request(out, provider, &context, false)
            })?;
            transcript.update(out.since(start));
            Ok(())
        })?;
        known.asked = Some(Asked { context, transcript, expects: Expects::Certificate });
        Ok(true)
    }

    /// Takes a message of the answer; whether it was one. `client` is the secret of what the client sends now.
    pub(super) fn authentication(
        &mut self,
        message: Message<'_>,
        client: Option<&Secret>,
    ) -> Result<bool, Alert> {
        let State::Connected(known) = &mut self.state else { return Ok(false) };
        let Some(asked) = &mut known.asked else { return Ok(false) };
        let (provider, hash) = (&self.config.provider, known.suite.hash());
        let next = match (&asked.expects, message.kind) {
            (Expects::Certificate, HandshakeType::CERTIFICATE) => {
                let clients = self.config.post_handshake_clients.ok_or(Alert::INTERNAL_ERROR)?;
                // Certificates and nothing else: keys alone were not spoken of.
                let key = client_key(clients, message.body, &asked.context, CertificateType::X509)?;
                key.map_or(Expects::Finished(None), Expects::CertificateVerify)
            }
            (Expects::CertificateVerify(key), HandshakeType::CERTIFICATE_VERIFY) => {
                key.check(provider, CLIENT_CONTEXT, &asked.transcript.current(), message.body)?;
                Expects::Finished(Some(key.pin(provider)))
            }
            (Expects::Finished(peer), HandshakeType::FINISHED) => {
                let client = client.ok_or(Alert::INTERNAL_ERROR)?;
                check_finished(&finished(provider, hash, client, &asked.transcript.current()), message.body)?;
                self.peer = peer.or(self.peer);
                known.asked = None;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        asked.transcript.update(message.whole);
        asked.expects = next;
        Ok(true)
    }
}

impl<P: Provider, B: AsRef<[u8]> + AsMut<[u8]>> Connection<Server<'_, P>, P, B> {
    /// Asks the client for a certificate, now that the handshake is done (RFC 8446 section 4.6.2); the request is in
    /// [`output`](Connection::output). Whether it was asked: not before the handshake is done, while something else is to be sent or
    /// an earlier request is [open](Self::awaits_certificate), and never if the client did not say that it may be, or the
    /// configuration does not ([`post_handshake_clients`](crate::ServerConfig::post_handshake_clients)).
    ///
    /// Data that come until the client has answered are from one who had not yet shown who it is. The answer is in
    /// [`peer`](Connection::peer) when the request is no longer open.
    ///
    /// # Errors
    /// The connection has failed, or was closed.
    pub fn request_certificate(&mut self) -> Result<bool, Error> {
        self.check_open()?;
        if !self.is_connected() || !self.outgoing.pending().is_empty() {
            return Ok(false);
        }
        let asked = self.role.request(&mut Flight(&mut self.outgoing));
        asked.map_err(|alert| self.fail(alert))
    }
    /// Whether the client was asked for a certificate and has not answered.
    pub fn awaits_certificate(&self) -> bool {
        matches!(&self.role.state, State::Connected(known) if known.asked.is_some())
    }
}
