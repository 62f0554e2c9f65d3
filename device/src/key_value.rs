//! Read-only stores of named values: a site compiled in, a folder on a host, a partition on a disk.
use core::time::Duration;

/// What a store knows of a value without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Bytes.
    pub size: u64,
    /// When it was last changed, as time since 1970-01-01T00:00:00Z.
    pub last_modified: Option<Duration>,
    /// Changes whenever the value does: the start of a cryptographic digest, or a hash of the file's
    /// identity, size and time. `None` when the store cannot tell.
    pub digest: Option<u64>,
}

impl Entry {
    /// An entry of `size` bytes of which nothing else is known.
    pub const fn new(size: u64) -> Self {
        Self { size, last_modified: None, digest: None }
    }
    /// With its time.
    pub const fn modified(self, since_1970: Duration) -> Self {
        Self { last_modified: Some(since_1970), ..self }
    }
    /// With its digest.
    pub const fn digest(self, digest: u64) -> Self {
        Self { digest: Some(digest), ..self }
    }
}

/// A read-only store: keys are `/`-separated paths without a leading `/`, values are bytes.
///
/// A precompressed variant of `page.html` is a value of its own under `page.html.gz` or `page.html.br`, as web
/// servers have it on disk.
pub trait KeyValue {
    /// Why a call failed.
    type Error: embedded_io_async::Error;
    /// Every value there is can be [lent](Self::lend) whole.
    const LENDS: bool = false;

    /// What is known of `key`; `None` when there is no such value (a folder is none).
    async fn entry(&self, key: &str) -> Result<Option<Entry>, Self::Error>;
    /// Reads from `offset` on into `buf` and returns the number of bytes, less than `buf.len()` only at the
    /// end of the value. `NotFound` when there is no such key.
    async fn read(&self, key: &str, offset: u64, buf: &mut [u8]) -> Result<usize, Self::Error>;
    /// The whole value where it lies in memory for ever, if this store keeps it so.
    fn lend(&self, key: &str) -> Option<&'static [u8]> {
        let _ = key;
        None
    }
    /// Calls `each` with every key that begins with `prefix`, in byte order.
    async fn list(&self, prefix: &str, each: impl FnMut(&str)) -> Result<(), Self::Error>;
}

impl<T: KeyValue + ?Sized> KeyValue for &T {
    type Error = T::Error;
    const LENDS: bool = T::LENDS;
    async fn entry(&self, key: &str) -> Result<Option<Entry>, Self::Error> {
        (**self).entry(key).await
    }
    async fn read(&self, key: &str, offset: u64, buf: &mut [u8]) -> Result<usize, Self::Error> {
        (**self).read(key, offset, buf).await
    }
    fn lend(&self, key: &str) -> Option<&'static [u8]> {
        (**self).lend(key)
    }
    async fn list(&self, prefix: &str, each: impl FnMut(&str)) -> Result<(), Self::Error> {
        (**self).list(prefix, each).await
    }
}
