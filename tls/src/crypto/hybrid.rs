//! X25519MLKEM768: ML-KEM-768 (FIPS 203) and X25519, joined as draft-ietf-tls-ecdhe-mlkem says: ML-KEM's part first.
use super::{Hash, Provider, RustCrypto, Secret};
use ml_kem::{
    KeyExport,
    kem::Decapsulate,
    ml_kem_768::{Ciphertext, DecapsulationKey, EncapsulationKey},
};
use zeroize::Zeroizing;

/// Bytes of an encapsulation key, of a ciphertext, of X25519's shares.
const KEY: usize = 1_184;
const CIPHERTEXT: usize = 1_088;
const POINT: usize = 32;

/// A client's secrets: ML-KEM's seed, from which its large key is made each time it is needed, and X25519's.
pub struct HybridKey {
    seed: Zeroizing<[u8; 64]>,
    x25519: x25519_dalek::StaticSecret,
}

/// Independent bytes of one seed for each purpose.
fn expand(random: &[u8; 32], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let expanded = RustCrypto.hmac(Hash::Sha256, random, &[b"X25519MLKEM768 ", purpose]);
    Zeroizing::new(expanded.first_chunk().copied().unwrap_or_default())
}

fn shared(ml_kem: &[u8], x25519: &x25519_dalek::SharedSecret) -> Option<Secret> {
    let mut both = Zeroizing::new([0; 64]);
    let (first, second) = both.split_at_mut(32);
    first.copy_from_slice(ml_kem.get(..32)?);
    second.copy_from_slice(x25519.as_bytes());
    x25519.was_contributory().then(|| Secret::new(&*both))
}

impl HybridKey {
    pub(super) fn new(random: &[u8; 32]) -> Self {
        let mut seed = Zeroizing::new([0; 64]);
        let (d, z) = seed.split_at_mut(32);
        d.copy_from_slice(&*expand(random, b"d"));
        z.copy_from_slice(&*expand(random, b"z"));
        Self { seed, x25519: (*expand(random, b"x25519")).into() }
    }
    fn ml_kem(&self) -> DecapsulationKey {
        DecapsulationKey::from_seed((*self.seed).into())
    }
    pub(super) fn public(&self, out: &mut [u8]) -> Option<usize> {
        let (key, rest) = out.split_at_mut_checked(KEY)?;
        key.copy_from_slice(&self.ml_kem().encapsulation_key().to_bytes());
        rest.get_mut(..POINT)?.copy_from_slice(x25519_dalek::PublicKey::from(&self.x25519).as_bytes());
        Some(KEY + POINT)
    }
    /// The peer's share is a ciphertext and a point.
    pub(super) fn agree(&self, peer: &[u8]) -> Option<Secret> {
        let (ciphertext, point) = peer.split_at_checked(CIPHERTEXT)?;
        let point: [u8; POINT] = point.try_into().ok()?;
        let ml_kem = Zeroizing::new(self.ml_kem().decapsulate(&Ciphertext::try_from(ciphertext).ok()?).0);
        shared(&*ml_kem, &self.x25519.diffie_hellman(&point.into()))
    }
}

/// A server's share, written to `out`, and the shared secret.
pub(super) fn answer(random: &[u8; 32], peer: &[u8], out: &mut [u8]) -> Option<(usize, Secret)> {
    let (key, point) = peer.split_at_checked(KEY)?;
    let point: [u8; POINT] = point.try_into().ok()?;
    // Refuses numbers that are not reduced, as the draft and FIPS 203 section 7.2 ask.
    let key = EncapsulationKey::new(&key.try_into().ok()?).ok()?;
    let message = expand(random, b"m");
    let (ciphertext, ml_kem) = key.encapsulate_deterministic(&(*message).into());
    let ml_kem = Zeroizing::new(ml_kem.0);
    let x25519 = x25519_dalek::StaticSecret::from(*expand(random, b"x25519"));
    let secret = shared(&*ml_kem, &x25519.diffie_hellman(&point.into()))?;
    let (first, second) = out.get_mut(..CIPHERTEXT + POINT)?.split_at_mut(CIPHERTEXT);
    first.copy_from_slice(&ciphertext);
    second.copy_from_slice(x25519_dalek::PublicKey::from(&x25519).as_bytes());
    Some((CIPHERTEXT + POINT, secret))
}
