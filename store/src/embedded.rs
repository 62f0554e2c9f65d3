//! Values that are part of the program.
use airglow_device::{Entry, Error, ErrorKind, KeyValue};
use core::{fmt, time::Duration};

/// A value of a [`Store`].
#[derive(Clone, Copy, Debug)]
pub struct Value {
    key: &'static str,
    bytes: &'static [u8],
    digest: u64,
    /// Seconds since 1970-01-01T00:00:00Z; 0 for unknown.
    modified: u64,
}

impl Value {
    /// A value under `key`; `digest` must change with the bytes.
    pub const fn new(key: &'static str, bytes: &'static [u8], digest: u64) -> Self {
        Self { key, bytes, digest, modified: 0 }
    }
    /// With the time of its last change, in seconds since 1970-01-01T00:00:00Z; 0 stands for unknown.
    pub const fn modified(self, seconds: u64) -> Self {
        Self { modified: seconds, ..self }
    }
    /// The key.
    pub const fn key(&self) -> &'static str {
        self.key
    }
    /// The bytes.
    pub const fn bytes(&self) -> &'static [u8] {
        self.bytes
    }
    const fn entry(&self) -> Entry {
        let entry = Entry::new(self.bytes.len() as u64).digest(self.digest);
        if self.modified == 0 { entry } else { entry.modified(Duration::from_secs(self.modified)) }
    }
}

/// A read-only store compiled into the program: it lies in flash or in the program's file and needs no
/// memory.
#[derive(Clone, Copy, Debug)]
pub struct Store {
    values: &'static [Value],
    /// Open addressing over [`hash`]: numbers of values plus one, 0 for a free place. Its length is a power
    /// of two, or 0
    /// for none.
    index: &'static [u16],
}

/// There is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such key in the store")
    }
}
impl core::error::Error for Missing {}
impl Error for Missing {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NotFound
    }
}

/// FNV-1a of 32 bits: what the index of a [`Store`] is built over.
pub const fn hash(key: &str) -> u32 {
    let bytes = key.as_bytes();
    let mut hash = 0x811c_9dc5_u32;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    // The upper bits are the better ones.
    hash ^ hash >> 16
}

impl Store {
    /// A store of `values`, which must be in byte order of their keys, without two of the same: otherwise
    /// the program does not compile
    /// where this makes a `static`.
    pub const fn new(values: &'static [Value]) -> Self {
        let mut at = 1;
        while at < values.len() {
            assert!(
                less(values[at - 1].key, values[at].key),
                "the values of a store are in order of their keys"
            );
            at += 1;
        }
        Self { values, index: &[] }
    }

    /// The same with an index, which a build script has made: look-ups take the time of one hash.
    #[doc(hidden)]
    pub const fn indexed(values: &'static [Value], index: &'static [u16]) -> Self {
        assert!(index.len().is_power_of_two() && index.len() > values.len());
        Self { values, index }
    }

    /// The values in byte order of their keys.
    pub const fn values(&self) -> &'static [Value] {
        self.values
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&'static Value> {
        if self.index.is_empty() {
            let place = self.values.binary_search_by(|value| value.key.cmp(key)).ok()?;
            return self.values.get(place);
        }
        let mask = self.index.len() - 1;
        let mut place = hash(key) as usize & mask;
        // There is at least one free place, at which this ends.
        loop {
            let number = usize::from(*self.index.get(place)?).checked_sub(1)?;
            let value = self.values.get(number)?;
            if value.key == key {
                return Some(value);
            }
            place = (place + 1) & mask;
        }
    }
}

const fn less(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] < b[at];
        }
        at += 1;
    }
    a.len() < b.len()
}

impl KeyValue for Store {
    type Error = Missing;
    const LENDS: bool = true;

    async fn entry(&self, key: &str) -> Result<Option<Entry>, Missing> {
        Ok(self.get(key).map(Value::entry))
    }
    async fn read(&self, key: &str, offset: u64, buf: &mut [u8]) -> Result<usize, Missing> {
        let value = self.get(key).ok_or(Missing)?;
        let rest = usize::try_from(offset).ok().and_then(|offset| value.bytes.get(offset..)).unwrap_or(&[]);
        let n = rest.len().min(buf.len());
        if let Some((rest, buf)) = rest.get(..n).zip(buf.get_mut(..n)) {
            buf.copy_from_slice(rest);
        }
        Ok(n)
    }
    fn lend(&self, key: &str) -> Option<&'static [u8]> {
        self.get(key).map(|value| value.bytes)
    }
    async fn list(&self, prefix: &str, mut each: impl FnMut(&str)) -> Result<(), Missing> {
        let first = self.values.partition_point(|value| value.key < prefix);
        let values = self.values.get(first..).unwrap_or(&[]);
        values.iter().map(|value| value.key).take_while(|key| key.starts_with(prefix)).for_each(&mut each);
        Ok(())
    }
}
