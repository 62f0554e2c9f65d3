//! Certificates or bare keys: RFC 7250.
use crate::{
    Alert,
    crypto::subject_public_key_info,
    wire::{ExtensionType, NoRoom, Reader, Writer},
};

/// With what a side shows who it is (RFC 7250 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateType {
    /// A chain of certificates.
    X509,
    /// The SubjectPublicKeyInfo of its key and nothing around it: for peers who know one another's keys.
    RawPublicKey,
}

/// What is understood without an extension.
pub(crate) const X509: &[CertificateType] = &[CertificateType::X509];

impl CertificateType {
    /// Whether it is a bare key, which it is nowhere without the feature.
    pub(crate) fn is_raw(self) -> bool {
        cfg!(feature = "raw-public-keys") && self == Self::RawPublicKey
    }

    const fn code(self) -> u8 {
        match self {
            Self::X509 => 0,
            Self::RawPublicKey => 2,
        }
    }

    /// A server chooses: the first of `ours` that the client has in its list.
    pub(crate) fn choose(ours: &[Self], theirs: Option<&[u8]>) -> Result<Self, Alert> {
        if cfg!(not(feature = "raw-public-keys")) {
            return Ok(Self::X509);
        }
        let theirs = match theirs {
            Some(data) => {
                let mut reader = Reader::new(data);
                let list = reader.vector8()?;
                reader.end()?;
                if list.is_empty() {
                    return Err(Alert::DECODE_ERROR);
                }
                list
            }
            None => &[0],
        };
        //= https://www.rfc-editor.org/rfc/rfc7250#section-4.2
        //# 2.  The server supports the extension defined in this document, but
        //# it does not have any certificate type in common with the client.
        //# Then, the server terminates the session with a fatal alert of
        //# type "unsupported_certificate".
        let common = ours.iter().find(|kind| theirs.contains(&kind.code()));
        common.copied().ok_or(Alert::UNSUPPORTED_CERTIFICATE)
    }

    /// A client hears what was chosen of its `offered`.
    pub(crate) fn chosen(offered: &[Self], data: &[u8]) -> Result<Self, Alert> {
        let mut reader = Reader::new(data);
        let code = reader.u8()?;
        reader.end()?;
        offered.iter().copied().find(|kind| kind.code() == code).ok_or(Alert::ILLEGAL_PARAMETER)
    }

    /// A client's list, unless it is what is understood without.
    pub(crate) fn offer(out: &mut Writer<'_>, kind: ExtensionType, types: &[Self]) -> Result<(), NoRoom> {
        if types == X509 {
            return Ok(());
        }
        out.u16(kind.0)?;
        let (data, list) = (out.block(2)?, out.block(1)?);
        types.iter().try_for_each(|one| out.u8(one.code()))?;
        out.end(list)?;
        out.end(data)
    }

    /// A server's choice, unless it is what is understood without.
    pub(crate) fn tell(self, out: &mut Writer<'_>, kind: ExtensionType) -> Result<(), NoRoom> {
        if !self.is_raw() {
            return Ok(());
        }
        out.u16(kind.0)?;
        out.u16(1)?;
        out.u8(self.code())
    }
}

/// What a raw public key is shown as: a certificate's, or the first of a "chain" that is none.
pub(crate) fn bare<'c>(chain: &[&'c [u8]]) -> Option<&'c [u8]> {
    chain.first().map(|first| subject_public_key_info(first).unwrap_or(first))
}
