//! The little DER (X.690) that keys need without an allocator: PKCS #8, SEC 1, SubjectPublicKeyInfo, ECDSA signatures.

/// Tags.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

const ID_EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Keys that can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    EcdsaP256,
    Ed25519,
}

/// Takes one element off the front: tag, content, rest.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
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

fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

fn algorithm(content: &[u8]) -> Option<KeyKind> {
    let (oid, parameters) = expect(content, OID)?;
    match oid {
        ID_EC_PUBLIC_KEY if expect(parameters, OID)? == (PRIME256V1, &[]) => Some(KeyKind::EcdsaP256),
        ID_ED25519 if parameters.is_empty() => Some(KeyKind::Ed25519),
        _ => None,
    }
}

/// The kind and the 32 secret bytes of a PKCS #8 (RFC 5958) or SEC 1 (RFC 5915) private key.
pub(super) fn private_key(der: &[u8]) -> Option<(KeyKind, &[u8; 32])> {
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
                KeyKind::EcdsaP256 => sec1(inner)?,
                KeyKind::Ed25519 => expect(inner, OCTET_STRING)?.0,
            };
            Some((kind, secret.try_into().ok()?))
        }
        (OCTET_STRING, secret, rest) => {
            // SEC 1 alone must say which curve.
            let (parameters, _) = expect(rest, VERSION)?;
            let curve = expect(parameters, OID)?.0 == PRIME256V1;
            curve.then_some((KeyKind::EcdsaP256, secret.try_into().ok()?))
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

/// Writes the 64 bytes of `r` and `s` as an ECDSA-Sig-Value (RFC 3279 section 2.2.3); its length, at most 72.
pub(super) fn emit_signature(r_s: &[u8; 64], out: &mut [u8]) -> Option<usize> {
    let mut len = 2;
    for number in r_s.as_chunks::<32>().0 {
        let zeros = number.iter().take_while(|byte| **byte == 0).count().min(31);
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

/// `r` and `s` of an ECDSA-Sig-Value over a group of 256 bits.
pub(super) fn parse_signature(der: &[u8]) -> Option<[u8; 64]> {
    let mut out = [0; 64];
    let (content, rest) = expect(der, SEQUENCE)?;
    let (r, after) = expect(content, INTEGER)?;
    let (s, end) = expect(after, INTEGER)?;
    for (number, place) in [r, s].into_iter().zip(out.as_chunks_mut::<32>().0) {
        let digits = match number {
            [0, digits @ ..] if digits.first().is_some_and(|byte| byte >> 7 == 1) => digits,
            [first @ 1..=0x7f, ..] if *first > 0 => number,
            _ => return None,
        };
        place.get_mut(32_usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    }
    (rest.is_empty() && end.is_empty()).then_some(out)
}
