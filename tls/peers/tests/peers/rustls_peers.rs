//! rustls with raw public keys and with compressed certificates.
use crate::ours::pair;
use airglow_tls::crypto::subject_public_key_info;
use rustls::{
    CertificateCompressionAlgorithm, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    compress::{
        BROTLI_COMPRESSOR, BROTLI_DECOMPRESSOR, CertCompressor, CertDecompressor, CompressionFailed,
        CompressionLevel, DecompressionFailed, ZLIB_COMPRESSOR, ZLIB_DECOMPRESSOR,
    },
    crypto::{CryptoProvider, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    sign::CertifiedKey,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A key without a certificate around it.
fn bare(name: &str) -> &'static [u8] {
    subject_public_key_info(pair(name).0).unwrap()
}

/// What rustls shows of itself.
pub fn bare_key(provider: &CryptoProvider, name: &str) -> Arc<CertifiedKey> {
    let key = PrivatePkcs8KeyDer::from(pair(name).1).into();
    let key = provider.key_provider.load_private_key(key).unwrap();
    CertifiedKey::new(vec![CertificateDer::from(bare(name))], key).into()
}

/// Accepts one key, which must come bare.
#[derive(Debug)]
pub struct OneKey {
    pub provider: Arc<CryptoProvider>,
    pub name: &'static str,
}

impl OneKey {
    fn check(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        if shown.as_ref() == bare(self.name) { Ok(()) } else { Err(Error::General("another key".into())) }
    }
    fn signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }
    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What both traits of rustls ask alike.
macro_rules! asks_for_one_key {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("not with TLS 1.2".into()))
        }
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            key: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.signature(message, key, signed)
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.schemes()
        }
        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for OneKey {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(shown).map(|()| ServerCertVerified::assertion())
    }
    asks_for_one_key!();
}

impl ClientCertVerifier for OneKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(shown).map(|()| ClientCertVerified::assertion())
    }
    asks_for_one_key!();
}

/// rustls's zlib or brotli, and how often it was used.
#[derive(Debug)]
pub struct Counted {
    packs: &'static dyn CertCompressor,
    unpacks: &'static dyn CertDecompressor,
    count: AtomicUsize,
}

impl Counted {
    /// zlib that lives as long as configurations want.
    pub fn leaked() -> &'static Self {
        let count = AtomicUsize::new(0);
        Box::leak(Box::new(Self { packs: ZLIB_COMPRESSOR, unpacks: ZLIB_DECOMPRESSOR, count }))
    }
    /// The same of brotli.
    pub fn brotli() -> &'static Self {
        let count = AtomicUsize::new(0);
        Box::leak(Box::new(Self { packs: BROTLI_COMPRESSOR, unpacks: BROTLI_DECOMPRESSOR, count }))
    }
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// What our ends compress with for those who want brotli.
pub fn brotli(list: &[u8]) -> Vec<u8> {
    BROTLI_COMPRESSOR.compress(list.to_vec(), CompressionLevel::Amortized).unwrap()
}

impl CertDecompressor for Counted {
    fn decompress(&self, input: &[u8], output: &mut [u8]) -> Result<(), DecompressionFailed> {
        assert!(input.len() < output.len());
        self.count.fetch_add(1, Ordering::SeqCst);
        self.unpacks.decompress(input, output)
    }
    fn algorithm(&self) -> CertificateCompressionAlgorithm {
        self.unpacks.algorithm()
    }
}

impl CertCompressor for Counted {
    fn compress(&self, input: Vec<u8>, level: CompressionLevel) -> Result<Vec<u8>, CompressionFailed> {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.packs.compress(input, level)
    }
    fn algorithm(&self) -> CertificateCompressionAlgorithm {
        self.packs.algorithm()
    }
}
