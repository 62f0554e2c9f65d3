use super::*;
use proptest::prelude::*;
use std::{vec, vec::Vec};

#[test]
fn a_record_header_has_a_limit_for_each_kind() {
    let header = |content_type, len: usize| RecordHeader { content_type, len }.emit();
    for (content_type, most) in
        [(ContentType::HANDSHAKE, MAX_PLAINTEXT), (ContentType::APPLICATION_DATA, MAX_CIPHERTEXT)]
    {
        let bytes = header(content_type, most);
        assert_eq!(RecordHeader::parse(&bytes), Ok(Some(RecordHeader { content_type, len: most })));
        assert_eq!(RecordHeader::parse(&header(content_type, most + 1)), Err(RecordOverflow));
        for len in 0..RECORD_HEADER {
            assert_eq!(RecordHeader::parse(&bytes[..len]), Ok(None));
        }
    }
}

#[test]
fn a_vector_longer_than_its_length_can_say_is_refused() {
    let mut out = [0; 600];
    let mut writer = Writer::new(&mut out);
    let block = writer.block(1).unwrap();
    writer.bytes(&[1; 256]).unwrap();
    assert_eq!(writer.end(block), Err(NoRoom));
    let mut writer = Writer::new(&mut out);
    let block = writer.block(2).unwrap();
    writer.bytes(&[1; 256]).unwrap();
    assert_eq!(writer.end(block), Ok(()));
    assert_eq!(writer.since(0)[..3], [1, 0, 1]);
}

#[test]
fn extensions_come_once() {
    let twice = Extensions::parse(&[0xa, 0xa, 0, 0, 0, 43, 0, 1, 9, 0xa, 0xa, 0, 0]).unwrap();
    assert!(twice.has_duplicates());
    assert_eq!(twice.find(ExtensionType::SUPPORTED_VERSIONS), Some(&[9][..]));
    assert!(!Extensions::parse(&[0xa, 0xa, 0, 0, 0, 43, 0, 1, 9]).unwrap().has_duplicates());
    let many: Vec<u8> = (0..65_u16).flat_map(|kind| [kind.to_be_bytes(), [0, 0]].concat()).collect();
    assert!(!Extensions::parse(&many[..64 * 4]).unwrap().has_duplicates());
    assert!(Extensions::parse(&many).unwrap().has_duplicates());
    assert!(Extensions::parse(&[0, 43, 0, 2, 9]).is_err());
}

#[test]
fn a_chain_is_read_as_it_was_written() {
    let mut out = vec![0; 1000];
    let mut writer = Writer::new(&mut out);
    CertificateList::emit(&mut writer, &[], &[b"leaf", &[7; 300]], None).unwrap();
    let list = CertificateList::parse(writer.since(0)).unwrap();
    let chain: Vec<_> = list.entries().map(|(der, _)| der).collect();
    assert_eq!(chain, [&b"leaf"[..], &[7; 300]]);
    let len = writer.len();
    for short in 0..len {
        assert!(
            CertificateList::emit(&mut Writer::new(&mut vec![0; short]), &[], &[b"leaf", &[7; 300]], None)
                .is_err()
        );
        assert!(CertificateList::parse(&out[..short]).is_err());
    }
}

proptest! {
    #[test]
    fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
        let _ = RecordHeader::parse(&bytes);
        if let Some(message) = Message::parse(&bytes) {
            prop_assert_eq!(message.whole.len(), 4 + message.body.len());
        }
        if let Ok(hello) = ClientHello::parse(&bytes) {
            hello.extensions.has_duplicates();
        }
        let _ = ServerHello::parse(&bytes);
        let _ = CertificateVerify::parse(&bytes);
        if let Ok(list) = CertificateList::parse(&bytes) {
            list.entries().count();
        }
        if let Ok(shares) = KeyShares::parse(&bytes) {
            shares.iter().count();
        }
        if let Ok(names) = ProtocolNames::parse(&bytes) {
            prop_assert!(names.iter().count() > 0);
        }
        if let Ok(list) = U16List::parse(&bytes) {
            prop_assert_eq!(2 + 2 * list.iter().count(), bytes.len());
        }
    }
}
