use super::*;
use proptest::prelude::*;
use std::{string::String, string::ToString, vec::Vec};

fn tokens(text: &str) -> Vec<Token<'_>> {
    text.split(' ')
        .map(|raw| Token { raw: raw.trim_matches('"').as_bytes(), quoted: raw.starts_with('"') })
        .collect()
}

fn wire(rtype: RecordType, text: &str) -> Result<Vec<u8>, Error> {
    let mut out = std::vec![0; 65_535];
    let origin: NameBuf = "example.".parse().unwrap();
    let length = parse(rtype, &tokens(text), origin.as_name(), &mut out)?;
    out.truncate(length);
    Ok(out)
}

/// Text in, the canonical text out, and that text reads as the same bytes.
fn round(rtype: &str, text: &str, printed: &str) {
    let rtype = RecordType::from_text(rtype.as_bytes()).unwrap();
    let data = wire(rtype, text).unwrap_or_else(|e| panic!("{rtype} {text}: {e}"));
    assert_eq!(Text(rtype, &data).to_string(), printed, "{rtype}");
    assert_eq!(wire(rtype, printed).unwrap(), data, "{rtype} {printed}");
    // From inside a message, uncompressed, they are the same data.
    let mut copy = std::vec![0; data.len() + 1];
    assert_eq!(from_message(rtype, &data, 0, data.len(), &mut copy), Ok(data.len()));
    assert_eq!(&copy[..data.len()], &data);
    // Cut anywhere they are no longer valid, unless the last field takes any length.
    for end in 0..data.len() {
        let _ = check(rtype, &data[..end]);
    }
}

#[test]
fn every_type_goes_round() {
    for (rtype, text, printed) in [
        ("A", "192.0.2.1", "192.0.2.1"),
        ("AAAA", "2001:DB8::1", "2001:db8::1"),
        ("NS", "ns1", "ns1.example."),
        ("SOA", "ns1 admin.ns1 1 1h 15m 2w 300", "ns1.example. admin.ns1.example. 1 3600 900 1209600 300"),
        ("MX", "10 mail.other.", "10 mail.other."),
        ("TXT", r#""one\"two" three"#, r#""one\"two" "three""#),
        ("HINFO", "PC Linux", r#""PC" "Linux""#),
        ("RP", "me .", "me.example. ."),
        (
            "LOC",
            "42 21 54 N 71 06 18 W -24m 30m",
            "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m",
        ),
        ("LOC", "52 14 05.5 N 00 08 50 E 10m", "52 14 5.500 N 0 8 50.000 E 10.00m 1.00m 10000.00m 10.00m"),
        ("SRV", "0 5 443 www", "0 5 443 www.example."),
        (
            "NAPTR",
            r#"100 10 "u" "sip+E2U" "!^.*$!sip:x@example.com!" ."#,
            r#"100 10 "u" "sip+E2U" "!^.*$!sip:x@example.com!" ."#,
        ),
        ("DS", "12345 13 2 ABCDEF 01", "12345 13 2 ABCDEF01"),
        ("SSHFP", "4 2 00ff", "4 2 00FF"),
        (
            "RRSIG",
            "A 13 2 3600 20260101000000 20251201000000 12345 example. AAEC",
            "A 13 2 3600 20260101000000 20251201000000 12345 example. AAEC",
        ),
        ("NSEC", "b A TYPE1234 RRSIG NSEC CAA", "b.example. A RRSIG NSEC CAA TYPE1234"),
        ("DNSKEY", "257 3 13 AAEC AwQ=", "257 3 13 AAECAwQ="),
        (
            "NSEC3",
            "1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
            "1 1 12 AABBCCDD 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A RRSIG",
        ),
        ("NSEC3PARAM", "1 0 0 -", "1 0 0 -"),
        ("TLSA", "3 1 1 00", "3 1 1 00"),
        ("OPENPGPKEY", "AAEC", "AAEC"),
        ("CSYNC", "66 3 A NS AAAA", "66 3 A NS AAAA"),
        ("ZONEMD", "1 1 1 00", "1 1 1 00"),
        (
            "HTTPS",
            "1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1 mandatory=port,alpn no-default-alpn ech=AAEC key9=a\\044b",
            "1 . mandatory=alpn,port alpn=\"h2,h3\" no-default-alpn port=8443 ipv4hint=192.0.2.1,192.0.2.2 ech=AAEC ipv6hint=2001:db8::1 key9=\"a,b\"",
        ),
        ("SVCB", "0 target", "0 target.example."),
        ("EUI48", "00-00-5e-00-53-2a", "00-00-5e-00-53-2a"),
        ("EUI64", "00-00-5e-ef-10-00-00-2a", "00-00-5e-ef-10-00-00-2a"),
        ("URI", r#"10 1 "ftp://ftp.example/""#, r#"10 1 "ftp://ftp.example/""#),
        ("CAA", r#"0 issue "ca.example""#, r#"0 "issue" "ca.example""#),
        ("TYPE65280", "\\# 3 abcdef", "\\# 3 ABCDEF"),
        ("TYPE65280", "\\# 0", "\\# 0"),
        ("A", "\\# 4 C0000201", "192.0.2.1"),
        ("CDS", "0 0 0 00", "0 0 0 00"),
        ("SMIMEA", "0 0 0 abcd", "0 0 0 ABCD"),
        ("CERT", "1 2 3 AAEC", "1 2 3 AAEC"),
        ("DHCID", "AAEC", "AAEC"),
        ("PTR", "@", "example."),
        ("DNAME", "a.b", "a.b.example."),
    ] {
        round(rtype, text, printed);
    }
}

#[test]
fn text_that_is_wrong_is_refused() {
    for (rtype, text) in [
        ("A", "192.0.2"),
        ("A", "192.0.2.1 x"),
        ("A", "\\# 3 C00002"),
        ("AAAA", "::g"),
        ("MX", "mail"),
        ("MX", "65536 m"),
        ("SOA", "a b 1 2 3 4"),
        ("TXT", r"\999"),
        ("DS", "1 2 3 abc"),
        ("DNSKEY", "1 3 13 A"),
        ("DNSKEY", "1 3 13 AAE"),
        ("RRSIG", "A 13 2 3600 20261301000000 0 1 . AAEC"),
        ("NSEC3", "1 1 12 - - A"),
        ("TYPE65280", "x"),
        ("HTTPS", "1 . port=1 port=2"),
        ("HTTPS", "1 . nosuch=1"),
        ("HTTPS", "1 . ipv4hint="),
        ("HTTPS", "1 . no-default-alpn=x"),
        ("LOC", "91 0 0 N 0 0 0 E 0m"),
        ("LOC", "1 60 N 0 E 0m"),
        ("EUI48", "00-00"),
        ("SRV", "1 2 3"),
        ("TXT", ""),
        ("MX", "+1 m"),
        ("NSEC", "b NOSUCH"),
    ] {
        let rtype = RecordType::from_text(rtype.as_bytes()).unwrap();
        let text: String = text.into();
        if rtype == RecordType::TXT && text.is_empty() {
            assert!(parse(rtype, &[], Name::ROOT, &mut [0; 9]).is_err());
        } else {
            assert!(wire(rtype, &text).is_err(), "{rtype} {text}");
        }
    }
}

#[test]
fn service_ids_with_commas_follow_the_rfc_example() {
    // RFC 9460 appendix D.2, figure 10: alpn="f\\\\oo\\,bar,h2" is two ids: f\oo,bar and h2.
    let data = wire(RecordType::SVCB, r#"16 foo.example.org. alpn=f\\\\oo\\,bar,h2"#).unwrap();
    assert!(data.ends_with(b"\0\x01\0\x0c\x08f\\oo,bar\x02h2"), "{data:?}");
    round(
        "SVCB",
        r#"16 foo.example.org. alpn=f\\\\oo\\,bar,h2"#,
        r#"16 foo.example.org. alpn="f\\\\oo\\,bar,h2""#,
    );
}

proptest! {
    #[test]
    fn any_data_print_and_read_back(code in prop_oneof![0..66_u16, 99..110_u16, 256..258_u16], data in proptest::collection::vec(any::<u8>(), 0..80)) {
        let rtype = RecordType(code);
        let printed = Text(rtype, &data).to_string();
        if check(rtype, &data).is_ok() && !printed.contains(' ') {
            prop_assert!(wire(rtype, &printed).is_ok() || printed.contains('\\') || printed.contains('"') || printed.is_empty());
        }
        let mut out = [0; 700];
        let _ = from_message(rtype, &data, 0, data.len(), &mut out);
        let _ = from_message(rtype, &data, data.len() / 2, data.len() - data.len() / 2, &mut out);
    }

    #[test]
    fn any_words_never_panic(code in 0..260_u16, text in "[ -~]{0,60}") {
        let _ = wire(RecordType(code), &text);
    }
}
