//! Stapled OCSP responses: RFC 6960, as far as a client needs it that never asks itself.
use super::ALGORITHMS;
use crate::{
    Alert,
    crypto::der::{BIT_STRING, INTEGER, OCTET_STRING, OID, SEQUENCE, element, expect},
    wire::{ExtensionType, Extensions, Reader},
};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

/// What is asked of the OCSP response that a server staples to its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stapling {
    /// One that is there must be good; certificates that say so (RFC 7633) must come with one.
    Checked,
    /// There must be one, and it must be good.
    Required,
}

const ENUMERATED: u8 = 0x0a;
const GENERALIZED_TIME: u8 = 0x18;
const BOOLEAN: u8 = 0x01;
/// Context-specific tags, constructed: fields `[0]`, `[1]`, `[3]`.
const FIELD_0: u8 = 0xa0;
const FIELD_1: u8 = 0xa1;
const FIELD_3: u8 = 0xa3;
/// certStatus: good `[0]` IMPLICIT NULL; revoked is [`FIELD_1`].
const GOOD: u8 = 0x80;

const ID_PKIX_OCSP_BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
const ID_KP_OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
/// RFC 7633 section 4.
const ID_PE_TLSFEATURE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 0x18];
const ID_SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
const ID_SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const ID_SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
const ID_SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];

/// Seconds that two clocks may differ.
const SKEW: u64 = 300;
/// Certificates in a response that are looked at.
const MAX_RESPONDERS: usize = 4;

/// What a server's certificate says of itself, as DER.
struct Subject<'a> {
    serial: &'a [u8],
    /// The Name of the issuer with its tag.
    issuer: &'a [u8],
    must_staple: bool,
}

impl<'a> Subject<'a> {
    fn of(certificate: &'a [u8]) -> Option<Self> {
        let (content, _) = expect(certificate, SEQUENCE)?;
        let (mut fields, _) = expect(content, SEQUENCE)?;
        if let Some((FIELD_0, _, rest)) = element(fields) {
            fields = rest;
        }
        let (serial, fields) = expect(fields, INTEGER)?;
        let (_, fields) = expect(fields, SEQUENCE)?;
        let (_, mut rest) = expect(fields, SEQUENCE)?;
        let issuer = fields.get(..fields.len() - rest.len())?;
        // Behind validity, subject, key and unique identifiers are the extensions.
        let mut must_staple = false;
        while let Some((tag, field, after)) = element(rest) {
            if tag == FIELD_3 {
                must_staple = must_staple_in(field);
            }
            rest = after;
        }
        Some(Self { serial, issuer, must_staple })
    }
}

/// Whether the extensions of a certificate say that `status_request` (5) is to be expected.
fn must_staple_in(extensions: &[u8]) -> bool {
    let Some((mut list, _)) = expect(extensions, SEQUENCE) else { return false };
    while let Some((extension, rest)) = expect(list, SEQUENCE) {
        list = rest;
        let Some((ID_PE_TLSFEATURE, value)) = expect(extension, OID) else { continue };
        let value = expect(value, BOOLEAN).map_or(value, |(_, value)| value);
        let features = expect(value, OCTET_STRING).and_then(|(value, _)| expect(value, SEQUENCE));
        let mut features = features.map_or(&[][..], |(features, _)| features);
        while let Some((feature, rest)) = expect(features, INTEGER) {
            if feature == [5] {
                return true;
            }
            features = rest;
        }
    }
    false
}

/// Checks what is stapled to the first certificate of a path that is good.
pub(super) fn check(
    stapling: Stapling,
    path: &VerifiedPath<'_>,
    stapled: Extensions<'_>,
    now: UnixTime,
) -> Result<(), Alert> {
    let end_entity = path.end_entity().der();
    let subject = Subject::of(&end_entity).ok_or(Alert::BAD_CERTIFICATE)?;
    let Some(status) = stapled.find(ExtensionType::STATUS_REQUEST) else {
        let needed = stapling == Stapling::Required || subject.must_staple;
        return if needed { Err(Alert::BAD_CERTIFICATE_STATUS_RESPONSE) } else { Ok(()) };
    };
    let mut reader = Reader::new(status);
    // ocsp
    if reader.u8()? != 1 {
        return Err(Alert::BAD_CERTIFICATE_STATUS_RESPONSE);
    }
    let response = reader.vector24()?;
    reader.end()?;
    let basic = BasicResponse::parse(response).ok_or(Alert::BAD_CERTIFICATE_STATUS_RESPONSE)?;
    if !basic.is_signed(path, now) {
        return Err(Alert::BAD_CERTIFICATE_STATUS_RESPONSE);
    }
    match basic.status(&subject, &path.issuer_spki(), now.as_secs()) {
        Some(Status::Good) => Ok(()),
        Some(Status::Revoked) => Err(Alert::CERTIFICATE_REVOKED),
        None => Err(Alert::BAD_CERTIFICATE_STATUS_RESPONSE),
    }
}

#[derive(PartialEq, Eq)]
enum Status {
    Good,
    Revoked,
}

/// A BasicOCSPResponse (RFC 6960 section 4.2.1).
struct BasicResponse<'a> {
    /// What is signed, with its tag.
    data: &'a [u8],
    /// The SingleResponses.
    responses: &'a [u8],
    /// AlgorithmIdentifier's content.
    algorithm: &'a [u8],
    signature: &'a [u8],
    certificates: &'a [u8],
}

/// The content of the one element that `bytes` are.
fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    expect(bytes, tag).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}

/// The bits of a BIT STRING of whole bytes.
fn bits(content: &[u8]) -> Option<&[u8]> {
    let (0, bits) = content.split_first().map(|(unused, bits)| (*unused, bits))? else { return None };
    Some(bits)
}

/// Whether no extension of the list is critical: none is known here.
fn none_is_critical(extensions: &[u8]) -> Option<()> {
    let (mut list, _) = expect(extensions, SEQUENCE)?;
    while !list.is_empty() {
        let (extension, rest) = expect(list, SEQUENCE)?;
        let (_, value) = expect(extension, OID)?;
        if matches!(element(value)?, (BOOLEAN, [critical], _) if *critical != 0) {
            return None;
        }
        list = rest;
    }
    Some(())
}

impl<'a> BasicResponse<'a> {
    /// Of an OCSPResponse; `None` when it is none, or says that there was an error.
    fn parse(response: &'a [u8]) -> Option<Self> {
        let (status, bytes) = expect(only(response, SEQUENCE)?, ENUMERATED)?;
        let (kind, basic) = expect(only(only(bytes, FIELD_0)?, SEQUENCE)?, OID)?;
        if status != [0] || kind != ID_PKIX_OCSP_BASIC {
            return None;
        }
        let basic = only(only(basic, OCTET_STRING)?, SEQUENCE)?;
        let (mut fields, rest) = expect(basic, SEQUENCE)?;
        let data = basic.get(..basic.len() - rest.len())?;
        let (algorithm, rest) = expect(rest, SEQUENCE)?;
        let (signature, rest) = expect(rest, BIT_STRING)?;
        let certificates = match rest {
            [] => rest,
            _ => only(only(rest, FIELD_0)?, SEQUENCE)?,
        };
        if let Some((FIELD_0, _, rest)) = element(fields) {
            fields = rest;
        }
        // Who answers shows in the signature.
        let (_, _, fields) = element(fields)?;
        let (_, fields) = expect(fields, GENERALIZED_TIME)?;
        let (responses, rest) = expect(fields, SEQUENCE)?;
        if let Some((FIELD_1, extensions, _)) = element(rest) {
            none_is_critical(extensions)?;
        }
        Some(Self { data, responses, algorithm, signature: bits(signature)?, certificates })
    }

    /// Whether it is by the issuer of the path's end, or by one to whom that issuer has delegated this (RFC 6960
    /// section 4.2.2.2).
    fn is_signed(&self, path: &VerifiedPath<'_>, now: UnixTime) -> bool {
        if self.is_signed_by(&path.issuer_spki()) {
            return true;
        }
        let between = path.intermediate_certificates().next().map(webpki::Cert::der);
        let issuer = match &between {
            None => Some(path.anchor().clone()),
            Some(issuer) => anchor_from_trusted_cert(issuer).ok(),
        };
        let Some(issuer) = issuer else { return false };
        let mut list = self.certificates;
        for _ in 0..MAX_RESPONDERS {
            let Some((_, rest)) = expect(list, SEQUENCE) else { return false };
            let certificate = list.get(..list.len() - rest.len()).unwrap_or_default();
            list = rest;
            if self.is_signed_by_delegate(certificate, &issuer, now) {
                return true;
            }
        }
        false
    }

    fn is_signed_by_delegate(&self, certificate: &[u8], issuer: &TrustAnchor<'_>, now: UnixTime) -> bool {
        let certificate = CertificateDer::from(certificate);
        let Ok(responder) = EndEntityCert::try_from(&certificate) else { return false };
        let usage = KeyUsage::required(ID_KP_OCSP_SIGNING);
        let issuers = core::slice::from_ref(issuer);
        responder.verify_for_usage(ALGORITHMS, issuers, &[], now, usage, None, None).is_ok()
            && self.is_signed_by(&responder.subject_public_key_info())
    }

    fn is_signed_by(&self, spki: &[u8]) -> bool {
        let key = expect(spki, SEQUENCE).and_then(|(key, _)| expect(key, SEQUENCE));
        let Some((kind, key)) = key else { return false };
        let Some(key) = expect(key, BIT_STRING).and_then(|(content, _)| bits(content)) else { return false };
        ALGORITHMS.iter().any(|algorithm| {
            *algorithm.signature_alg_id() == *self.algorithm
                && *algorithm.public_key_alg_id() == *kind
                && algorithm.verify_signature(key, self.data, self.signature).is_ok()
        })
    }

    /// What it says of `subject` now; `None` when that is nothing, or not of now.
    fn status(&self, subject: &Subject<'_>, issuer: &[u8], now: u64) -> Option<Status> {
        let mut list = self.responses;
        while let Some((single, rest)) = expect(list, SEQUENCE) {
            list = rest;
            let (id, fields) = expect(single, SEQUENCE)?;
            if is_of(id, subject, issuer) != Some(true) {
                continue;
            }
            let (status, _, fields) = element(fields)?;
            let (this_update, fields) = expect(fields, GENERALIZED_TIME)?;
            // Without an end it is good for those who ask themselves.
            let (next_update, fields) = expect(fields, FIELD_0)?;
            let (next_update, _) = expect(next_update, GENERALIZED_TIME)?;
            if let Some((FIELD_1, extensions, _)) = element(fields) {
                none_is_critical(extensions)?;
            }
            if seconds(this_update)? > now + SKEW || seconds(next_update)? + SKEW < now {
                return None;
            }
            return match status {
                GOOD => Some(Status::Good),
                FIELD_1 => Some(Status::Revoked),
                _ => None,
            };
        }
        None
    }
}

/// Whether a CertID is of the certificate (RFC 6960 section 4.1.1).
fn is_of(id: &[u8], subject: &Subject<'_>, issuer: &[u8]) -> Option<bool> {
    let (algorithm, id) = expect(id, SEQUENCE)?;
    let (algorithm, _) = expect(algorithm, OID)?;
    let (name, id) = expect(id, OCTET_STRING)?;
    let (key, id) = expect(id, OCTET_STRING)?;
    let (serial, _) = expect(id, INTEGER)?;
    let (issuer_key, _) = expect(issuer, SEQUENCE)?;
    let (_, issuer_key) = expect(issuer_key, SEQUENCE)?;
    let issuer_key = bits(expect(issuer_key, BIT_STRING)?.0)?;
    let matches = |hash: fn(&[u8], &[u8]) -> bool| hash(subject.issuer, name) && hash(issuer_key, key);
    let issued = match algorithm {
        ID_SHA1 => matches(|value, hash| *Sha1::digest(value) == *hash),
        ID_SHA256 => matches(|value, hash| *Sha256::digest(value) == *hash),
        ID_SHA384 => matches(|value, hash| *Sha384::digest(value) == *hash),
        ID_SHA512 => matches(|value, hash| *Sha512::digest(value) == *hash),
        _ => false,
    };
    Some(issued && serial == subject.serial)
}

/// Seconds since 1970 of a GeneralizedTime as RFC 5280 section 4.1.2.5.2 wants it: YYYYMMDDHHMMSSZ.
fn seconds(time: &[u8]) -> Option<u64> {
    let (digits, [b'Z']) = time.split_at_checked(14)? else { return None };
    let number = |range: core::ops::Range<usize>| {
        digits.get(range)?.iter().try_fold(0_u64, |value, digit| {
            Some(value * 10 + u64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?))
        })
    };
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(8..10)?, number(10..12)?, number(12..14)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    // Years that begin in March end with the day that is not always there.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // 719,468 days from March of year 0 to 1970.
    let days = days.checked_sub(719_468)?;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second.min(60))
}

#[cfg(test)]
mod tests;
