use core::{fmt, ops::Deref};
use zeroize::Zeroize;

/// A shared secret of X25519MLKEM768.
const MAX: usize = 64;

/// Up to 64 bytes that are wiped when dropped and never printed.
#[derive(Clone)]
pub struct Secret {
    bytes: [u8; MAX],
    len: u8,
}

impl Secret {
    /// As many zeros, at most 64.
    pub const fn zeros(len: usize) -> Self {
        Self { bytes: [0; MAX], len: if len > MAX { MAX as u8 } else { len as u8 } }
    }
    /// A copy of `bytes`; what is beyond 64 is cut off.
    pub fn new(bytes: &[u8]) -> Self {
        let mut secret = Self::zeros(bytes.len());
        for (place, byte) in secret.bytes.iter_mut().zip(bytes) {
            *place = *byte;
        }
        secret
    }
    /// Compares in a time that depends on the lengths only.
    pub fn matches(&self, other: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(&**self, other).into()
    }
}

impl Deref for Secret {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}
