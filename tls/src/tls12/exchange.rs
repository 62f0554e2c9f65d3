//! ServerKeyExchange (RFC 8422 section 5.4) and the signatures of TLS 1.2.
use crate::{
    Alert,
    crypto::{NamedGroup, Provider, SignatureScheme, Transcript},
    signature::PublicKey,
    wire::{Malformed, NoRoom, Reader, Writer},
};

/// Bytes of the longest public share: P-384's.
const MAX_SHARE: usize = 97;
/// Both randoms, curve type, group, length, share.
const MAX_SIGNED: usize = 64 + 1 + 2 + 1 + MAX_SHARE;
/// `named_curve`
const NAMED_CURVE: u8 = 3;

/// A ServerKeyExchange message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerKeyExchange<'a> {
    /// What is signed, with the randoms before it.
    parameters: &'a [u8],
    curve_type: u8,
    pub(crate) group: NamedGroup,
    pub(crate) share: &'a [u8],
    scheme: SignatureScheme,
    signature: &'a [u8],
}

impl<'a> ServerKeyExchange<'a> {
    /// Reads the body of a ServerKeyExchange message.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let (curve_type, group) = (reader.u8()?, NamedGroup(reader.u16()?));
        let share = reader.vector8()?;
        let parameters = body.get(..body.len() - reader.rest().len()).ok_or(Malformed)?;
        let (scheme, signature) = (SignatureScheme(reader.u16()?), reader.vector16()?);
        reader.end()?;
        Ok(Self { parameters, curve_type, group, share, scheme, signature })
    }

    /// Checks that it is of a kind we know and signed by `key`, with RSA if the suite says so.
    pub(crate) fn check<P: Provider>(
        &self,
        provider: &P,
        key: &PublicKey,
        randoms: &[u8; 64],
        rsa: bool,
    ) -> Result<(), Alert> {
        if self.curve_type != NAMED_CURVE
            || !provider.signature_schemes().contains(&self.scheme)
            || self.scheme.is_rsa() != rsa
        {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let signed = signed(randoms, self.parameters)?;
        let good = match self.scheme.hash() {
            Some(hash) => {
                let mut digest = provider.hash(hash);
                digest.update(signed.bytes());
                provider.verify_hash(self.scheme, key.spki(), &digest.current(), self.signature)
            }
            None => provider.verify(self.scheme, key.spki(), signed.bytes(), self.signature),
        };
        if good { Ok(()) } else { Err(Alert::DECRYPT_ERROR) }
    }
}

/// Writes the parameters of an exchange; what of them, with the randoms, is to be signed.
pub(crate) fn emit_parameters(
    out: &mut Writer<'_>,
    group: NamedGroup,
    randoms: &[u8; 64],
    public: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> Result<Share<MAX_SIGNED>, Alert> {
    let start = out.len();
    out.u8(NAMED_CURVE)?;
    out.u16(group.0)?;
    let share = out.block(1)?;
    let len = public(out.spare()).ok_or(Alert::INTERNAL_ERROR)?;
    out.room(len)?;
    out.end(share)?;
    signed(randoms, out.since(start))
}

fn signed(randoms: &[u8; 64], parameters: &[u8]) -> Result<Share<MAX_SIGNED>, Alert> {
    let mut signed = Share { bytes: [0; MAX_SIGNED], len: 0 };
    let mut out = Writer::new(&mut signed.bytes);
    let written = out.bytes(randoms).and_then(|()| out.bytes(parameters));
    // Shares that are longer are on no curve we know.
    written.map_err(|NoRoom| Alert::ILLEGAL_PARAMETER)?;
    signed.len = out.len() as u8;
    Ok(signed)
}

/// Up to `N` bytes: a public share, or what is signed of one.
pub(crate) struct Share<const N: usize = MAX_SHARE> {
    bytes: [u8; N],
    len: u8,
}

impl Share {
    /// What `write` writes, and what it says beside the length.
    pub(crate) fn new<T>(write: impl FnOnce(&mut [u8]) -> Option<(usize, T)>) -> Option<(Self, T)> {
        let mut share = Self { bytes: [0; MAX_SHARE], len: 0 };
        let (len, more) = write(&mut share.bytes)?;
        share.len = len as u8;
        Some((share, more))
    }
}

impl<const N: usize> Share<N> {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}
