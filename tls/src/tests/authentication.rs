//! Clients that are asked for a certificate after the handshake.
use super::*;
use crate::{ClientAuthentication, Role};

/// What the two ends are like.
#[derive(Clone, Copy)]
struct Setup<'s> {
    /// The client says that it may be asked, and the server may ask.
    offers: bool,
    asks: bool,
    required: bool,
    /// With what the client signs; nothing is shown without.
    signer: Option<&'s dyn Signer>,
    /// Whom the server knows.
    known: &'s [u8],
}

impl Setup<'_> {
    fn with(self, test: impl FnOnce(ClientEnd<'_>, ServerEnd<'_>)) {
        let key = key("p256");
        let certificates = [Certificate::new(&[P256], &key, &[])];
        let pins = [pin(self.known)];
        let verifier = PinnedKeys(&pins);
        let mut server = ServerConfig::new(CLASSIC, &certificates);
        server.post_handshake_clients =
            Some(ClientAuthentication { verifier: &verifier, required: self.required }).filter(|_| self.asks);
        let pins = [pin(P256)];
        let mut client = ClientConfig::new(CLASSIC, PinnedKeys(&pins));
        client.post_handshake_auth = self.offers;
        client.certificate = self.signer.map(|signer| Certificate::new(&[ED25519], signer, &[]));
        let entropy = SeededEntropy::predictable(1);
        let mut client =
            Connection::client(&client, "a.example", &entropy, vec![0; BUFFER], vec![0; 3_000]).unwrap();
        let mut server = Connection::server(&server, &entropy, vec![0; BUFFER], vec![0; 3_000]);
        assert!(!server.request_certificate().unwrap(), "not before there is somebody");
        connect!(client, server, 99_999);
        test(client, server);
    }
}

const WILLING: Setup<'_> = Setup { offers: true, asks: true, required: true, signer: None, known: ED25519 };

#[test]
fn who_may_be_asked() {
    let key = key("ed25519");
    for (offers, asks) in [(true, true), (true, false), (false, true), (false, false)] {
        Setup { offers, asks, signer: Some(&key), ..WILLING }.with(|mut client, mut server| {
            assert_eq!(server.peer(), None);
            assert_eq!(server.request_certificate(), Ok(offers && asks));
            assert_eq!(server.awaits_certificate(), offers && asks);
            assert!(carry!(server, client, 99_999).is_ok());
            assert!(carry!(client, server, 99_999).is_ok());
            assert!(!server.awaits_certificate());
            assert_eq!(server.peer().copied(), Some(pin(ED25519)).filter(|_| offers && asks));
        });
    }
}

#[test]
fn what_the_answer_may_be() {
    let (good, liar) = (key("ed25519"), Liar(key("ed25519")));
    for (setup, expected) in [
        (Setup { signer: Some(&good), ..WILLING }, Ok(Some(pin(ED25519)))),
        (Setup { signer: Some(&liar), ..WILLING }, Err(Alert::DECRYPT_ERROR)),
        (Setup { signer: Some(&good), known: P256, ..WILLING }, Err(Alert::UNKNOWN_CA)),
        (WILLING, Err(Alert::CERTIFICATE_REQUIRED)),
        (Setup { required: false, ..WILLING }, Ok(None)),
    ] {
        setup.with(|mut client, mut server| {
            assert_eq!(server.request_certificate(), Ok(true));
            assert!(carry!(server, client, 99_999).is_ok());
            let outcome = carry!(client, server, 99_999);
            let peer = outcome.map(|_| server.peer().copied());
            assert_eq!(peer, expected.map_err(Error::Sent));
        });
    }
}

#[test]
fn data_go_on_around_it() {
    let key = key("ed25519");
    Setup { signer: Some(&key), ..WILLING }.with(|mut client, mut server| {
        for turn in 1..=3 {
            // The client has something under way when it is asked, and new keys.
            assert_eq!(client.write(b"before"), Ok(6));
            client.outgoing.owe_key_update();
            assert_eq!(server.request_certificate(), Ok(true));
            // One request at a time.
            assert!(!server.request_certificate().unwrap());
            assert!(carry!(server, client, 99_999).is_ok());
            assert!(client.role.owes_answer(), "what was said before goes first");
            assert_eq!(client.write(b"between"), Ok(0));
            assert!(carry!(client, server, 99_999).is_ok());
            assert_eq!(client.write(b"after"), Ok(5));
            assert!(!client.role.owes_answer() && server.awaits_certificate());
            assert!(carry!(client, server, 7).is_ok());
            assert!(!server.awaits_certificate());
            assert_eq!(server.peer(), Some(&pin(ED25519)));
            assert_eq!(server.plaintext(), b"beforeafter", "{turn}");
            server.consume(11);
        }
    });
}

/// What the client sends in answer to a request: Certificate, CertificateVerify and Finished, each with its header.
fn answer(client: &mut ClientEnd<'_>) -> Vec<Vec<u8>> {
    let provider = CLASSIC;
    let mut keys = crate::protection::Protection::new(
        &provider,
        CipherSuite::TLS_AES_128_GCM_SHA256,
        client.outgoing.keys().unwrap().secret().clone(),
    )
    .unwrap();
    let sequence = client.outgoing.keys().unwrap().sequence() - 1;
    keys.wear(sequence);
    let mut record = client.output().to_vec();
    client.sent(record.len());
    let (_, len) = keys.open(&mut record).unwrap();
    let mut content = &record[RECORD_HEADER..RECORD_HEADER + len];
    let mut messages = vec![];
    while let Some(message) = crate::wire::Message::parse(content) {
        messages.push(message.whole.to_vec());
        content = &content[message.whole.len()..];
    }
    // As if it had not been sent.
    client.outgoing.keys().unwrap().wear(sequence);
    messages
}

//= https://www.rfc-editor.org/rfc/rfc8446#section-4.6.2
//= type=test
//# All of the client's messages for a given
//# response MUST appear consecutively on the wire with no intervening
//# messages of other types.
#[test]
fn an_answer_is_three_messages_in_a_row() {
    let key = key("ed25519");
    let unexpected = Err(Error::Sent(Alert::UNEXPECTED_MESSAGE));
    // What comes in which records, and what is made of it.
    type Said<'m> = dyn Fn(&[Vec<u8>]) -> Vec<Vec<u8>> + 'm;
    let cases: &[(&str, &Said<'_>, Result<Event, Error>)] = &[
        ("as it is", &|said| vec![said.concat()], Ok(Event::Idle)),
        ("a record for each", &<[Vec<u8>]>::to_vec, Ok(Event::Idle)),
        ("in pieces", &|said| said.concat().chunks(100).map(<[u8]>::to_vec).collect(), unexpected),
        ("no Certificate", &|said| said[1..].to_vec(), unexpected),
        ("no CertificateVerify", &|said| vec![said[0].clone(), said[2].clone()], unexpected),
        ("twice", &|said| [said, said].concat(), unexpected),
        ("another between", &|said| vec![said[0].clone(), KEY_UPDATE.to_vec(), said[1].clone()], unexpected),
        (
            "another Finished",
            &|said| {
                let mut said = said.to_vec();
                said[2][9] ^= 1;
                said
            },
            Err(Error::Sent(Alert::DECRYPT_ERROR)),
        ),
        (
            "another context",
            &|said| {
                let mut said = said.to_vec();
                said[0][5] ^= 1;
                said
            },
            Err(Error::Sent(Alert::ILLEGAL_PARAMETER)),
        ),
    ];
    for (what, said, expected) in cases {
        Setup { signer: Some(&key), ..WILLING }.with(|mut client, mut server| {
            assert_eq!(server.request_certificate(), Ok(true));
            assert!(carry!(server, client, 99_999).is_ok());
            let messages = answer(&mut client);
            assert_eq!(messages.len(), 3);
            let mut outcome = Ok(Event::Idle);
            for record in said(&messages) {
                client.outgoing.handshake(|out| Ok(out.bytes(&record)?)).unwrap();
                outcome = carry!(client, server, 99_999);
                if outcome.is_err() {
                    break;
                }
            }
            assert_eq!(outcome, *expected, "{what}");
            assert_eq!(server.peer().is_some(), expected.is_ok() || *what == "twice", "{what}");
        });
    }
    // Data in the midst.
    Setup { signer: Some(&key), ..WILLING }.with(|mut client, mut server| {
        assert_eq!(server.request_certificate(), Ok(true));
        assert!(carry!(server, client, 99_999).is_ok());
        let messages = answer(&mut client);
        client.outgoing.handshake(|out| Ok(out.bytes(&messages[0])?)).unwrap();
        assert!(carry!(client, server, 99_999).is_ok());
        assert_eq!(client.write(b"x"), Ok(1));
        assert_eq!(carry!(client, server, 99_999), unexpected);
    });
    // Nobody asked.
    Setup { signer: Some(&key), ..WILLING }.with(|mut client, mut server| {
        client.outgoing.handshake(|out| Ok(out.bytes(&[11, 0, 0, 4, 0, 0, 0, 0])?)).unwrap();
        assert_eq!(carry!(client, server, 99_999), unexpected);
    });
}

#[test]
fn what_a_request_may_be() {
    let key = key("ed25519");
    // context, signature_algorithms with Ed25519
    let request = |context: &[u8]| {
        let extensions = [0, 13, 0, 4, 0, 2, 8, 7];
        let body = [&[context.len() as u8][..], context, &[0, 8], &extensions].concat();
        [&[13, 0, 0, body.len() as u8][..], &body].concat()
    };
    let no_schemes = [13, 0, 0, 4, 1, 7, 0, 0];
    for (offers, messages, expected) in [
        (true, vec![request(b"1")], Ok(Event::Idle)),
        (true, vec![request(&[7; 200])], Ok(Event::Idle)),
        (false, vec![request(b"1")], Err(Alert::UNEXPECTED_MESSAGE)),
        (true, vec![request(b"")], Err(Alert::ILLEGAL_PARAMETER)),
        (true, vec![no_schemes.to_vec()], Err(Alert::MISSING_EXTENSION)),
        (true, vec![[&request(b"1")[..], &request(b"2")].concat()], Err(Alert::UNEXPECTED_MESSAGE)),
        // In pieces, and too many.
        (true, request(b"1").chunks(4).map(<[u8]>::to_vec).collect(), Err(Alert::UNEXPECTED_MESSAGE)),
        (true, vec![request(b"1"); 17], Err(Alert::UNEXPECTED_MESSAGE)),
        (true, vec![request(b"1"); 16], Ok(Event::Idle)),
    ] {
        Setup { offers, signer: Some(&key), ..WILLING }.with(|mut client, mut server| {
            let mut outcome = Ok(Event::Idle);
            for message in &messages {
                server.outgoing.handshake(|out| Ok(out.bytes(message)?)).unwrap();
                outcome = carry!(server, client, 99_999);
                client.sent(client.output().len());
                assert!(!client.role.owes_answer() || outcome.is_err());
            }
            assert_eq!(outcome, expected.map_err(Error::Sent), "{messages:?}");
        });
    }
}

#[test]
fn a_context_comes_once() {
    let key = key("ed25519");
    let mut contexts = vec![];
    Setup { signer: Some(&key), ..WILLING }.with(|mut client, mut server| {
        for _ in 0..3 {
            assert_eq!(server.request_certificate(), Ok(true));
            assert!(carry!(server, client, 99_999).is_ok());
            let said = answer(&mut client);
            contexts.push(said[0][5..5 + 16].to_vec());
            for message in &said {
                client.outgoing.handshake(|out| Ok(out.bytes(message)?)).unwrap();
            }
            assert!(carry!(client, server, 99_999).is_ok());
        }
    });
    contexts.sort();
    contexts.dedup();
    assert_eq!(contexts.len(), 3);
}
