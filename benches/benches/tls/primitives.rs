//! rustls over the very primitives that airglow-tls uses, so that the two can be told apart from what they call.
use airglow_device::Entropy;
use airglow_platform_unix::SystemEntropy;
use airglow_tls::crypto::{
    self, Aead, Hash, KeyExchange, MAX_KEY_SHARE, NamedGroup, PrivateKey, Provider, RustCrypto, Signer,
    Transcript,
};
use rustls::{
    CipherSuiteCommon, Error, SignatureAlgorithm, SignatureScheme, SupportedCipherSuite, Tls13CipherSuite,
    crypto::{
        self as theirs, ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, GetRandomFailed,
        KeyProvider, SecureRandom, SharedSecret, SupportedKxGroup,
        cipher::{
            AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter,
            Nonce, OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
            UnsupportedOperationError, make_tls13_aad,
        },
        hash::{Context, HashAlgorithm, Output},
        hmac::{Hmac, Key, Tag},
        tls13::HkdfUsingHmac,
    },
    pki_types::PrivateKeyDer,
    sign::SigningKey,
};
use std::sync::Arc;

/// The provider, with ring's verification: servers verify nothing.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![AES_128, AES_256, CHACHA20],
        kx_groups: vec![
            &Group(NamedGroup::X25519MLKEM768, rustls::NamedGroup::X25519MLKEM768),
            &Group(NamedGroup::X25519, rustls::NamedGroup::X25519),
        ],
        secure_random: &Random,
        key_provider: &Keys,
        ..rustls::crypto::ring::default_provider()
    }
}

const AES_128: SupportedCipherSuite = SupportedCipherSuite::Tls13(&Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: rustls::CipherSuite::TLS13_AES_128_GCM_SHA256,
        hash_provider: &Digest(Hash::Sha256),
        confidentiality_limit: 1 << 24,
    },
    hkdf_provider: &HkdfUsingHmac(&Digest(Hash::Sha256)),
    aead_alg: &Cipher(crypto::CipherSuite::TLS_AES_128_GCM_SHA256),
    quic: None,
});
const AES_256: SupportedCipherSuite = SupportedCipherSuite::Tls13(&Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: rustls::CipherSuite::TLS13_AES_256_GCM_SHA384,
        hash_provider: &Digest(Hash::Sha384),
        confidentiality_limit: 1 << 24,
    },
    hkdf_provider: &HkdfUsingHmac(&Digest(Hash::Sha384)),
    aead_alg: &Cipher(crypto::CipherSuite::TLS_AES_256_GCM_SHA384),
    quic: None,
});
const CHACHA20: SupportedCipherSuite = SupportedCipherSuite::Tls13(&Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        hash_provider: &Digest(Hash::Sha256),
        confidentiality_limit: u64::MAX,
    },
    hkdf_provider: &HkdfUsingHmac(&Digest(Hash::Sha256)),
    aead_alg: &Cipher(crypto::CipherSuite::TLS_CHACHA20_POLY1305_SHA256),
    quic: None,
});

#[derive(Debug)]
struct Random;
impl SecureRandom for Random {
    fn fill(&self, out: &mut [u8]) -> Result<(), GetRandomFailed> {
        SystemEntropy.fill(out);
        Ok(())
    }
}

struct Digest(Hash);
type Running = <RustCrypto as Provider>::Transcript;

impl theirs::hash::Hash for Digest {
    fn start(&self) -> Box<dyn Context> {
        Box::new(RunningDigest(RustCrypto.hash(self.0)))
    }
    fn hash(&self, data: &[u8]) -> Output {
        let mut hash = RustCrypto.hash(self.0);
        hash.update(data);
        Output::new(&hash.current())
    }
    fn output_len(&self) -> usize {
        self.0.len()
    }
    fn algorithm(&self) -> HashAlgorithm {
        match self.0 {
            Hash::Sha256 => HashAlgorithm::SHA256,
            Hash::Sha384 => HashAlgorithm::SHA384,
        }
    }
}

struct RunningDigest(Running);
impl Context for RunningDigest {
    fn fork_finish(&self) -> Output {
        Output::new(&self.0.current())
    }
    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self(self.0.clone()))
    }
    fn finish(self: Box<Self>) -> Output {
        self.fork_finish()
    }
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

impl Hmac for Digest {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        Box::new(HmacKey(self.0, key.to_vec()))
    }
    fn hash_output_len(&self) -> usize {
        self.0.len()
    }
}

struct HmacKey(Hash, Vec<u8>);
impl Key for HmacKey {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let parts: Vec<_> = [first].into_iter().chain(middle.iter().copied()).chain([last]).collect();
        Tag::new(&RustCrypto.hmac(self.0, &self.1, &parts))
    }
    fn tag_len(&self) -> usize {
        self.0.len()
    }
}

struct Cipher(crypto::CipherSuite);
struct Protection {
    aead: <RustCrypto as Provider>::Aead,
    iv: Iv,
}

impl Cipher {
    fn protection(&self, key: &AeadKey, iv: Iv) -> Box<Protection> {
        Box::new(Protection { aead: RustCrypto.aead(self.0, key.as_ref()).expect("a key"), iv })
    }
}

impl Tls13AeadAlgorithm for Cipher {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        self.protection(&key, iv)
    }
    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        self.protection(&key, iv)
    }
    fn key_len(&self) -> usize {
        self.0.key_len()
    }
    fn extract_keys(
        &self,
        _: AeadKey,
        _: Iv,
    ) -> Result<rustls::ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl MessageEncrypter for Protection {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let len = self.encrypted_payload_len(message.payload.len());
        let mut payload = PrefixedPayload::with_capacity(len);
        payload.extend_from_chunks(&message.payload);
        payload.extend_from_slice(&[u8::from(message.typ)]);
        let (nonce, aad) = (Nonce::new(&self.iv, seq), make_tls13_aad(len));
        let tag = self.aead.seal(&nonce.0, &aad, payload.as_mut()).ok_or(Error::EncryptError)?;
        payload.extend_from_slice(&tag);
        let version = rustls::ProtocolVersion::TLSv1_2;
        Ok(OutboundOpaqueMessage::new(rustls::ContentType::ApplicationData, version, payload))
    }
    fn encrypted_payload_len(&self, len: usize) -> usize {
        len + 1 + crypto::TAG
    }
}

impl MessageDecrypter for Protection {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let payload = &mut message.payload;
        let (nonce, aad) = (Nonce::new(&self.iv, seq), make_tls13_aad(payload.len()));
        let (text, tag) = payload.split_last_chunk_mut::<{ crypto::TAG }>().ok_or(Error::DecryptError)?;
        self.aead.open(&nonce.0, &aad, text, tag).ok_or(Error::DecryptError)?;
        let len = text.len();
        payload.truncate(len);
        message.into_tls13_unpadded_message()
    }
}

#[derive(Debug)]
struct Group(NamedGroup, rustls::NamedGroup);

impl SupportedKxGroup for Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut seed = [0; 32];
        SystemEntropy.fill(&mut seed);
        let exchange = RustCrypto.key_exchange(self.0, &seed).expect("a group");
        let mut share = vec![0; MAX_KEY_SHARE];
        let len = exchange.public(&mut share).expect("room");
        share.truncate(len);
        Ok(Box::new(Started { exchange, share, group: self.1 }))
    }
    fn start_and_complete(&self, peer: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let mut seed = [0; 32];
        SystemEntropy.fill(&mut seed);
        let mut pub_key = vec![0; MAX_KEY_SHARE];
        let (len, secret) =
            RustCrypto.answer(self.0, &seed, peer, &mut pub_key).ok_or(Error::General("share".into()))?;
        pub_key.truncate(len);
        Ok(CompletedKeyExchange { group: self.1, pub_key, secret: SharedSecret::from(&*secret) })
    }
    fn name(&self) -> rustls::NamedGroup {
        self.1
    }
    fn ffdhe_group(&self) -> Option<rustls::ffdhe_groups::FfdheGroup<'static>> {
        None
    }
}

struct Started {
    exchange: <RustCrypto as Provider>::KeyExchange,
    share: Vec<u8>,
    group: rustls::NamedGroup,
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let secret = self.exchange.agree(peer).ok_or(Error::General("share".into()))?;
        Ok(SharedSecret::from(&*secret))
    }
    fn pub_key(&self) -> &[u8] {
        &self.share
    }
    fn group(&self) -> rustls::NamedGroup {
        self.group
    }
    fn ffdhe_group(&self) -> Option<rustls::ffdhe_groups::FfdheGroup<'static>> {
        None
    }
}

#[derive(Debug)]
struct Keys;
impl KeyProvider for Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let key = PrivateKey::from_der(key.secret_der()).ok_or(Error::General("key".into()))?;
        Ok(Arc::new(EcdsaKey(Arc::new(key))))
    }
}

#[derive(Debug)]
struct EcdsaKey(Arc<PrivateKey>);
impl SigningKey for EcdsaKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
        offered.contains(&scheme).then(|| Box::new(EcdsaKey(self.0.clone())) as Box<dyn rustls::sign::Signer>)
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl rustls::sign::Signer for EcdsaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signature = vec![0; 104];
        let scheme = crypto::SignatureScheme::ECDSA_SECP256R1_SHA256;
        let len = self.0.sign(scheme, message, &mut signature).ok_or(Error::General("signature".into()))?;
        signature.truncate(len);
        Ok(signature)
    }
    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
