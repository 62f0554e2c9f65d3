//! RFC 8879: certificates that travel compressed, and those that lie about it.
use super::*;
use crate::{
    ClientAuthentication, CompressedCertificate,
    compression::{Unpacked, unpack, unpacks},
    wire::{CertificateList, HandshakeType, Message, Writer},
};

/// The longest message that these tests take.
const ROOM: usize = 5_000;
const LEAF: &[u8] = include_bytes!("../../tests/keys/leaf.der");
const INTERMEDIATE: &[u8] = include_bytes!("../../tests/keys/intermediate.der");

#[test]
fn certificates_are_compressed_for_those_who_ask() {
    let (p256, ed25519) = (key("p256"), key("ed25519"));
    // The same certificate several times is a chain to nowhere, but a long one; keys are pinned here.
    let chain = [P256, P256, P256];
    let mut shown = Certificate::new(&chain, &p256, &[]);
    let answer = [7; 300];
    shown.ocsp = Some(&answer);
    let packed = CompressedCertificate::new(&shown).unwrap();
    shown.compressed = Some(&packed);
    let mine = [ED25519, ED25519];
    let mut of_client = Certificate::new(&mine, &ed25519, &[]);
    let packed = CompressedCertificate::new(&of_client).unwrap();
    of_client.compressed = Some(&packed);
    let certificates = [shown];
    let (pins, clients) = ([pin(P256)], [pin(ED25519)]);
    let known = PinnedKeys(&clients);
    let flights = |asks: bool| {
        let server = ServerConfig {
            clients: Some(ClientAuthentication { verifier: &known, required: true }),
            wants_compressed: asks,
            ..ServerConfig::new(CLASSIC, &certificates)
        };
        let client = ClientConfig {
            certificate: Some(of_client),
            wants_compressed: asks,
            ..ClientConfig::new(CLASSIC, PinnedKeys(&pins))
        };
        let entropy = SeededEntropy::predictable(1);
        let buffers = || (vec![0; BUFFER], vec![0; ROOM]);
        let (incoming, outgoing) = buffers();
        let mut client = Connection::client(&client, "p256.example", &entropy, incoming, outgoing).unwrap();
        let (incoming, outgoing) = buffers();
        let mut server = Connection::server(&server, &entropy, incoming, outgoing);
        assert!(carry!(client, server, 99_999).is_ok());
        let first = server.output().len();
        assert!(carry!(server, client, 99_999).is_ok());
        let second = client.output().len();
        connect!(client, server, 99_999);
        assert_eq!((client.peer(), server.peer()), (Some(&pins[0]), Some(&clients[0])));
        (first, second)
    };
    let (plain, packed) = (flights(false), flights(true));
    assert!(packed.0 + 2 * P256.len() - 100 < plain.0, "{plain:?} {packed:?}");
    assert!(packed.1 + ED25519.len() - 100 < plain.1, "{plain:?} {packed:?}");
    // With an OCSP response for those who want one, it is there when it is unpacked.
    for ocsp in [false, true] {
        let message =
            [&[25, 0, 0, 0][..], shown.compressed(ocsp, unpacks(Some(&[2, 0, 1])).unwrap()).unwrap()]
                .concat();
        let message =
            Message { kind: HandshakeType::COMPRESSED_CERTIFICATE, body: &message[4..], whole: &message };
        let mut memory = Unpacked::default();
        let message = unpack(message, true, ROOM, &mut memory).unwrap();
        let list = CertificateList::parse(message.body).unwrap();
        assert!(list.entries().map(|(certificate, _)| certificate).eq(chain));
        assert_eq!(list.entries().next().unwrap().1.iter().count(), usize::from(ocsp));
    }
    // What gains nothing is not kept.
    assert!(CompressedCertificate::new(&Certificate::new(&[&[7]], &p256, &[])).is_none());
}

#[test]
fn a_peer_gets_what_it_can_unpack() {
    let p256 = key("p256");
    let chain = [LEAF, INTERMEDIATE];
    let mut shown = Certificate::new(&chain, &p256, &[]);
    let compressed = CompressedCertificate::new(&shown).unwrap();
    let both = CompressedCertificate::new(&shown).unwrap().with_brotli(&shown, |list| list[..9].to_vec());
    let vain = CompressedCertificate::new(&shown).unwrap().with_brotli(&shown, <[u8]>::to_vec);
    for (offer, zlib_only, with_both) in [
        (None, None, None),
        (Some(&[2, 0, 1][..]), Some(1), Some(1)),
        (Some(&[2, 0, 2]), None, Some(2)),
        (Some(&[2, 0, 3]), None, None),
        (Some(&[6, 0, 3, 0, 1, 0, 2]), Some(1), Some(2)),
    ] {
        for (compressed, expected) in [(&compressed, zlib_only), (&both, with_both), (&vain, zlib_only)] {
            shown.compressed = Some(compressed);
            let body = shown.compressed(false, unpacks(offer).unwrap());
            assert_eq!(body.map(|body| body[1]), expected, "{offer:?}");
        }
    }
    assert_eq!(unpacks(Some(&[1, 0])).err(), Some(Alert::DECODE_ERROR));
}

/// A CompressedCertificate's body.
fn body(algorithm: u16, len: usize, packed: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 8 + packed.len()];
    let mut writer = Writer::new(&mut out);
    writer.u16(algorithm).unwrap();
    writer.bytes(&(len as u32).to_be_bytes()[1..]).unwrap();
    let block = writer.block(3).unwrap();
    writer.bytes(packed).unwrap();
    writer.end(block).unwrap();
    out
}

#[test]
fn lengths_that_lie_and_bombs_are_bad_certificates() {
    let mut list = vec![0; 4_000];
    let mut writer = Writer::new(&mut list);
    CertificateList::emit(&mut writer, &[], &[LEAF, INTERMEDIATE], None).unwrap();
    let list = writer.since(0);
    let pack = |bytes: &[u8]| miniz_oxide::deflate::compress_to_vec_zlib(bytes, 6);
    let packed = pack(list);
    let bomb = pack(&vec![0; 1 << 24]);
    let mut other_sum = packed.clone();
    *other_sum.last_mut().unwrap() ^= 1;
    let bad = Some(Alert::BAD_CERTIFICATE);
    let good = body(1, list.len(), &packed);
    for (what, body, alert) in [
        ("nothing is wrong", good.clone(), None),
        ("it is longer than it says", body(1, list.len() - 1, &packed), bad),
        ("it is shorter than it says", body(1, list.len() + 1, &packed), bad),
        ("nothing at all, it says", body(1, 0, &packed), bad),
        ("more than we take", body(1, ROOM + 1, &pack(&[0; ROOM + 1])), bad),
        ("a bomb that says so", body(1, (1 << 24) - 1, &bomb), bad),
        ("a bomb", body(1, ROOM, &bomb), bad),
        ("its end is missing", body(1, list.len(), &packed[..packed.len() - 9]), bad),
        ("its checksum is missing", body(1, list.len(), &packed[..packed.len() - 4]), bad),
        ("its checksum is another's", body(1, list.len(), &other_sum), bad),
        ("there is more", body(1, list.len(), &[&packed[..], &[0]].concat()), bad),
        ("no zlib", body(1, list.len(), list), bad),
        ("brotli, for which nobody asked", body(2, list.len(), &packed), Some(Alert::ILLEGAL_PARAMETER)),
        ("nothing is packed", body(1, list.len(), &[]), Some(Alert::DECODE_ERROR)),
        ("the message ends early", good[..good.len() - 1].to_vec(), Some(Alert::DECODE_ERROR)),
        ("the message goes on", [&good[..], &[0]].concat(), Some(Alert::DECODE_ERROR)),
    ] {
        let message = Message { kind: HandshakeType::COMPRESSED_CERTIFICATE, body: &body, whole: &body };
        let mut memory = Unpacked::default();
        let outcome = unpack(message, true, ROOM, &mut memory);
        assert_eq!(outcome.as_ref().err().copied(), alert, "{what}");
        assert!(outcome.is_err() || outcome.unwrap().body == list);
        assert!(memory.capacity() <= ROOM);
        // Of somebody who did not ask it is another message that does not belong.
        let mut memory = Unpacked::default();
        assert_eq!(unpack(message, false, ROOM, &mut memory), Ok(message), "{what}");
    }
}
