//! RFC 7250: bare keys in place of certificates.
use super::*;
use crate::{
    CertificateType::{self, RawPublicKey, X509},
    ClientAuthentication, Verifier,
    signature::PublicKey,
    wire::{CertificateEntries, CertificateList, Writer},
};

/// With what each side may show who it is.
#[derive(Clone, Copy)]
struct Setting {
    server: &'static [CertificateType],
    of_server: &'static [CertificateType],
    client: &'static [CertificateType],
    of_client: &'static [CertificateType],
    required: bool,
}

const BARE: &[CertificateType] = &[RawPublicKey];
const EITHER: &[CertificateType] = &[RawPublicKey, X509];
const ALL_BARE: Setting =
    Setting { server: BARE, of_server: BARE, client: BARE, of_client: BARE, required: true };
const ALL_X509: Setting =
    Setting { server: &[X509], of_server: &[X509], client: &[X509], of_client: &[X509], required: true };

/// Knows certificates and no keys, or the other way round.
struct Only(CertificateType);
impl Verifier for Only {
    fn verify(&self, _: &str, _: CertificateEntries<'_>) -> Result<(), Alert> {
        if self.0 == X509 { Ok(()) } else { Err(Alert::ACCESS_DENIED) }
    }
    fn verify_key(&self, _: &str, key: &[u8]) -> Result<(), Alert> {
        assert!(crate::crypto::is_public_key(key));
        if self.0 == RawPublicKey { Ok(()) } else { Err(Alert::ACCESS_DENIED) }
    }
}

/// What the client and the server make of it, and whom the server knows.
fn meet(setting: Setting, chain: &[&[u8]], verifier: impl Verifier) -> Result<Option<[u8; 32]>, Error> {
    let (p256, ed25519) = (key("p256"), key("ed25519"));
    let certificates = [Certificate::new(chain, &p256, &[])];
    let pins = [pin(ED25519)];
    let known = PinnedKeys(&pins);
    let server = ServerConfig {
        clients: Some(ClientAuthentication { verifier: &known, required: setting.required }),
        certificate_types: setting.server,
        client_certificate_types: setting.of_client,
        ..ServerConfig::new(CLASSIC, &certificates)
    };
    let client = ClientConfig {
        certificate: Some(Certificate::new(&[ED25519], &ed25519, &[])),
        certificate_types: setting.client,
        server_certificate_types: setting.of_server,
        ..ClientConfig::new(CLASSIC, verifier)
    };
    let entropy = SeededEntropy::predictable(1);
    let buffers = || (vec![0; BUFFER], vec![0; 3_000]);
    let (incoming, outgoing) = buffers();
    let mut client = Connection::client(&client, "p256.example", &entropy, incoming, outgoing).unwrap();
    let (incoming, outgoing) = buffers();
    let mut server = Connection::server(&server, &entropy, incoming, outgoing);
    for _ in 0..3 {
        let _ = carry!(client, server, 99_999)?;
        let _ = carry!(server, client, 99_999)?;
    }
    assert!(client.is_connected() && server.is_connected());
    assert_eq!(client.peer(), Some(&pin(P256)));
    Ok(server.peer().copied())
}

#[test]
fn what_both_know_is_shown() {
    let ours = pin(P256);
    let pins = [ours];
    let refused = |alert| Err(Error::Sent(alert));
    let known = Ok(Some(pin(ED25519)));
    let unsupported = refused(Alert::UNSUPPORTED_CERTIFICATE);
    for (what, setting, expected) in [
        ("keys", ALL_BARE, known),
        ("certificates", ALL_X509, known),
        (
            "keys where both can do both",
            Setting { server: EITHER, of_server: EITHER, client: EITHER, of_client: EITHER, required: true },
            known,
        ),
        (
            "a server with a certificate and a client with a key",
            Setting { server: &[X509], of_server: EITHER, ..ALL_BARE },
            known,
        ),
        ("a server that wants no keys", Setting { client: EITHER, of_client: &[X509], ..ALL_BARE }, known),
        ("a client that wants no certificates", Setting { server: &[X509], ..ALL_BARE }, unsupported),
        ("a server that has no certificates", Setting { of_server: &[X509], ..ALL_BARE }, unsupported),
        ("a client that has no key to show", Setting { client: &[X509], ..ALL_BARE }, unsupported),
        (
            "a client that need not show anything",
            Setting { client: &[X509], of_client: EITHER, ..ALL_BARE },
            known,
        ),
    ] {
        assert_eq!(meet(setting, &[P256], PinnedKeys(&pins)), expected, "{what}");
    }
    // A server without any certificate.
    let key = crate::crypto::subject_public_key_info(P256).unwrap();
    assert_eq!(meet(ALL_BARE, &[key], PinnedKeys(&pins)), known);
    // What was chosen is what is asked about.
    for (kind, setting) in [(RawPublicKey, ALL_BARE), (X509, ALL_X509)] {
        assert_eq!(meet(setting, &[P256], Only(kind)), known);
        let other = if kind == X509 { RawPublicKey } else { X509 };
        assert_eq!(meet(setting, &[P256], Only(other)), refused(Alert::ACCESS_DENIED));
    }
}

#[test]
fn a_key_that_nobody_knows_is_refused() {
    assert_eq!(meet(ALL_BARE, &[P256], PinnedKeys(&[])), Err(Error::Sent(Alert::UNKNOWN_CA)));
    struct Silent;
    impl Verifier for Silent {
        fn verify(&self, _: &str, _: CertificateEntries<'_>) -> Result<(), Alert> {
            Ok(())
        }
    }
    // Without a word about keys there are none.
    assert_eq!(meet(ALL_BARE, &[P256], Silent), Err(Error::Sent(Alert::UNSUPPORTED_CERTIFICATE)));
}

#[test]
fn one_is_not_taken_for_the_other() {
    let pins = [pin(P256)];
    let bare = crate::crypto::subject_public_key_info(P256).unwrap();
    // A key where a certificate was agreed on, and something else where a key was.
    assert_eq!(meet(ALL_X509, &[bare], PinnedKeys(&pins)), Err(Error::Sent(Alert::BAD_CERTIFICATE)));
    assert_eq!(meet(ALL_BARE, &[b"key?"], PinnedKeys(&pins)), Err(Error::Sent(Alert::BAD_CERTIFICATE)));
    for (what, kind, chain, good) in [
        ("a certificate", X509, &[P256][..], true),
        ("a chain", X509, &[P256, ED25519], true),
        ("a key as a certificate", X509, &[bare], false),
        ("a key", RawPublicKey, &[bare], true),
        ("a certificate as a key", RawPublicKey, &[P256], false),
        ("two keys", RawPublicKey, &[bare, bare], false),
        ("a key and more", RawPublicKey, &[&[bare, &[0]].concat()], false),
    ] {
        let mut out = vec![0; 4_000];
        let mut writer = Writer::new(&mut out);
        CertificateList::emit(&mut writer, &[], chain, None).unwrap();
        let list = CertificateList::parse(writer.since(0)).unwrap();
        let expected = if good { Ok(()) } else { Err(Alert::BAD_CERTIFICATE) };
        assert_eq!(PublicKey::of(list, kind).map(drop), expected, "{what}");
    }
}
