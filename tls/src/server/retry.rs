//! HelloRetryRequest: RFC 8446 section 4.1.4.
use super::{Retry, Server, State, emit_server_hello};
use crate::{
    Alert,
    connection::{Flight, Step},
    crypto::{CipherSuite, NamedGroup, Provider, Transcript},
    exchange::message_hash,
    wire::{ClientHello, ExtensionType, HELLO_RETRY_REQUEST, Message},
};

impl<P: Provider> Server<'_, P> {
    pub(super) fn retry<B: AsRef<[u8]> + AsMut<[u8]>>(
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
                out.u16(ExtensionType::KEY_SHARE.0)?;
                out.u16(2)?;
                Ok(out.u16(group.0)?)
            })?;
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
        self.state = State::AwaitHello(Some(Retry { suite, group, random: *hello.random, transcript }));
        Ok(Step::Continue)
    }
}
