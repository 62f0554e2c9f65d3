use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn suites() -> impl Iterator<Item = CipherSuite> {
    RustCrypto.cipher_suites().to_vec().into_iter()
}

#[test]
fn every_suite_opens_what_it_seals_and_nothing_else() {
    for suite in suites() {
        let aead = RustCrypto.aead(suite, &[7; 32][..suite.key_len()]).unwrap();
        assert!(RustCrypto.aead(suite, &[7; 31]).is_none());
        let mut text = *b"a record";
        let tag = aead.seal(&[1; 12], b"header", &mut text).unwrap();
        assert_ne!(&text, b"a record");
        let sealed = text;
        for (nonce, header, tag) in
            [([2; 12], &b"header"[..], tag), ([1; 12], b"hEader", tag), ([1; 12], b"header", [0; 16])]
        {
            assert!(aead.open(&nonce, header, &mut sealed.clone(), &tag).is_none());
        }
        assert!(aead.open(&[1; 12], b"header", &mut text, &tag).is_some());
        assert_eq!(&text, b"a record");
    }
}

#[test]
fn both_sides_of_each_group_agree() {
    for group in RustCrypto.groups() {
        let client = RustCrypto.key_exchange(*group, &[1; 32]).unwrap();
        let (mut public, mut answer) = ([0; MAX_KEY_SHARE], [0; MAX_KEY_SHARE]);
        let len = client.public(&mut public).unwrap();
        assert_eq!((client.group(), client.public(&mut [0; 31])), (*group, None));
        let ours = &public[..len];
        let (len, shared) = RustCrypto.answer(*group, &[2; 32], ours, &mut answer).unwrap();
        assert_eq!(*client.agree(&answer[..len]).unwrap(), *shared);
        assert!(RustCrypto.answer(*group, &[2; 32], ours, &mut [0; 31]).is_none());
        // Points of small order, points that are none, other lengths.
        for bad in [&[0; 32][..], &[4; 65], &[4; 97], &[], &answer[..len - 1], &[255; 1_216]] {
            assert!(client.agree(bad).is_none(), "{group:?} {bad:?}");
            assert!(RustCrypto.answer(*group, &[2; 32], bad, &mut [0; MAX_KEY_SHARE]).is_none());
        }
    }
}

#[cfg(feature = "post-quantum")]
#[test]
fn both_parts_of_the_hybrid_share_count() {
    let group = NamedGroup::X25519MLKEM768;
    let client = RustCrypto.key_exchange(group, &[1; 32]).unwrap();
    let (mut public, mut answer) = ([0; MAX_KEY_SHARE], [0; MAX_KEY_SHARE]);
    assert_eq!(client.public(&mut public), Some(1_184 + 32));
    let (len, shared) = RustCrypto.answer(group, &[2; 32], &public, &mut answer).unwrap();
    assert_eq!((len, shared.len()), (1_088 + 32, 64));
    for (index, changed) in [(0, 0..32), (1_100, 32..64)] {
        let mut other = answer;
        other[index] ^= 1;
        let secret = client.agree(&other[..len]).unwrap();
        assert_ne!(secret[changed.clone()], shared[changed]);
    }
    // The point of small order hides behind a good ciphertext.
    answer[1_088..].fill(0);
    assert!(client.agree(&answer[..len]).is_none());
    // A number of the encapsulation key that is not reduced.
    public[..3].fill(0xff);
    assert!(RustCrypto.answer(group, &[2; 32], &public, &mut answer).is_none());
}

#[cfg(feature = "rsa")]
#[test]
fn signatures_by_rsa_verify() {
    // Made with `openssl dgst -sign`, of `message`.
    let spki = subject_public_key_info(include_bytes!("../../tests/keys/rsa.der")).unwrap();
    for (scheme, signature) in [
        (SignatureScheme::RSA_PSS_RSAE_SHA256, &include_bytes!("../../tests/keys/rsa.pss256.signature")[..]),
        (SignatureScheme::RSA_PSS_RSAE_SHA384, include_bytes!("../../tests/keys/rsa.pss384.signature")),
        (SignatureScheme::RSA_PSS_RSAE_SHA512, include_bytes!("../../tests/keys/rsa.pss512.signature")),
        (SignatureScheme::RSA_PKCS1_SHA256, include_bytes!("../../tests/keys/rsa.pkcs1.signature")),
    ] {
        for other in RustCrypto.signature_schemes() {
            assert_eq!(RustCrypto.verify(*other, spki, b"message", signature), *other == scheme, "{other:?}");
        }
        assert!(!RustCrypto.verify(scheme, spki, b"messagE", signature));
        let mut signature = signature.to_vec();
        signature[100] ^= 1;
        assert!(!RustCrypto.verify(scheme, spki, b"message", &signature));
    }
    assert!(PrivateKey::from_der(include_bytes!("../../tests/keys/rsa.pkcs8.der")).is_none());
}

// Made with OpenSSL 3.0: `openssl genpkey`, `openssl ec`, `openssl req -x509`.
fn keys() -> [(SignatureScheme, &'static [u8], &'static [u8]); 4] {
    [
        (
            SignatureScheme::ECDSA_SECP256R1_SHA256,
            include_bytes!("../../tests/keys/p256.pkcs8.der"),
            include_bytes!("../../tests/keys/p256.der"),
        ),
        (
            SignatureScheme::ECDSA_SECP256R1_SHA256,
            include_bytes!("../../tests/keys/p256.sec1.der"),
            include_bytes!("../../tests/keys/p256.der"),
        ),
        (
            SignatureScheme::ECDSA_SECP384R1_SHA384,
            include_bytes!("../../tests/keys/p384.pkcs8.der"),
            include_bytes!("../../tests/keys/p384.der"),
        ),
        (
            SignatureScheme::ED25519,
            include_bytes!("../../tests/keys/ed25519.pkcs8.der"),
            include_bytes!("../../tests/keys/ed25519.der"),
        ),
    ]
}

#[test]
fn signatures_verify_with_the_certificate_of_the_key() {
    for (scheme, key, certificate) in keys() {
        let key = PrivateKey::from_der(key).unwrap();
        assert_eq!(key.schemes(), [scheme]);
        let spki = subject_public_key_info(certificate).unwrap();
        for message in 0..50_u8 {
            let mut signature = [0; 104];
            let len = key.sign(scheme, &[message], &mut signature).unwrap();
            assert!(RustCrypto.verify(scheme, spki, &[message], &signature[..len]));
            assert!(!RustCrypto.verify(scheme, spki, &[message + 1], &signature[..len]));
            assert!(!RustCrypto.verify(scheme, spki, &[message], &signature[..len - 1]));
            signature[len / 2] ^= 1;
            assert!(!RustCrypto.verify(scheme, spki, &[message], &signature[..len]));
        }
    }
}

#[test]
fn a_signature_of_odd_shape_survives_der() {
    for (r, s) in [(0x80, 0x7f), (0, 1), (0xff, 0)] {
        let mut numbers = [1; 64];
        (numbers[0], numbers[32]) = (r, s);
        let mut out = [0; 72];
        let len = der::emit_signature(&numbers, &mut out).unwrap();
        assert_eq!(der::parse_signature::<64>(&out[..len]), Some(numbers));
    }
    for bad in [&[0x30, 6, 2, 1, 0x81, 2, 1, 1][..], &[0x30, 7, 2, 2, 0, 1, 2, 1, 1], &[0x30, 0]] {
        assert_eq!(der::parse_signature::<64>(bad), None);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_some_key_or_none(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
        let _ = PrivateKey::from_der(&bytes);
        let _ = subject_public_key_info(&bytes);
        let _ = der::parse_signature::<64>(&bytes);
        let _ = der::public_key(&bytes);
        for (_, key, certificate) in keys() {
            let mut key = key.to_vec();
            let index = at.index(key.len());
            key[index] = byte;
            let _ = PrivateKey::from_der(&key);
            let mut certificate = certificate.to_vec();
            let index = at.index(certificate.len());
            certificate[index] = byte;
            if let Some(spki) = subject_public_key_info(&certificate) {
                let _ = der::public_key(spki);
            }
        }
    }
}
