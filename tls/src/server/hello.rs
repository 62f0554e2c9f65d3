//! What a ClientHello is answered with: RFC 8446 sections 4.1.3, 4.3 and 4.4.
use super::{AwaitFinished, Expects, Retry, Server, State, halves, required, resumption::offers_psk_dhe_ke};
use crate::{
    Alert,
    certificate_type::{CertificateType, bare},
    compression,
    config::EARLY_DATA,
    connection::{Exporter, Flight, Role, Step},
    crypto::{CipherSuite, NamedGroup, Provider, Transcript},
    exchange::{TLS13, emit_numbers, emit_protocols, emit_record_size_limit, from_seed, record_size_limit},
    key_schedule::KeySchedule,
    outgoing::emit_message,
    protection::{OVERHEAD, Protection},
    signature::{SERVER_CONTEXT, emit_certificate_verify},
    wire::{
        CertificateList, ClientHello, ExtensionType, HandshakeType, KeyShares, MAX_PLAINTEXT, Malformed,
        Message, Reader, ServerHello, U16List, Writer,
    },
};

/// Writes the body of a message that may depend on what was said before.
type Body<'b, T> = dyn FnMut(&mut Writer<'_>, &T) -> Result<(), Alert> + 'b;

/// Writes the body of a CertificateRequest.
pub(super) fn emit_certificate_request<P: Provider>(
    out: &mut Writer<'_>,
    provider: &P,
    context: &[u8],
    compressed: bool,
) -> Result<(), Alert> {
    let block = out.block(1)?;
    out.bytes(context)?;
    out.end(block)?;
    let block = out.block(2)?;
    let schemes = provider.signature_schemes().iter().map(|scheme| scheme.0);
    emit_numbers(out, ExtensionType::SIGNATURE_ALGORITHMS, schemes)?;
    if compressed {
        compression::offer(out)?;
    }
    Ok(out.end(block)?)
}

/// The host name of a `server_name` extension (RFC 6066 section 3).
pub(super) fn host_name(data: &[u8]) -> Result<Option<&[u8]>, Malformed> {
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

/// Checks what decides whether this is TLS 1.3 at all.
fn check_version(hello: &ClientHello<'_>) -> Result<(), Alert> {
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
    Ok(())
}

/// A ServerHello or HelloRetryRequest whose extensions but the first `more` writes.
pub(super) fn emit_server_hello(
    out: &mut Writer<'_>,
    random: &[u8; 32],
    session_id: &[u8],
    suite: CipherSuite,
    more: impl FnOnce(&mut Writer<'_>) -> Result<(), Alert>,
) -> Result<(), Alert> {
    emit_message(out, HandshakeType::SERVER_HELLO, |out| {
        ServerHello::emit_head(out, random, session_id, suite.0)?;
        let block = out.block(2)?;
        out.u16(ExtensionType::SUPPORTED_VERSIONS.0)?;
        out.u16(2)?;
        out.u16(TLS13)?;
        more(out)?;
        Ok(out.end(block)?)
    })
}

impl<P: Provider> Server<'_, P> {
    // Neither this nor what comes later has the other's variables on the stack.
    #[inline(never)]
    pub(super) fn hello<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        retry: Option<Retry<P>>,
        message: Message<'_>,
        room: usize,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let hello = ClientHello::parse(message.body)?;
        let extensions = hello.extensions;
        #[cfg(feature = "tls12")]
        if retry.is_none() && self.takes_tls12(&hello)? {
            return self.hello_tls12(&hello, message, room, out);
        }
        check_version(&hello)?;
        let retry = match retry {
            Some(retry) => Some(retry),
            None => self.remember(&hello)?,
        };
        let psks = self.psks(&hello)?;
        let fixed = retry.as_ref().map(|retry| retry.suite);
        let suite = self.suite(&hello, fixed, psks)?;

        let groups = U16List::parse(required(extensions, ExtensionType::SUPPORTED_GROUPS)?)?;
        let shares = KeyShares::parse(required(extensions, ExtensionType::KEY_SHARE)?)?;
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
        let asks_for_cookie = retry.is_none() && self.config.cookies().is_some();
        let Some((group, client_share)) = chosen.filter(|_| !asks_for_cookie) else {
            let common = ours.clone().find(|group| groups.contains(group.0));
            let group = common.ok_or(Alert::HANDSHAKE_FAILURE)?;
            return match retry {
                // A second request is forbidden (section 4.1.4): the client did not do as it was told.
                Some(_) => Err(Alert::ILLEGAL_PARAMETER),
                None => self.retry(&hello, message, suite, Some(group).filter(|_| chosen.is_none()), out),
            };
        };
        if shares.iter().filter(|share| share.0 == group.0).count() > 1 {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let retried = retry.is_some();
        let mut transcript = match retry {
            Some(retry)
                if (retry.suite, &retry.random) != (suite, hello.random)
                    || retry.group.is_some_and(|asked| asked != group || shares.iter().count() != 1) =>
            {
                return Err(Alert::ILLEGAL_PARAMETER);
            }
            Some(retry) => retry.transcript,
            None => self.config.provider.hash(suite.hash()),
        };
        // Everything that may be wrong with the hello is looked at before anything is answered.
        let unpacks = compression::unpacks(extensions.find(ExtensionType::COMPRESS_CERTIFICATE))?;
        let wants_tickets = offers_psk_dhe_ke(extensions)?;
        #[cfg(feature = "post-handshake-authentication")]
        let post_handshake = self.may_be_asked(extensions)?;
        self.client_random = *hello.random;
        self.protocol = self.agree_on_protocol(extensions)?;
        let limit = extensions.find(ExtensionType::RECORD_SIZE_LIMIT).map(record_size_limit).transpose()?;
        let psk = psks.map(|psks| self.resume(psks, suite, message, &transcript)).transpose()?.flatten();
        // A ticket says who its client is; what is not there still has to be asked.
        let psk = psk.filter(|psk| self.suffices(&psk.session));
        let psk = psk.filter(|psk| self.config.tickets.is_some_and(|tickets| tickets.spend(psk.ticket)));
        self.resumed = psk.is_some();
        self.peer = psk.as_ref().and_then(|psk| psk.session.peer);
        transcript.update(message.whole);

        let host = extensions.find(ExtensionType::SERVER_NAME).map(host_name).transpose()?.flatten();
        self.max_early_data = self.config.max_early_data().min(room as u32 / 2);
        self.remember_host(host.filter(|_| self.config.max_early_data() > 0));
        let named = host.is_some_and(|host| self.config.certificates.iter().any(|one| one.is_for(host)));
        let certificate = match psk {
            Some(_) => None,
            None => {
                let schemes = U16List::parse(required(extensions, ExtensionType::SIGNATURE_ALGORITHMS)?)?;
                Some(self.certificate(host, schemes)?)
            }
        };
        let [ours, clients] = self.config.certificate_types();
        let kind = match certificate {
            Some(_) => {
                CertificateType::choose(ours, extensions.find(ExtensionType::SERVER_CERTIFICATE_TYPE))?
            }
            None => CertificateType::X509,
        };
        let asks = match self.config.clients.filter(|_| psk.is_none()) {
            Some(_) => {
                let theirs = extensions.find(ExtensionType::CLIENT_CERTIFICATE_TYPE);
                Some(CertificateType::choose(clients, theirs)?)
            }
            None => None,
        };
        let mut early = 0;
        if let Some(data) = extensions.find(ExtensionType::EARLY_DATA) {
            //= https://www.rfc-editor.org/rfc/rfc8446#section-4.1.2
            //# Removing the "early_data" extension (Section 4.2.10) if one was
            //# present.  Early data is not permitted after a HelloRetryRequest.
            if retried {
                return Err(Alert::ILLEGAL_PARAMETER);
            }
            if !data.is_empty() {
                return Err(Alert::DECODE_ERROR);
            }
            if EARLY_DATA {
                early = psk.as_ref().map_or(0, |psk| self.accepts_early_data(psk, suite));
            }
            if early == 0 {
                self.pass_over_early_data();
            }
        }

        let provider = &self.config.provider;
        let psk_secret = psk.as_ref().map(|psk| &*psk.session.psk);
        let mut schedule = KeySchedule::early(provider, suite.hash(), psk_secret);
        let early_traffic = (early > 0).then(|| {
            let hash = transcript.current();
            let traffic = schedule.derive(b"c e traffic", &hash);
            let exporter = schedule.derive(b"e exp master", &hash);
            self.log("CLIENT_EARLY_TRAFFIC_SECRET", &traffic);
            self.log("EARLY_EXPORTER_SECRET", &exporter);
            self.early_exporter = Some(Exporter::new(suite.hash(), exporter));
            traffic
        });
        let [server_random, seed] = halves(&self.random);
        let mut shared = None;
        out.0.handshake(|out| {
            let start = out.len();
            emit_server_hello(out, server_random, hello.legacy_session_id, suite, |out| {
                out.u16(ExtensionType::KEY_SHARE.0)?;
                let data = out.block(2)?;
                out.u16(group.0)?;
                let share = out.block(2)?;
                let answer =
                    from_seed(provider, seed, |seed| provider.answer(group, seed, client_share, out.spare()));
                let (len, secret) = answer.ok_or(Alert::ILLEGAL_PARAMETER)?;
                out.room(len)?;
                shared = Some(secret);
                out.end(share)?;
                out.end(data)?;
                if let Some(psk) = &psk {
                    out.u16(ExtensionType::PRE_SHARED_KEY.0)?;
                    out.u16(2)?;
                    out.u16(psk.index)?;
                }
                Ok(())
            })?;
            transcript.update(out.since(start));
            Ok(())
        })?;
        let shared = shared.ok_or(Alert::INTERNAL_ERROR)?;
        if !retried && !hello.legacy_session_id.is_empty() {
            out.0.change_cipher_spec()?;
        }

        schedule.handshake(&shared);
        let hash = transcript.current();
        let client_handshake_traffic = schedule.derive(b"c hs traffic", &hash);
        let server_handshake_traffic = schedule.derive(b"s hs traffic", &hash);
        self.log("CLIENT_HANDSHAKE_TRAFFIC_SECRET", &client_handshake_traffic);
        self.log("SERVER_HANDSHAKE_TRAFFIC_SECRET", &server_handshake_traffic);
        out.0.protect_with(provider, suite, server_handshake_traffic.clone())?;
        if let Some(limit) = limit {
            out.0.limit(limit);
        }
        let protocol = self.protocol();
        let wants_status = extensions.find(ExtensionType::STATUS_REQUEST).is_some();
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
                    emit_record_size_limit(out, room, OVERHEAD - 1, MAX_PLAINTEXT + 1)?;
                }
                if early > 0 {
                    out.u16(ExtensionType::EARLY_DATA.0)?;
                    out.u16(0)?;
                }
                kind.tell(out, ExtensionType::SERVER_CERTIFICATE_TYPE)?;
                if let Some(kind) = asks {
                    kind.tell(out, ExtensionType::CLIENT_CERTIFICATE_TYPE)?;
                }
                Ok(out.end(block)?)
            })?;
            if asks.is_some() {
                let compressed = self.config.wants_compressed();
                write(out, HandshakeType::CERTIFICATE_REQUEST, &mut |out, _| {
                    emit_certificate_request(out, provider, &[], compressed)
                })?;
            }
            if let Some((certificate, scheme)) = certificate {
                let ocsp = certificate.ocsp.filter(|_| wants_status);
                let compressed = certificate.compressed(ocsp.is_some(), unpacks).filter(|_| !kind.is_raw());
                let message = match compressed {
                    Some(_) => HandshakeType::COMPRESSED_CERTIFICATE,
                    None => HandshakeType::CERTIFICATE,
                };
                write(out, message, &mut |out, _| {
                    if let Some(compressed) = compressed {
                        return Ok(out.bytes(compressed)?);
                    }
                    if kind.is_raw() {
                        let key = bare(certificate.chain).ok_or(Alert::INTERNAL_ERROR)?;
                        return Ok(CertificateList::emit(out, &[], &[key], None)?);
                    }
                    Ok(CertificateList::emit(out, &[], certificate.chain, ocsp)?)
                })?;
                write(out, HandshakeType::CERTIFICATE_VERIFY, &mut |out, transcript| {
                    let hash = transcript.current();
                    emit_certificate_verify(out, certificate.key, scheme, SERVER_CONTEXT, &hash)
                })?;
            }
            write(out, HandshakeType::FINISHED, &mut |out, transcript| {
                Ok(out.bytes(&schedule.finished(&server_handshake_traffic, &transcript.current()))?)
            })
        })?;

        schedule.main();
        let hash = transcript.current();
        let server_application_traffic = schedule.derive(b"s ap traffic", &hash);
        let client_application_traffic = schedule.derive(b"c ap traffic", &hash);
        let exporter = schedule.derive(b"exp master", &hash);
        self.log("CLIENT_TRAFFIC_SECRET_0", &client_application_traffic);
        self.log("SERVER_TRAFFIC_SECRET_0", &server_application_traffic);
        self.log("EXPORTER_SECRET", &exporter);
        self.exporter = Some(Exporter::new(suite.hash(), exporter));
        out.0.protect_with(provider, suite, server_application_traffic)?;
        let read = early_traffic.unwrap_or_else(|| client_handshake_traffic.clone());
        self.accepts_early_data = early > 0;
        self.state = State::AwaitFinished(AwaitFinished {
            expects: match asks {
                Some(kind) => Expects::Certificate(kind),
                None if early > 0 => Expects::EndOfEarlyData(early),
                None => Expects::Finished,
            },
            suite,
            schedule,
            transcript,
            client_handshake_traffic,
            client_application_traffic,
            wants_tickets,
            #[cfg(feature = "post-handshake-authentication")]
            post_handshake,
        });
        Protection::new(provider, suite, read).map(Step::Keys).ok_or(Alert::INTERNAL_ERROR)
    }
}
