//! Hellos that are wrong in one way each, and the alert that RFC 8446 names for it.
use super::{
    hello::{Hello, POINT, list, shares},
    *,
};

/// What a server makes of a hello: its first answer, or the alert it sends.
fn heard(hello: &Hello) -> Result<u8, Alert> {
    let mut heard = Ok(0);
    with_pair(&[], "p256.example", BUFFER, |_, mut server| {
        heard = match give!(server, &hello.record()) {
            Ok(_) => Ok(server.output()[0]),
            Err(Error::Sent(alert)) => {
                assert_eq!(server.output(), [21, 3, 3, 0, 2, 2, alert.0]);
                Err(alert)
            }
            Err(error) => panic!("{error}"),
        };
    });
    heard
}

#[test]
fn each_fault_has_its_alert() {
    let hello = Hello::new;
    let psk = |binder: usize| {
        let mut data = vec![0, 7, 0, 1, 5, 0, 0, 0, 0];
        data.extend([0, binder as u8 + 1, binder as u8]);
        data.extend(vec![1; binder]);
        data
    };
    let double = {
        let mut hello = hello();
        hello.extensions.push((43, vec![2, 3, 4]));
        hello
    };
    for (what, hello, alert) in [
        ("only older versions", hello().set(43, [2, 3, 3]), Alert::PROTOCOL_VERSION),
        ("no versions", hello().without(43), Alert::PROTOCOL_VERSION),
        ("compression", Hello { compression: vec![1, 0], ..hello() }, Alert::ILLEGAL_PARAMETER),
        ("an extension twice", double, Alert::ILLEGAL_PARAMETER),
        ("no suite in common", Hello { suites: vec![0x1304], ..hello() }, Alert::HANDSHAKE_FAILURE),
        ("no group in common", hello().set(10, list(&[0x19])).set(51, [0, 0]), Alert::HANDSHAKE_FAILURE),
        ("no signature in common", hello().set(13, list(&[0x0804])), Alert::HANDSHAKE_FAILURE),
        ("no groups", hello().without(10), Alert::MISSING_EXTENSION),
        ("no shares", hello().without(51), Alert::MISSING_EXTENSION),
        ("no signatures", hello().without(13), Alert::MISSING_EXTENSION),
        ("a share of no listed group", hello().set(10, list(&[0x17])), Alert::ILLEGAL_PARAMETER),
        (
            "two shares of one group",
            hello().set(51, shares(&[(0x1d, &POINT), (0x1d, &POINT)])),
            Alert::ILLEGAL_PARAMETER,
        ),
        ("a short share", hello().set(51, shares(&[(0x1d, &POINT[..31])])), Alert::ILLEGAL_PARAMETER),
        ("a share of small order", hello().set(51, shares(&[(0x1d, &[0; 32])])), Alert::ILLEGAL_PARAMETER),
        ("an empty share", hello().set(51, shares(&[(0x1d, &[])])), Alert::DECODE_ERROR),
        ("groups of odd length", hello().set(10, [0, 3, 0, 0x1d, 0]), Alert::DECODE_ERROR),
        ("no group at all", hello().set(10, [0, 0]), Alert::DECODE_ERROR),
        ("bytes behind the groups", hello().set(10, [0, 2, 0, 0x1d, 0]), Alert::DECODE_ERROR),
        ("a record size limit below 64", hello().set(28, [0, 63]), Alert::ILLEGAL_PARAMETER),
        ("a record size limit of three bytes", hello().set(28, [0, 64, 0]), Alert::DECODE_ERROR),
        ("no protocol in common", hello().set(16, *b"\x00\x02\x01c"), Alert::NO_APPLICATION_PROTOCOL),
        ("an empty protocol", hello().set(16, [0, 1, 0]), Alert::DECODE_ERROR),
        ("an empty host name", hello().set(0, [0, 3, 0, 0, 0]), Alert::DECODE_ERROR),
        (
            "a key before another extension",
            hello().set(45, [1, 1]).set(41, psk(32)).set(28, [1, 0]),
            Alert::ILLEGAL_PARAMETER,
        ),
        ("a key without its modes", hello().set(41, psk(32)), Alert::MISSING_EXTENSION),
        ("a short binder", hello().set(45, [1, 1]).set(41, psk(31)), Alert::DECODE_ERROR),
        ("no modes", hello().set(45, [0]), Alert::DECODE_ERROR),
        ("no type of certificates", hello().set(20, [0]), Alert::DECODE_ERROR),
        ("a type of certificates and more", hello().set(20, [1, 0, 0]), Alert::DECODE_ERROR),
        ("keys alone for certificates", hello().set(20, [2, 2, 3]), Alert::UNSUPPORTED_CERTIFICATE),
        ("no algorithm of compression", hello().set(27, [0]), Alert::DECODE_ERROR),
        ("half an algorithm of compression", hello().set(27, [1, 0]), Alert::DECODE_ERROR),
        ("early data that say something", hello().set(42, [0]), Alert::DECODE_ERROR),
    ] {
        assert_eq!(heard(&hello), Err(alert), "{what}");
    }
    assert_eq!(heard(&hello()), Ok(22));
    assert_eq!(heard(&hello().set(45, [1, 1]).set(41, psk(32))), Ok(22), "a ticket of nobody");
}

#[test]
fn grease_is_passed_over() {
    // RFC 8701: values that mean nothing, everywhere.
    let mut hello = Hello::new()
        .set(43, [4, 0x0a, 0x0a, 3, 4])
        .set(10, list(&[0x1a1a, 0x1d]))
        .set(13, list(&[0x2a2a, 0x0403]))
        .set(51, shares(&[(0x1a1a, &[0]), (0x1d, &POINT)]))
        .set(45, [2, 0x0b, 1])
        .set(16, *b"\x00\x05\x02\x3a\x3a\x01a")
        .set(0x4a4a, [])
        .set(0x5a5a, [0]);
    hello.suites.insert(0, 0x6a6a);
    assert_eq!(heard(&hello), Ok(22));
}

//= https://www.rfc-editor.org/rfc/rfc8446#section-4.1.2
//= type=test
//# Removing the "early_data" extension (Section 4.2.10) if one was
//# present.  Early data is not permitted after a HelloRetryRequest.
#[test]
fn early_data_after_a_hello_retry_request_are_refused() {
    // A client without a key has nothing to protect them with, and is not told apart before its second hello.
    let first = Hello::new().set(51, [0, 0]).set(42, []);
    let second = Hello::new();
    for (second, expected) in [
        (second.record(), Ok(Event::Idle)),
        (second.set(42, []).record(), Err(Error::Sent(Alert::ILLEGAL_PARAMETER))),
    ] {
        with_pair(&[], "p256.example", BUFFER, |_, mut server| {
            // What it sends early is passed over, as far as a first flight goes.
            let early = [&[23, 3, 3, 0x40, 0][..], &[7; 0x4000]].concat();
            let hellos = [&first.record(), &early, &early, &early, &second[..]];
            let mut outcome = Ok(Event::Idle);
            for bytes in hellos {
                outcome = give!(server, bytes);
            }
            assert_eq!(outcome, expected);
        });
    }
    with_pair(&[], "p256.example", BUFFER, |_, mut server| {
        assert_eq!(give!(server, &first.record()), Ok(Event::Idle));
        let early = [&[23, 3, 3, 0x40, 0][..], &[7; 0x4000]].concat();
        for count in 1.. {
            match give!(server, &early) {
                Ok(event) => assert!(event == Event::Idle && count < 4),
                Err(error) => {
                    assert_eq!((error, count), (Error::Sent(Alert::UNEXPECTED_MESSAGE), 4));
                    break;
                }
            }
        }
    });
}
