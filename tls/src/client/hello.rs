//! The ClientHello: RFC 8446 section 4.1.2.
use super::{AwaitServerHello, Client, State};
use crate::{
    Alert,
    certificate_type::CertificateType,
    compression,
    connection::Flight,
    crypto::{Hash, KeyExchange, NamedGroup, Provider, Transcript},
    exchange::{emit_numbers, emit_protocols, emit_record_size_limit, from_seed},
    key_schedule::KeySchedule,
    outgoing::emit_message,
    protection::{MAX_OVERHEAD, OVERHEAD},
    sessions::Session,
    verifier::Verifier,
    wire::{ExtensionType, HandshakeType, MAX_PLAINTEXT, Writer},
};
use core::net::IpAddr;
use zeroize::Zeroizing;

impl<P: Provider, V: Verifier> Client<'_, P, V> {
    pub(super) fn start<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        room: usize,
        out: &mut Flight<'_, P, B>,
    ) -> Result<(), Alert> {
        let provider = &self.config.provider;
        let mut groups = provider.groups().iter().copied();
        let exchange = |group: NamedGroup, seed: &[u8; 32]| {
            from_seed(provider, seed, |seed| provider.key_exchange(group, seed))
        };
        let first = groups.next().ok_or(Alert::INTERNAL_ERROR)?;
        let other = groups.next().filter(|_| first == NamedGroup::X25519MLKEM768);
        let other = other.and_then(|group| {
            let seed = provider.hmac(Hash::Sha256, &*self.seed, &[b"other share"]);
            exchange(group, &Zeroizing::new(*seed.first_chunk()?))
        });
        let exchange = exchange(first, &self.seed).ok_or(Alert::INTERNAL_ERROR)?;
        let known = |session: &Session| {
            #[cfg(feature = "tls12")]
            if let Some((suite, _)) = crate::tls12::suite_of(session.suite.0) {
                return self.config.minimum_version.lets_tls12() && provider.cipher_suites().contains(&suite);
            }
            self.config.maximum_version.lets_tls13() && provider.cipher_suites().contains(&session.suite)
        };
        let session = self.config.sessions.and_then(|sessions| sessions.take(self.server_name)).filter(known);
        let mut hellos = [provider.hash(Hash::Sha256), provider.hash(Hash::Sha384)];
        out.0.handshake(|out| {
            let start = out.len();
            let shares = [Some(&exchange), other.as_ref()];
            self.client_hello(out, shares, None, session.as_ref(), None, room)?;
            hellos.iter_mut().for_each(|hello| hello.update(out.since(start)));
            Ok(())
        })?;
        if let Some(session) = session.as_ref().filter(|session| self.offers_early_data(session)) {
            self.start_early_data(session, &hellos, out)?;
        }
        let retry = None;
        self.state = State::AwaitServerHello(AwaitServerHello { exchange, other, session, hellos, retry });
        Ok(())
    }

    pub(super) fn client_hello(
        &self,
        out: &mut Writer<'_>,
        shares: [Option<&P::KeyExchange>; 2],
        cookie: Option<&[u8]>,
        session: Option<&Session>,
        before: Option<&P::Transcript>,
        room: usize,
    ) -> Result<(), Alert> {
        let provider = &self.config.provider;
        let tls12 = self.config.minimum_version.lets_tls12();
        let tls13 = self.config.maximum_version.lets_tls13();
        let psk = session.filter(|session| !session.is_tls12());
        let start = out.len();
        emit_message(out, HandshakeType::CLIENT_HELLO, |out| {
            out.u16(0x0303)?;
            out.bytes(&self.random)?;
            out.u8(32)?;
            out.bytes(&self.session_id)?;
            let suites = out.block(2)?;
            for suite in provider.cipher_suites().iter().filter(|_| tls13) {
                out.u16(suite.0)?;
            }
            #[cfg(feature = "tls12")]
            if tls12 {
                crate::tls12::emit_suites(out, provider.cipher_suites())?;
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
            out.bytes(match (tls12, tls13) {
                (false, _) => &[0, 3, 2, 3, 4],
                (true, false) => &[0, 3, 2, 3, 3],
                (true, true) => &[0, 5, 4, 3, 4, 3, 3],
            })?;
            #[cfg(feature = "tls12")]
            if tls12 {
                crate::tls12::emit_indications(out)?;
                if self.config.sessions.is_some() {
                    let ticket = session.filter(|session| session.is_tls12()).map(Session::ticket);
                    crate::tls12::emit_extension(
                        out,
                        ExtensionType::SESSION_TICKET,
                        ticket.unwrap_or_default(),
                    )?;
                }
            }
            let groups = provider.groups().iter().map(|group| group.0);
            emit_numbers(out, ExtensionType::SUPPORTED_GROUPS, groups)?;
            let schemes = provider.signature_schemes().iter().map(|scheme| scheme.0);
            emit_numbers(out, ExtensionType::SIGNATURE_ALGORITHMS, schemes)?;
            if tls13 {
                out.u16(ExtensionType::KEY_SHARE.0)?;
                let (data, list) = (out.block(2)?, out.block(2)?);
                for exchange in shares.into_iter().flatten() {
                    out.u16(exchange.group().0)?;
                    let share = out.block(2)?;
                    let len = exchange.public(out.spare()).ok_or(Alert::INTERNAL_ERROR)?;
                    out.room(len)?;
                    out.end(share)?;
                }
                out.end(list)?;
                out.end(data)?;
            }
            if !self.config.protocols.is_empty() {
                emit_protocols(out, self.config.protocols)?;
            }
            let overhead = if tls12 { MAX_OVERHEAD } else { OVERHEAD - 1 };
            emit_record_size_limit(out, room, overhead, MAX_PLAINTEXT + usize::from(tls13))?;
            if self.config.verifier.wants_status() {
                out.u16(ExtensionType::STATUS_REQUEST.0)?;
                // ocsp, any responder, no extensions
                out.bytes(&[0, 5, 1, 0, 0, 0, 0])?;
            }
            if self.config.wants_compressed() {
                compression::offer(out)?;
            }
            let [of_server, of_client] = self.config.certificate_types();
            CertificateType::offer(out, ExtensionType::SERVER_CERTIFICATE_TYPE, of_server)?;
            if self.config.certificate.is_some() {
                CertificateType::offer(out, ExtensionType::CLIENT_CERTIFICATE_TYPE, of_client)?;
            }
            if let Some(cookie) = cookie {
                out.u16(ExtensionType::COOKIE.0)?;
                let data = out.block(2)?;
                out.bytes(cookie)?;
                out.end(data)?;
            }
            if tls13 && self.config.post_handshake_auth() {
                out.u16(ExtensionType::POST_HANDSHAKE_AUTH.0)?;
                out.u16(0)?;
            }
            if tls13 && self.config.sessions.is_some() {
                out.u16(ExtensionType::PSK_KEY_EXCHANGE_MODES.0)?;
                // psk_dhe_ke
                out.bytes(&[0, 2, 1, 1])?;
            }
            if before.is_none() && session.is_some_and(|session| self.offers_early_data(session)) {
                out.u16(ExtensionType::EARLY_DATA.0)?;
                out.u16(0)?;
            }
            if let Some(session) = psk {
                out.u16(ExtensionType::PRE_SHARED_KEY.0)?;
                let (data, identities) = (out.block(2)?, out.block(2)?);
                let identity = out.block(2)?;
                out.bytes(session.ticket())?;
                out.end(identity)?;
                let age = (session.age.as_millis() as u32).wrapping_add(session.age_add);
                out.bytes(&age.to_be_bytes())?;
                out.end(identities)?;
                let (binders, binder) = (out.block(2)?, out.block(1)?);
                out.room(session.suite.hash().len())?.fill(0);
                out.end(binder)?;
                out.end(binders)?;
                out.end(data)?;
            }
            Ok(out.end(extensions)?)
        })?;
        let Some(session) = psk else { return Ok(()) };
        // The binder is over everything before the list of binders (RFC 8446 section 4.2.11.2).
        let hash = session.suite.hash();
        let mut transcript = before.cloned().unwrap_or_else(|| provider.hash(hash));
        let whole = out.since(start);
        transcript
            .update(whole.split_at_checked(whole.len().saturating_sub(3 + hash.len())).unwrap_or_default().0);
        let schedule = KeySchedule::early(provider, hash, Some(&session.psk));
        let key = schedule.derive(b"res binder", &provider.hash(hash).current());
        out.last(hash.len())?.copy_from_slice(&schedule.finished(&key, &transcript.current()));
        Ok(())
    }

    /// With a first hello.
    fn offers_early_data(&self, session: &Session) -> bool {
        session.max_early_data > 0 && self.config.offers_early_data()
    }

    /// Literal addresses are not allowed in `server_name` (RFC 6066 section 3).
    pub(super) fn names_a_host(&self) -> bool {
        self.server_name.parse::<IpAddr>().is_err()
    }
}
