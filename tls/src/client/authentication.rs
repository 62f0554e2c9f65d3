//! A client that is asked for a certificate after the handshake: RFC 8446 section 4.6.2.
use super::{Client, State, Wanted};
use crate::{
    Alert,
    certificate_type::CertificateType,
    compression::Unpacks,
    connection::Flight,
    crypto::{CipherSuite, Provider, Transcript},
    key_schedule::finished,
    outgoing::emit_message,
    verifier::Verifier,
    wire::{HandshakeType, Message},
};

/// Requests of one connection that are answered: each costs a signature.
const MAX_REQUESTS: u8 = 16;

/// What is kept of the handshake with a server that may ask.
pub(super) struct Known<P: Provider> {
    suite: CipherSuite,
    /// Every message of the handshake.
    transcript: P::Transcript,
    count: u8,
    asked: Option<Asked<P>>,
}

/// A request that is not yet answered.
struct Asked<P: Provider> {
    context: [u8; 255],
    len: u8,
    transcript: P::Transcript,
    wanted: Wanted,
}

impl<P: Provider> Known<P> {
    pub(super) const fn new(suite: CipherSuite, transcript: P::Transcript) -> Self {
        Self { suite, transcript, count: 0, asked: None }
    }
    pub(super) const fn owes_answer(&self) -> bool {
        self.asked.is_some()
    }
}

impl<P: Provider, V: Verifier> Client<'_, P, V> {
    /// Takes a CertificateRequest; whether it was one that may come. A server that asks again before it was answered wants
    /// more than we keep.
    pub(super) fn asked(&mut self, message: Message<'_>) -> Result<bool, Alert> {
        if message.kind != HandshakeType::CERTIFICATE_REQUEST || !matches!(self.state, State::Connected(_)) {
            return Ok(false);
        }
        let (request, wanted) = self.certificate_request(message.body)?;
        // What is compressed was made for the handshake, where requests have no context.
        let wanted = Wanted { unpacks: Unpacks::NOTHING, ..wanted };
        let State::Connected(known) = &mut self.state else { return Ok(false) };
        if request.is_empty() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        if known.asked.is_some() || known.count == MAX_REQUESTS {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        known.count += 1;
        let mut context = [0; 255];
        context.get_mut(..request.len()).ok_or(Alert::DECODE_ERROR)?.copy_from_slice(request);
        let mut transcript = known.transcript.clone();
        transcript.update(message.whole);
        known.asked = Some(Asked { context, len: request.len() as u8, transcript, wanted });
        Ok(true)
    }

    /// Answers: with an empty list if we have nothing that the server takes.
    pub(super) fn authenticate<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        out: &mut Flight<'_, P, B>,
    ) -> Result<(), Alert> {
        let State::Connected(known) = &mut self.state else { return Ok(()) };
        let (hash, Some(mut asked)) = (known.suite.hash(), known.asked.take()) else { return Ok(()) };
        let secret = out.0.secret().cloned().ok_or(Alert::INTERNAL_ERROR)?;
        let context = asked.context.get(..asked.len.into()).unwrap_or_default();
        out.0.handshake(|out| {
            self.show(out, &mut asked.transcript, asked.wanted, CertificateType::X509, context)?;
            let data = finished(&self.config.provider, hash, &secret, &asked.transcript.current());
            emit_message(out, HandshakeType::FINISHED, |out| Ok(out.bytes(&data)?))
        })
    }
}
