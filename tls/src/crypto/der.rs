//! The little DER (X.690) that keys need without an allocator: PKCS #8, SEC 1, SubjectPublicKeyInfo, ECDSA signatures.

/// Tags.
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

const ID_EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
#[cfg(feature = "p384")]
const SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
#[cfg(feature = "rsa")]
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Keys that can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    EcdsaP256,
    #[cfg(feature = "p384")]
    EcdsaP384,
    #[cfg(feature = "rsa")]
    Rsa,
    Ed25519,
}

impl KeyKind {
    /// Bytes of a private key; none for RSA, with which nothing is signed here.
    const fn secret(self) -> usize {
        match self {
            Self::EcdsaP256 | Self::Ed25519 => 32,
            #[cfg(feature = "p384")]
            Self::EcdsaP384 => 48,
            #[cfg(feature = "rsa")]
            Self::Rsa => 0,
        }
    }
}

/// Takes one element off the front: tag, content, rest.
pub(crate) fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([tag, first], rest) = bytes.split_first_chunk()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => {
            let (len, rest) = rest.split_first()?;
            (usize::from(*len), rest)
        }
        0x82 => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        _ => return None,
    };
    // DER wants the shortest form of a length.
    if (*first == 0x81 && len < 0x80) || (*first == 0x82 && len < 0x100) {
        return None;
    }
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

/// Takes one element of this tag off the front: content, rest.
pub(crate) fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

fn curve(oid: &[u8]) -> Option<KeyKind> {
    match oid {
        PRIME256V1 => Some(KeyKind::EcdsaP256),
        #[cfg(feature = "p384")]
        SECP384R1 => Some(KeyKind::EcdsaP384),
        _ => None,
    }
}

fn algorithm(content: &[u8]) -> Option<KeyKind> {
    let (oid, parameters) = expect(content, OID)?;
    match oid {
        ID_EC_PUBLIC_KEY => {
            let (oid, end) = expect(parameters, OID)?;
            curve(oid).filter(|_| end.is_empty())
        }
        #[cfg(feature = "rsa")]
        RSA_ENCRYPTION if parameters == [5, 0] => Some(KeyKind::Rsa),
        ID_ED25519 if parameters.is_empty() => Some(KeyKind::Ed25519),
        _ => None,
    }
}

/// The kind and the secret bytes of a PKCS #8 (RFC 5958) or SEC 1 (RFC 5915) private key.
pub(super) fn private_key(der: &[u8]) -> Option<(KeyKind, &[u8])> {
    let (content, rest) = expect(der, SEQUENCE)?;
    let (_, after_version) = expect(content, INTEGER)?;
    if !rest.is_empty() {
        return None;
    }
    match element(after_version)? {
        (SEQUENCE, identifier, rest) => {
            let kind = algorithm(identifier)?;
            let (inner, _) = expect(rest, OCTET_STRING)?;
            let secret = match kind {
                KeyKind::Ed25519 => expect(inner, OCTET_STRING)?.0,
                _ => sec1(inner)?,
            };
            (secret.len() == kind.secret()).then_some((kind, secret))
        }
        (OCTET_STRING, secret, rest) => {
            // SEC 1 alone must say which curve.
            let (parameters, _) = expect(rest, VERSION)?;
            let kind = curve(expect(parameters, OID)?.0)?;
            (secret.len() == kind.secret()).then_some((kind, secret))
        }
        _ => None,
    }
}

fn sec1(der: &[u8]) -> Option<&[u8]> {
    let (content, _) = expect(der, SEQUENCE)?;
    let (_, rest) = expect(content, INTEGER)?;
    Some(expect(rest, OCTET_STRING)?.0)
}

/// The kind and the bytes of the key in a SubjectPublicKeyInfo (RFC 5280 section 4.1).
pub(super) fn public_key(spki: &[u8]) -> Option<(KeyKind, &[u8])> {
    let (content, rest) = expect(spki, SEQUENCE)?;
    let (identifier, key) = expect(content, SEQUENCE)?;
    let (bits, end) = expect(key, BIT_STRING)?;
    let (0, key) = bits.split_first().map(|(unused, key)| (*unused, key))? else { return None };
    (rest.is_empty() && end.is_empty()).then_some((algorithm(identifier)?, key))
}

/// Whether it is a SubjectPublicKeyInfo with a key of a kind that we know.
pub(crate) fn is_public_key(spki: &[u8]) -> bool {
    public_key(spki).is_some()
}

/// The SubjectPublicKeyInfo of an X.509 certificate, as DER; `None` when there is none. Checks nothing else.
pub fn subject_public_key_info(certificate: &[u8]) -> Option<&[u8]> {
    let (content, _) = expect(certificate, SEQUENCE)?;
    let (mut fields, _) = expect(content, SEQUENCE)?;
    if let Some((VERSION, _, rest)) = element(fields) {
        fields = rest;
    }
    // serialNumber, signature, issuer, validity, subject
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        fields = expect(fields, tag)?.1;
    }
    let (_, rest) = expect(fields, SEQUENCE)?;
    fields.get(..fields.len() - rest.len())
}

/// Modulus and exponent of an RSAPublicKey (RFC 8017 appendix A.1.1), without leading zeros.
#[cfg(feature = "rsa")]
pub(super) fn rsa_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = expect(der, SEQUENCE)?;
    let (modulus, after) = expect(content, INTEGER)?;
    let (exponent, end) = expect(after, INTEGER)?;
    (rest.is_empty() && end.is_empty()).then_some((positive(modulus)?, positive(exponent)?))
}

/// The digits of a positive INTEGER in its shortest form.
fn positive(number: &[u8]) -> Option<&[u8]> {
    match number {
        [0, digits @ ..] if digits.first().is_some_and(|byte| byte >> 7 == 1) => Some(digits),
        [1..=0x7f, ..] => Some(number),
        _ => None,
    }
}

/// Writes `r` and `s`, of one length up to 48 each, as an ECDSA-Sig-Value (RFC 3279 section 2.2.3); its length, at
/// most 104.
pub(super) fn emit_signature(r_s: &[u8], out: &mut [u8]) -> Option<usize> {
    let (r, s) = r_s.split_at_checked(r_s.len() / 2)?;
    let mut len = 2;
    for number in [r, s] {
        let zeros = number.iter().take_while(|byte| **byte == 0).count().min(number.len().saturating_sub(1));
        let digits = number.get(zeros..)?;
        let pad = digits.first()? >> 7;
        let size = digits.len() + usize::from(pad);
        let (head, content) = out.get_mut(len..len + 2 + size)?.split_at_mut(2);
        head.copy_from_slice(&[INTEGER, size as u8]);
        content.fill(0);
        content.get_mut(usize::from(pad)..)?.copy_from_slice(digits);
        len += 2 + size;
    }
    out.first_chunk_mut::<2>()?.copy_from_slice(&[SEQUENCE, (len - 2) as u8]);
    Some(len)
}

/// `r` and `s` of an ECDSA-Sig-Value over a group whose order has `LEN / 2` bytes.
pub(super) fn parse_signature<const LEN: usize>(der: &[u8]) -> Option<[u8; LEN]> {
    let mut out = [0; LEN];
    let (content, rest) = expect(der, SEQUENCE)?;
    let (r, after) = expect(content, INTEGER)?;
    let (s, end) = expect(after, INTEGER)?;
    let (first, second) = out.split_at_mut(LEN / 2);
    for (number, place) in [(r, first), (s, second)] {
        let digits = positive(number)?;
        place.get_mut((LEN / 2).checked_sub(digits.len())?..)?.copy_from_slice(digits);
    }
    (rest.is_empty() && end.is_empty()).then_some(out)
}
