//! HelloRetryRequest: RFC 8446 section 4.1.4.
use super::{Retry, Server, State, hello::emit_server_hello};
use crate::{
    Alert,
    connection::{Flight, Step},
    cookie::{MAX_COOKIE, Remembered},
    crypto::{CipherSuite, NamedGroup, Provider, Transcript},
    exchange::message_hash,
    wire::{ClientHello, ExtensionType, HELLO_RETRY_REQUEST, Message, Reader, Writer},
};

/// Most bytes of a HelloRetryRequest: header, versions, random, session id, suite, compression, extensions.
const MAX_RETRY: usize = 4 + 2 + 32 + 33 + 2 + 1 + 2 + 6 + 6 + 6 + MAX_COOKIE;

impl<P: Provider> Server<'_, P> {
    /// Asks for another hello: with a share of `group`, if the first had none that we take, and with our cookie.
    pub(super) fn retry<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        hello: &ClientHello<'_>,
        first: Message<'_>,
        suite: CipherSuite,
        group: Option<NamedGroup>,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert> {
        let provider = &self.config.provider;
        let mut hash = provider.hash(suite.hash());
        hash.update(first.whole);
        let remembered = Remembered { suite, group, hello: hash.current() };
        let mut cookie = [0; MAX_COOKIE];
        let mut writer = Writer::new(&mut cookie);
        if let Some(cookies) = self.config.cookies() {
            cookies.issue(provider, &remembered, hello.random, &mut writer)?;
        }
        let cookie = writer.since(0);
        let mut transcript = message_hash(provider, suite, &remembered.hello);
        out.0.handshake(|out| {
            let start = out.len();
            emit_retry(out, hello.legacy_session_id, suite, group, cookie)?;
            transcript.update(out.since(start));
            Ok(())
        })?;
        // A client with a session id wants to look like an old one to boxes in between (appendix D.4).
        if !hello.legacy_session_id.is_empty() {
            out.0.change_cipher_spec()?;
        }
        if hello.extensions.find(ExtensionType::EARLY_DATA).is_some() {
            self.pass_over_early_data();
        }
        self.wants_cookie = !cookie.is_empty();
        let kept = Retry { suite, group, random: *hello.random, transcript };
        self.state = State::AwaitHello(Some(kept).filter(|_| !self.wants_cookie));
        Ok(Step::Continue)
    }

    /// What we would know of the first hello if we had kept it.
    pub(super) fn remember(&self, hello: &ClientHello<'_>) -> Result<Option<Retry<P>>, Alert> {
        let Some(cookies) = self.config.cookies() else { return Ok(None) };
        let Some(data) = hello.extensions.find(ExtensionType::COOKIE) else {
            // A client that was asked must bring it.
            return if self.wants_cookie { Err(Alert::MISSING_EXTENSION) } else { Ok(None) };
        };
        let mut reader = Reader::new(data);
        let cookie = reader.vector16()?;
        reader.end()?;
        let provider = &self.config.provider;
        let Remembered { suite, group, hello: first } = cookies.redeem(provider, cookie, hello.random)?;
        // The transcript has our answer in it, which only these things decide.
        let mut answer = [0; MAX_RETRY];
        let mut writer = Writer::new(&mut answer);
        emit_retry(&mut writer, hello.legacy_session_id, suite, group, cookie)?;
        let mut transcript = message_hash(provider, suite, &first);
        transcript.update(writer.since(0));
        Ok(Some(Retry { suite, group, random: *hello.random, transcript }))
    }
}

fn emit_retry(
    out: &mut Writer<'_>,
    session_id: &[u8],
    suite: CipherSuite,
    group: Option<NamedGroup>,
    cookie: &[u8],
) -> Result<(), Alert> {
    emit_server_hello(out, &HELLO_RETRY_REQUEST, session_id, suite, |out| {
        if let Some(group) = group {
            out.u16(ExtensionType::KEY_SHARE.0)?;
            out.u16(2)?;
            out.u16(group.0)?;
        }
        if !cookie.is_empty() {
            out.u16(ExtensionType::COOKIE.0)?;
            let (data, list) = (out.block(2)?, out.block(2)?);
            out.bytes(cookie)?;
            out.end(list)?;
            out.end(data)?;
        }
        Ok(())
    })
}
