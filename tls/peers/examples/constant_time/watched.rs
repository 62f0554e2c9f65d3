//! A provider that hides what is secret from everything but the primitives: these are other people's, and not looked at.
use crate::memcheck::{hide, show};
use airglow_tls::crypto::{
    Aead, CipherSuite, Hash, KeyExchange, NamedGroup, Provider, RustCrypto, Secret, SignatureScheme, TAG,
};
use std::cell::RefCell;

/// The content type of an application's bytes.
const APPLICATION_DATA: u8 = 23;
/// Bytes of a ticket's associated data, by which it is told from a record, and where in it the pre-shared key lies.
const TICKET_NAME: usize = 4;
const PRE_SHARED_KEY: core::ops::Range<usize> = 3..51;

/// Every HMAC, shared secret, ticket's key and application's byte is hidden.
#[derive(Default)]
pub struct Watched {
    /// Keys of Finished and binders.
    finished: RefCell<Vec<Vec<u8>>>,
}

/// A copy that a primitive may work with.
fn shown(bytes: &[u8]) -> Vec<u8> {
    let copy = bytes.to_vec();
    show(&*copy);
    copy
}

fn hidden(secret: Secret) -> Secret {
    hide(&secret);
    secret
}

impl Provider for Watched {
    type Transcript = <RustCrypto as Provider>::Transcript;
    type Aead = WatchedAead;
    type KeyExchange = WatchedExchange;

    fn cipher_suites(&self) -> &[CipherSuite] {
        RustCrypto.cipher_suites()
    }
    fn groups(&self) -> &[NamedGroup] {
        &[NamedGroup::X25519]
    }
    fn signature_schemes(&self) -> &[SignatureScheme] {
        RustCrypto.signature_schemes()
    }
    fn hash(&self, hash: Hash) -> Self::Transcript {
        RustCrypto.hash(hash)
    }
    fn hmac(&self, hash: Hash, key: &[u8], parts: &[&[u8]]) -> Secret {
        let (key, parts) = (shown(key), parts.iter().map(|part| shown(part)).collect::<Vec<_>>());
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let output = RustCrypto.hmac(hash, &key, &parts);
        // What goes over the wire is no secret, and whether the peer's is the same neither: `comparisons` is about how that
        // is found out.
        if self.finished.borrow().contains(&key) {
            return output;
        }
        if parts.contains(&&b"finished"[..]) {
            self.finished.borrow_mut().push(output.to_vec());
        }
        hidden(output)
    }
    fn aead(&self, suite: CipherSuite, key: &[u8]) -> Option<WatchedAead> {
        RustCrypto.aead(suite, &shown(key)).map(WatchedAead)
    }
    fn key_exchange(&self, group: NamedGroup, random: &[u8; 32]) -> Option<WatchedExchange> {
        RustCrypto.key_exchange(group, random).map(WatchedExchange)
    }
    fn verify(&self, scheme: SignatureScheme, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
        RustCrypto.verify(scheme, spki, message, signature)
    }
}

pub struct WatchedExchange(<RustCrypto as Provider>::KeyExchange);

impl KeyExchange for WatchedExchange {
    fn group(&self) -> NamedGroup {
        self.0.group()
    }
    fn public(&self, out: &mut [u8]) -> Option<usize> {
        self.0.public(out)
    }
    fn agree(&self, peer: &[u8]) -> Option<Secret> {
        self.0.agree(peer).map(hidden)
    }
}

pub struct WatchedAead(<RustCrypto as Provider>::Aead);

fn nonce(nonce: &[u8; 12]) -> [u8; 12] {
    show(nonce);
    *nonce
}

impl Aead for WatchedAead {
    fn seal(&self, number: &[u8; 12], associated_data: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        show(text);
        self.0.seal(&nonce(number), associated_data, text)
    }
    fn open(
        &self,
        number: &[u8; 12],
        associated_data: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG],
    ) -> Option<()> {
        self.0.open(&nonce(number), associated_data, text, tag)?;
        match text {
            // Where the content ends is told to the application, and no secret; what it is, is.
            [content @ .., APPLICATION_DATA] => hide(content),
            ticket if associated_data.len() == TICKET_NAME => hide(&ticket[PRE_SHARED_KEY]),
            _ => {}
        }
        Some(())
    }
}
