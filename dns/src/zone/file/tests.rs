use super::*;
use std::format;

fn read(text: &str) -> Result<Zone, FileError> {
    let apex: NameBuf = "example.com".parse().unwrap();
    load("test.zone", text.as_bytes(), &apex, |path| match path {
        "sub" => Ok(b"here A 192.0.2.9\n".to_vec()),
        "loop" => Ok(b"$INCLUDE loop\n".to_vec()),
        _ => Err("no such file".into()),
    })
}

const HEAD: &str = "$TTL 1h\n@ IN SOA ns admin (\n  1 ; serial\n  1d 2h 4w 5m )\n  NS ns\nns A 192.0.2.1\n";

fn with(text: &str) -> Result<Zone, FileError> {
    read(&format!("{HEAD}{text}"))
}

#[test]
fn a_zone_as_people_write_it() {
    let zone = with(concat!(
        "; a comment\n\n  \t \n",
        "www 300 IN A 192.0.2.2 ; inline\n",
        "    IN 5m AAAA 2001:db8::1\n",
        "$ORIGIN sub.example.com.\n",
        "x TXT \"a;b\" (\"c\n d\" \n) \\\"\n",
        "y.example.com. MX 10 mail\n",
        "$INCLUDE sub inc\n",
        "$GENERATE 1-3/2 host${0,3,d} A 192.0.2.$\n",
        "$GENERATE 0-1 ${0,3,n} PTR p-${1}\\$.x.\n",
        "z TYPE65280 \\# 2 abcd\n",
        "\\@ A 192.0.2.7\n",
    ));
    // A quoted string may not run over a line's end.
    assert_eq!(zone.err().unwrap().to_string(), "test.zone:13:14: this quote is never closed");
    let zone = with(concat!(
        "www 300 IN A 192.0.2.2 ; inline\r\n    IN 5m AAAA 2001:db8::1\n",
        "$ORIGIN sub.example.com.\nx TXT \"a;b\" (\"c\"\n  ) \\\"\ny.example.com. MX 10 mail\n$INCLUDE sub inc\n",
        "$GENERATE 1-3/2 host${0,3,d} A 192.0.2.$\n$GENERATE 0-1 ${0,3,n} PTR p-${1}\\$.x.\n",
        "z TYPE65280 \\# 2 abcd\n\\@ A 192.0.2.7",
    ))
    .unwrap();
    let text = zone.to_string();
    for line in [
        "www.example.com. 300 IN A 192.0.2.2\n",
        "www.example.com. 300 IN AAAA 2001:db8::1\n",
        "x.sub.example.com. 3600 IN TXT \"a;b\" \"c\" \"\\\"\"\n",
        "y.example.com. 3600 IN MX 10 mail.sub.example.com.\n",
        "here.inc.sub.example.com. 3600 IN A 192.0.2.9\n",
        "host001.sub.example.com. 3600 IN A 192.0.2.1\n",
        "host003.sub.example.com. 3600 IN A 192.0.2.3\n",
        "1.0.sub.example.com. 3600 IN PTR p-2\\$.x.\n",
        "z.sub.example.com. 3600 IN TYPE65280 \\# 2 ABCD\n",
        "\\@.sub.example.com. 3600 IN A 192.0.2.7\n",
    ] {
        assert!(text.contains(line), "{line}in\n{text}");
    }
    // The text it prints is the same zone.
    assert_eq!(read(&text).unwrap().to_string(), text);
    assert_eq!((zone.serial(), zone.negative_ttl()), (1, 300));
}

#[test]
fn errors_say_where_and_why() {
    for (text, error) in [
        ("www A 1.2.3\n", "test.zone:7:7: A data: the record data are not what their type says"),
        ("www NOSUCH x\n", "test.zone:7:5: unknown type NOSUCH"),
        ("www 300\n", "test.zone:7:1: a record without a type"),
        ("www (A\n", "test.zone:7:5: this parenthesis is never closed"),
        ("www A )\n", "test.zone:7:7: a closing parenthesis without an opening one"),
        ("www.other. A 192.0.2.1\n", "test.zone:7:1: www.other. is not in the zone"),
        ("a..b A 192.0.2.1\n", "test.zone:7:1: `a..b`: not a domain name"),
        ("$TTL soon\n", "test.zone:7:6: not a time to live"),
        ("$ORIGIN\n", "test.zone:7:1: the name after $ORIGIN is missing"),
        ("$NOSUCH\n", "test.zone:7:1: unknown directive $NOSUCH"),
        ("$INCLUDE missing\n", "test.zone:7:10: missing: no such file"),
        ("$GENERATE 3-1 a A 192.0.2.$\n", "test.zone:7:11: not a range such as 1-100 or 0-254/2"),
        (
            "$GENERATE 0-300 a$ A 192.0.2.$\n",
            "test.zone:7:1: in the generated line `a256 A 192.0.2.256`: A data: the record data are not what their type says",
        ),
        ("www CH A 192.0.2.1\n", "test.zone:7:1: only class IN is served"),
        (
            "www A 192.0.2.1\nwww CNAME ns\n",
            "test.zone:9:1: www.example.com. has a CNAME beside other records",
        ),
        ("@ SOA a b 1 2 3 4 5\n", "test.zone:8:1: the zone's apex must have one SOA record"),
        ("$INCLUDE loop\n", "loop:1:1: files include one another too deeply"),
    ] {
        assert_eq!(with(text).err().expect(text).to_string(), error);
    }
    assert_eq!(read("@ NS ns\n").err().unwrap().reason, "no TTL: neither here, nor in $TTL, nor before");
    assert_eq!(
        read("$TTL 1\n A 192.0.2.1\n").err().unwrap().reason,
        "a record without an owner, and none before it"
    );
    assert_eq!(
        read("$TTL 1\n@ SOA a b 1 2 3 4 5\n").err().unwrap().reason,
        "the zone's apex has no NS record"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_never_panics(text in "([a-z0-9@.$\\\\\"();{} \t]|\n|\\$GENERATE |\\$TTL | A | TXT ){0,60}") {
        let _ = with(&text);
    }
}
