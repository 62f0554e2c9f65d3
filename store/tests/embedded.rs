//! The store of compiled-in values.
use airglow_device::KeyValue;
use airglow_runtime::{ThreadPark, block_on};
use airglow_store::{Missing, Store, Value, hash};

static VALUES: [Value; 3] = [
    Value::new("a.html", b"0123456789", 7).modified(784_111_777),
    Value::new("a/b.txt", b"", 8),
    Value::new("b.txt", b"b", 9),
];
static PLAIN: Store = Store::new(&VALUES);

/// As a build script makes it.
fn indexed() -> Store {
    let mut index = vec![0u16; 8];
    for (number, value) in VALUES.iter().enumerate() {
        let mut place = hash(value.key()) as usize & 7;
        while index[place] != 0 {
            place = (place + 1) & 7;
        }
        index[place] = number as u16 + 1;
    }
    Store::indexed(&VALUES, index.leak())
}

#[test]
fn every_key_and_no_other() {
    for store in [PLAIN, indexed()] {
        for value in &VALUES {
            assert_eq!(store.lend(value.key()), Some(value.bytes()));
        }
        for key in ["", "a", "a.htm", "a.html ", "a/", "a/b.txt/", "c", "b.tx"] {
            assert_eq!(store.lend(key), None, "{key}");
        }
    }
}

#[test]
fn entries_and_parts() {
    let park = ThreadPark::new();
    block_on(&park, async {
        let entry = PLAIN.entry("a.html").await.unwrap().unwrap();
        assert_eq!((entry.size, entry.digest), (10, Some(7)));
        assert_eq!(entry.last_modified.map(|time| time.as_secs()), Some(784_111_777));
        assert_eq!(PLAIN.entry("b.txt").await.unwrap().unwrap().last_modified, None);
        assert_eq!(PLAIN.entry("c").await, Ok(None));
        let mut buf = [0; 4];
        for (offset, part) in [(0, &b"0123"[..]), (8, b"89"), (10, b""), (11, b""), (u64::MAX, b"")] {
            assert_eq!(PLAIN.read("a.html", offset, &mut buf).await.map(|n| &buf[..n]), Ok(part));
        }
        assert_eq!(PLAIN.read("c", 0, &mut buf).await, Err(Missing));
        let mut keys = Vec::new();
        PLAIN.list("a", |key| keys.push(key.to_owned())).await.unwrap();
        assert_eq!(keys, ["a.html", "a/b.txt"]);
    });
}
