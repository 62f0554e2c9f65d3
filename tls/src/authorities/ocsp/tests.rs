use super::*;
use crate::{
    authorities::{Authorities, Stapling},
    verifier::Verifier,
    wire::{CertificateList, Writer},
};
use airglow_device::WallClock;
use core::time::Duration;
use std::{vec, vec::Vec};

const CA: &[u8] = include_bytes!("../../../tests/keys/p384-ca.der");
const KEPT: &[u8] = include_bytes!("../../../tests/keys/kept.der");
const OTHER: &[u8] = include_bytes!("../../../tests/keys/mixed.der");
/// That KEPT is good, from 2026-11-23 to 2125-06-17.
const RESPONSE: &[u8] = include_bytes!("../../../tests/keys/kept.ocsp");
/// 2027-01-15.
const NOW: u64 = 1_800_000_000;

struct At(u64);
impl WallClock for At {
    fn unix_now(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.0))
    }
}

fn heard(stapling: Stapling, leaf: &[u8], response: Option<&[u8]>, now: u64) -> Result<(), Alert> {
    let mut out = vec![0; 20_000];
    let mut writer = Writer::new(&mut out);
    CertificateList::emit(&mut writer, &[], &[leaf], response).unwrap();
    let list = CertificateList::parse(writer.since(0)).unwrap();
    let clock = At(now);
    Authorities::new(&[CA], &clock).unwrap().with_stapling(stapling).verify("leaf.example", list.entries())
}

const BAD: Result<(), Alert> = Err(Alert::BAD_CERTIFICATE_STATUS_RESPONSE);

#[test]
fn a_response_is_for_one_certificate_and_a_time() {
    for stapling in [Stapling::Checked, Stapling::Required] {
        assert_eq!(heard(stapling, KEPT, Some(RESPONSE), NOW), Ok(()));
        assert_eq!(heard(stapling, OTHER, Some(RESPONSE), NOW), BAD, "of another");
        let without = if stapling == Stapling::Required { BAD } else { Ok(()) };
        assert_eq!(heard(stapling, KEPT, None, NOW), without);
        assert_eq!(heard(stapling, KEPT, Some(&[]), NOW), BAD);
        // An OCSPResponse that says tryLater.
        assert_eq!(heard(stapling, KEPT, Some(&[0x30, 3, 0x0a, 1, 3]), NOW), BAD);
    }
    let (this, next) = (seconds(b"20261123162228Z").unwrap(), seconds(b"21250617162228Z").unwrap());
    let subject = Subject::of(KEPT).unwrap();
    let issuer = crate::crypto::subject_public_key_info(CA).unwrap();
    let basic = BasicResponse::parse(RESPONSE).unwrap();
    for (now, good) in
        [(this - SKEW - 1, false), (this - SKEW, true), (next + SKEW, true), (next + SKEW + 1, false)]
    {
        assert_eq!(basic.status(&subject, issuer, now) == Some(Status::Good), good, "{now}");
    }
}

#[test]
fn every_changed_byte_of_a_response_is_noticed() {
    // What follows the signature is certificates that are not needed: the authority signs itself.
    let certificates = BasicResponse::parse(RESPONSE).unwrap().certificates.len();
    let signed = if certificates == 0 { RESPONSE.len() } else { RESPONSE.len() - certificates - 8 };
    for index in 0..signed {
        let mut changed = RESPONSE.to_vec();
        changed[index] ^= 1 << (index % 8);
        assert!(heard(Stapling::Checked, KEPT, Some(&changed), NOW).is_err(), "byte {index}");
        assert!(heard(Stapling::Checked, KEPT, Some(&RESPONSE[..index]), NOW).is_err(), "{index} bytes");
    }
}

#[test]
fn times_are_seconds() {
    for (time, expected) in [
        (&b"19700101000000Z"[..], Some(0)),
        (b"20000229235959Z", Some(951_868_799)),
        (b"20270115080000Z", Some(NOW)),
        (b"21000301000000Z", Some(4_107_542_400)),
        (b"19691231235959Z", None),
        (b"20271301000000Z", None),
        (b"20270100000000Z", None),
        (b"202701150800Z", None),
        (b"20270115080000", None),
        (b"2027011508000aZ", None),
        (b"20270115080000.5Z", None),
        (b"", None),
    ] {
        assert_eq!(seconds(time), expected, "{}", std::string::String::from_utf8_lossy(time));
    }
}

#[test]
fn certificates_say_that_a_response_must_come() {
    // critical or not, with status_request_v2 (17) before it, without status_request, of another extension.
    for (extension, expected) in [
        (&[0x30, 0x11, 6, 8, 0x2b, 6, 1, 5, 5, 7, 1, 0x18, 4, 5, 0x30, 3, 2, 1, 5][..], true),
        (&[0x30, 0x14, 6, 8, 0x2b, 6, 1, 5, 5, 7, 1, 0x18, 1, 1, 0xff, 4, 5, 0x30, 3, 2, 1, 5], true),
        (&[0x30, 0x14, 6, 8, 0x2b, 6, 1, 5, 5, 7, 1, 0x18, 4, 8, 0x30, 6, 2, 1, 17, 2, 1, 5], true),
        (&[0x30, 0x11, 6, 8, 0x2b, 6, 1, 5, 5, 7, 1, 0x18, 4, 5, 0x30, 3, 2, 1, 17], false),
        (&[0x30, 0x11, 6, 8, 0x2b, 6, 1, 5, 5, 7, 1, 0x17, 4, 5, 0x30, 3, 2, 1, 5], false),
        (&[0x30, 0x11, 6, 8], false),
    ] {
        let mut list: Vec<u8> = vec![0x30, extension.len() as u8];
        list.extend_from_slice(extension);
        assert_eq!(must_staple_in(&list), expected, "{extension:?}");
    }
    assert!(!Subject::of(KEPT).unwrap().must_staple);
}
