//! The pseudorandom function and what is made with it: RFC 5246 sections 5, 6.3, 7.4.9 and 8.1.
use crate::{
    crypto::{CipherSuite, Hash, Provider, Secret},
    protection::Protection,
};
use zeroize::Zeroizing;

/// `PRF(secret, label, seed)` into `out`, the seed in two parts.
fn prf<P: Provider>(
    provider: &P,
    hash: Hash,
    secret: &[u8],
    label: &[u8],
    [first, second]: [&[u8]; 2],
    out: &mut [u8],
) {
    let mut a = provider.hmac(hash, secret, &[label, first, second]);
    for place in out.chunks_mut(hash.len()) {
        let block = provider.hmac(hash, secret, &[&a, label, first, second]);
        place.iter_mut().zip(block.iter()).for_each(|(place, byte)| *place = *byte);
        a = provider.hmac(hash, secret, &[&a]);
    }
}

/// The master secret of what the key exchange gave and of the messages up to the ClientKeyExchange (RFC 7627
/// section 4).
pub(crate) fn master_secret<P: Provider>(provider: &P, hash: Hash, shared: &[u8], session: &[u8]) -> Secret {
    let mut master = Zeroizing::new([0; 48]);
    prf(provider, hash, shared, b"extended master secret", [session, &[]], &mut *master);
    Secret::new(&*master)
}

/// Whose.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// The keys with which a side protects its records. `randoms` are the client's and the server's.
pub(crate) fn protection<P: Provider>(
    provider: &P,
    suite: CipherSuite,
    master: &[u8],
    randoms: &[u8; 64],
    side: Side,
) -> Option<Protection<P>> {
    let mut block = Zeroizing::new([0; 2 * (32 + 12)]);
    let (client, server) = randoms.split_at(32);
    prf(provider, suite.hash(), master, b"key expansion", [server, client], &mut *block);
    let key = suite.key_len();
    let iv = if suite == CipherSuite::TLS_CHACHA20_POLY1305_SHA256 { 12 } else { 4 };
    // Both keys, then both nonces' parts, the client's first each time.
    let index = usize::from(side == Side::Server);
    let key_at = index * key;
    let iv_at = 2 * key + index * iv;
    Protection::tls12(provider, suite, block.get(key_at..key_at + key)?, block.get(iv_at..iv_at + iv)?)
}

/// The `verify_data` of a side's Finished.
pub(crate) fn finished<P: Provider>(
    provider: &P,
    hash: Hash,
    master: &[u8],
    transcript: &[u8],
    side: Side,
) -> Secret {
    let label = if side == Side::Client { b"client finished" } else { b"server finished" };
    let mut data = [0; 12];
    prf(provider, hash, master, label, [transcript, &[]], &mut data);
    Secret::new(&data)
}

/// An exported secret with a context (RFC 5705 section 4).
pub(crate) fn export<P: Provider>(
    provider: &P,
    hash: Hash,
    master: &[u8],
    randoms: &[u8; 64],
    [label, context]: [&[u8]; 2],
    len: usize,
) -> Secret {
    // The seed has three parts, and one block of output is as much as is ever asked for.
    let context_len = (context.len() as u16).to_be_bytes();
    let a = provider.hmac(hash, master, &[label, randoms, &context_len, context]);
    let block = provider.hmac(hash, master, &[&a, label, randoms, &context_len, context]);
    Secret::new(block.get(..len).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::RustCrypto;

    #[test]
    fn the_known_answer() {
        // The vector for P_SHA256 that the working group's list has had since RFC 5246 was new.
        let secret = 0x9bbe_436b_a940_f017_b176_5284_9a71_db35_u128.to_be_bytes();
        let seed = 0xa0ba_9f93_6cda_3118_27a6_f796_ffd5_198c_u128.to_be_bytes();
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66";
        let (first, second) = seed.split_at(5);
        let mut out = [0; 100];
        prf(&RustCrypto, Hash::Sha256, &secret, b"test label", [first, second], &mut out);
        assert_eq!(out.map(|byte| std::format!("{byte:02x}")).concat(), expected);
    }
}
