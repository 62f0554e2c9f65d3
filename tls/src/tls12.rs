//! What both sides of TLS 1.2 (RFC 5246) write and compute alike.
//!
//! Of that version's many ways there is one: an ephemeral exchange on a curve, signed (RFC 8422), an AEAD (RFC 5289,
//! RFC 7905), and keys that are bound to the whole handshake (RFC 7627).
mod exchange;
mod prf;

pub(crate) use exchange::{ServerKeyExchange, Share, emit_parameters};
pub(crate) use prf::{Side, export};
use prf::{finished, master_secret, protection};

use crate::{
    Alert,
    connection::{Exporter, Flight},
    crypto::{CipherSuite, Hash, NamedGroup, Provider, Secret, Transcript},
    outgoing::emit_message,
    protection::Protection,
    wire::{ExtensionType, HandshakeType, NoRoom, Writer},
};

/// TLS 1.2 on the wire.
pub(crate) const TLS12: u16 = 0x0303;
/// The end of the random of a server that could have done better (RFC 8446 section 4.1.3).
pub(crate) const SENTINEL: [u8; 8] = *b"DOWNGRD\x01";
/// A suite that is none: the client knows RFC 5746.
pub(crate) const EMPTY_RENEGOTIATION_INFO_SCSV: u16 = 0x00ff;
/// A suite that is none: the client could do better and tries less (RFC 7507).
pub(crate) const FALLBACK_SCSV: u16 = 0x5600;

/// The primitives of each suite, and its numbers with ECDSA (EdDSA too) and with RSA.
const SUITES: [(CipherSuite, [u16; 2]); 3] = [
    (CipherSuite::TLS_AES_128_GCM_SHA256, [0xc02b, 0xc02f]),
    (CipherSuite::TLS_AES_256_GCM_SHA384, [0xc02c, 0xc030]),
    (CipherSuite::TLS_CHACHA20_POLY1305_SHA256, [0xcca9, 0xcca8]),
];

/// The number of the suite of these primitives.
pub(crate) fn suite_number(suite: CipherSuite, rsa: bool) -> Option<u16> {
    let (_, [ecdsa, with_rsa]) = SUITES.iter().find(|(primitives, _)| *primitives == suite)?;
    Some(if rsa { *with_rsa } else { *ecdsa })
}

/// The primitives of the suite of this number, and whether its signatures are RSA's.
pub(crate) fn suite_of(number: u16) -> Option<(CipherSuite, bool)> {
    let (suite, [_, rsa]) = SUITES.iter().find(|(_, numbers)| numbers.contains(&number))?;
    Some((*suite, *rsa == number))
}

/// Writes the suites that a client offers beside TLS 1.3's.
pub(crate) fn emit_suites(out: &mut Writer<'_>, suites: &[CipherSuite]) -> Result<(), NoRoom> {
    for rsa in [false, true] {
        for number in suites.iter().filter_map(|suite| suite_number(*suite, rsa)) {
            out.u16(number)?;
        }
    }
    Ok(())
}

/// Writes the extensions with which both sides say that they know what is required here.
pub(crate) fn emit_indications(out: &mut Writer<'_>) -> Result<(), NoRoom> {
    emit_extension(out, ExtensionType::EXTENDED_MASTER_SECRET, &[])?;
    emit_extension(out, ExtensionType::RENEGOTIATION_INFO, &[0])?;
    emit_extension(out, ExtensionType::EC_POINT_FORMATS, &[1, 0])
}

pub(crate) fn emit_extension(out: &mut Writer<'_>, kind: ExtensionType, data: &[u8]) -> Result<(), NoRoom> {
    out.u16(kind.0)?;
    let block = out.block(2)?;
    out.bytes(data)?;
    out.end(block)
}

/// The provider's groups that TLS 1.2 knows, best first.
pub(crate) fn groups<P: Provider>(provider: &P) -> impl Iterator<Item = NamedGroup> {
    let known = [NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1];
    provider.groups().iter().copied().filter(move |group| known.contains(group))
}

/// Checks a `renegotiation_info` that must be empty, in a first handshake (RFC 5746 sections 3.4 and 3.6).
pub(crate) fn check_renegotiation_info(data: &[u8]) -> Result<(), Alert> {
    if data == [0] { Ok(()) } else { Err(Alert::HANDSHAKE_FAILURE) }
}

/// What the peer sends next: one of the messages `M` that only its side sends, or what every handshake ends with, for which
/// `E` is kept.
// One per connection, beside buffers many times as large; there may be no allocator to box with.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Expects<M, E = ()> {
    Message(M),
    ChangeCipherSpec(E),
    Finished(E),
}

impl<M, E: Default> Expects<M, E> {
    /// A ChangeCipherSpec has come: the keys of the peer's Finished are next, if it is time for them.
    pub(crate) fn change_cipher_spec(&mut self) -> Result<(), Alert> {
        let Self::ChangeCipherSpec(kept) = self else { return Err(Alert::UNEXPECTED_MESSAGE) };
        *self = Self::Finished(core::mem::take(kept));
        Ok(())
    }
}

/// What both sides of a handshake have come to.
pub(crate) struct Agreed<P: Provider> {
    pub(crate) suite: CipherSuite,
    pub(crate) transcripts: Transcripts<P>,
    /// The client's and the server's.
    pub(crate) randoms: [u8; 64],
    /// Of no length before the ClientKeyExchange.
    pub(crate) master: Secret,
}

impl<P: Provider> Agreed<P> {
    /// The keys with which a side protects its records.
    pub(crate) fn keys(&self, provider: &P, side: Side) -> Result<Protection<P>, Alert> {
        protection(provider, self.suite, &self.master, &self.randoms, side).ok_or(Alert::INTERNAL_ERROR)
    }
    /// What a side's Finished says of the messages so far.
    pub(crate) fn finished(&self, provider: &P, side: Side) -> Secret {
        let hash = self.suite.hash();
        finished(provider, hash, &self.master, &self.transcripts.current(hash), side)
    }
    /// The master secret of what the key exchange gave and the messages so far.
    pub(crate) fn share(&mut self, provider: &P, shared: &[u8]) {
        let hash = self.suite.hash();
        self.master = master_secret(provider, hash, shared, &self.transcripts.current(hash));
    }
    /// Ends a side's own part: ChangeCipherSpec, and Finished under the keys that it brings.
    pub(crate) fn finish<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        provider: &P,
        side: Side,
        out: &mut Flight<'_, P, B>,
    ) -> Result<(), Alert> {
        out.0.change_cipher_spec()?;
        out.0.protect(self.keys(provider, side)?);
        let finished = self.finished(provider, side);
        out.0.handshake(|out| {
            let start = out.len();
            emit_message(out, HandshakeType::FINISHED, |out| Ok(out.bytes(&finished)?))?;
            self.transcripts.update(out.since(start));
            Ok(())
        })
    }
    pub(crate) fn exporter(self) -> Exporter {
        Exporter { hash: self.suite.hash(), secret: self.master, randoms: Some(self.randoms) }
    }
}

/// The messages so far under both hashes: a client's signature need not have that of the suite.
pub(crate) struct Transcripts<P: Provider>(pub(crate) [P::Transcript; 2]);

impl<P: Provider> Transcripts<P> {
    pub(crate) fn new(provider: &P) -> Self {
        Self([provider.hash(Hash::Sha256), provider.hash(Hash::Sha384)])
    }
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|transcript| transcript.update(bytes));
    }
    pub(crate) fn current(&self, hash: Hash) -> Secret {
        let [sha256, sha384] = &self.0;
        match hash {
            Hash::Sha256 => sha256.current(),
            Hash::Sha384 => sha384.current(),
        }
    }
}
