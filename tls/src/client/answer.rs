//! What a ServerHello and a HelloRetryRequest say: RFC 8446 sections 4.1.3 and 4.1.4.
use super::{AwaitServerHello, Client, Expects, Handshake, Kinds, Requested, State, Wanted};
use crate::{
    Alert,
    certificate_type::CertificateType,
    compression::Unpacks,
    connection::{Flight, Step},
    crypto::{CipherSuite, Hash, KeyExchange, NamedGroup, Provider, Transcript},
    exchange::{from_seed, message_hash},
    key_schedule::KeySchedule,
    protection::Protection,
    sessions::Session,
    verifier::Verifier,
    wire::{ExtensionType, Message, Reader, ServerHello},
};
use zeroize::Zeroizing;

/// RFC 8446 section 4.1.3: a server that could have done better says so at the end of its random.
pub(super) const DOWNGRADE: [[u8; 8]; 2] = [*b"DOWNGRD\x01", *b"DOWNGRD\x00"];

impl<'c, P: Provider, V: Verifier> Client<'c, P, V> {
    /// What a ServerHello and a HelloRetryRequest have in common.
    pub(super) fn check(
        &self,
        state: &AwaitServerHello<P>,
        hello: &ServerHello<'_>,
    ) -> Result<CipherSuite, Alert> {
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

    pub(super) fn retry<B: AsRef<[u8]> + AsMut<[u8]>>(
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
            Some(group)
                if group == state.exchange.group()
                    || state.other.as_ref().is_some_and(|other| group == other.group())
                    || !provider.groups().contains(&group) =>
            {
                return Err(Alert::ILLEGAL_PARAMETER);
            }
            Some(group) => {
                let seed = provider.hmac(Hash::Sha256, &*self.seed, &[b"second share"]);
                let seed = Zeroizing::new(*seed.first_chunk().ok_or(Alert::INTERNAL_ERROR)?);
                let exchange = from_seed(provider, &seed, |seed| provider.key_exchange(group, seed));
                exchange.ok_or(Alert::INTERNAL_ERROR)?
            }
            // A request that changes nothing is forbidden.
            None if cookie.is_none() => return Err(Alert::ILLEGAL_PARAMETER),
            None => state.exchange,
        };
        let mut transcript = message_hash(provider, suite, &first_hash::<P>(&state.hellos, suite).current());
        transcript.update(message.whole);
        if self.early.take().is_some() {
            // They are refused, and there are no keys yet for what comes now.
            out.0.unprotect();
        } else {
            out.0.change_cipher_spec()?;
        }
        // A key for another hash can no longer be used (section 4.1.4); a ticket of TLS 1.2 is shown again, as it was.
        let usable = |session: &Session| session.is_tls12() || session.suite.hash() == suite.hash();
        let session = state.session.filter(usable);
        out.0.handshake(|out| {
            let start = out.len();
            let shares = [Some(&exchange), None];
            self.client_hello(out, shares, cookie, session.as_ref(), Some(&transcript), room)?;
            transcript.update(out.since(start));
            Ok(())
        })?;
        let retry = Some((suite, transcript));
        let (other, hellos) = (None, state.hellos);
        self.state = State::AwaitServerHello(AwaitServerHello { exchange, other, session, hellos, retry });
        Ok(Step::Continue)
    }

    pub(super) fn hello<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        state: AwaitServerHello<P>,
        hello: ServerHello<'_>,
        message: Message<'_>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let suite = self.check(&state, &hello)?;
        let (mut psk, mut same_suite) = (None, false);
        for extension in hello.extensions.iter() {
            match (extension.kind, &state.session) {
                (ExtensionType::SUPPORTED_VERSIONS | ExtensionType::KEY_SHARE, _) => {}
                (ExtensionType::PRE_SHARED_KEY, Some(session)) if !session.is_tls12() => {
                    //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.11
                    //# Clients MUST verify that the server's selected_identity is within the
                    //# range supplied by the client, that the server selected a cipher suite
                    //# indicating a Hash associated with the PSK, and that a server
                    //# "key_share" extension is present if required by the ClientHello
                    //# "psk_key_exchange_modes" extension.
                    let mut reader = Reader::new(extension.data);
                    let index = reader.u16()?;
                    reader.end()?;
                    if index != 0 || session.suite.hash() != suite.hash() {
                        return Err(Alert::ILLEGAL_PARAMETER);
                    }
                    psk = Some(&*session.psk);
                    same_suite = session.suite == suite;
                }
                _ => return Err(Alert::UNSUPPORTED_EXTENSION),
            }
        }
        let share = hello.extensions.find(ExtensionType::KEY_SHARE).ok_or(Alert::MISSING_EXTENSION)?;
        let mut reader = Reader::new(share);
        let (group, share) = (reader.u16()?, reader.vector16()?);
        reader.end()?;
        let mut exchanges = [Some(&state.exchange), state.other.as_ref()].into_iter().flatten();
        let exchange = exchanges.find(|exchange| group == exchange.group().0);
        let shared = exchange.and_then(|exchange| exchange.agree(share)).ok_or(Alert::ILLEGAL_PARAMETER)?;

        let provider = &self.config.provider;
        if state.retry.is_none() && self.early.is_none() {
            out.0.change_cipher_spec()?;
        }
        let mut transcript = match state.retry {
            Some((_, transcript)) => transcript,
            None => first_hash::<P>(&state.hellos, suite).clone(),
        };
        transcript.update(message.whole);
        let mut schedule = KeySchedule::early(provider, suite.hash(), psk);
        schedule.handshake(&shared);
        self.resumed = psk.is_some();
        let hash = transcript.current();
        let client_traffic = schedule.derive(b"c hs traffic", &hash);
        let server_traffic = schedule.derive(b"s hs traffic", &hash);
        self.log("CLIENT_HANDSHAKE_TRAFFIC_SECRET", &client_traffic);
        self.log("SERVER_HANDSHAKE_TRAFFIC_SECRET", &server_traffic);
        // Early data without their key or in another suite are refused; else EncryptedExtensions will tell.
        self.early = self.early.take().filter(|_| same_suite);
        if self.early.is_none() {
            out.0.protect_with(provider, suite, client_traffic.clone())?;
        }
        let read = server_traffic.clone();
        self.state = State::Handshake(Handshake {
            expects: Expects::EncryptedExtensions,
            suite,
            schedule,
            transcript,
            client_traffic,
            server_traffic,
            wanted: Wanted { requested: Requested::No, unpacks: Unpacks::NOTHING },
            kinds: Kinds { server: CertificateType::X509, client: CertificateType::X509 },
        });
        Protection::new(provider, suite, read).map(Step::Keys).ok_or(Alert::INTERNAL_ERROR)
    }
}

/// What the first ClientHello hashes to for a suite.
pub(super) fn first_hash<P: Provider>(hellos: &[P::Transcript; 2], suite: CipherSuite) -> &P::Transcript {
    let [sha256, sha384] = hellos;
    match suite.hash() {
        Hash::Sha256 => sha256,
        Hash::Sha384 => sha384,
    }
}
