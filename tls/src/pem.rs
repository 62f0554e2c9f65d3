//! Certificates and keys as they lie in files: PEM (RFC 7468), or DER.
use crate::crypto::PrivateKey;
use alloc::{vec, vec::Vec};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use zeroize::Zeroizing;

/// The certificates of a PEM file, in its order, or the one of a DER file, as DER; `None` when it is neither.
pub fn certificates(file: &[u8]) -> Option<Vec<Vec<u8>>> {
    if is_der(file) {
        return crate::crypto::subject_public_key_info(file).map(|_| vec![file.to_vec()]);
    }
    let chain: Option<Vec<_>> =
        CertificateDer::pem_slice_iter(file).map(|one| one.ok().map(|der| der.to_vec())).collect();
    chain.filter(|chain| !chain.is_empty())
}

/// The first private key of a PEM file, or that of a DER file; `None` when there is none of a kind that signs here.
pub fn private_key(file: &[u8]) -> Option<PrivateKey> {
    PrivateKey::from_der(&private_key_der(file)?)
}

/// The same key as DER, for an image that has it compiled in; `None` when the file holds no key.
pub fn private_key_der(file: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if is_der(file) {
        return Some(Zeroizing::new(file.to_vec()));
    }
    Some(Zeroizing::new(PrivateKeyDer::from_pem_slice(file).ok()?.secret_der().to_vec()))
}

/// A SEQUENCE of more than 127 bytes, or of few; text never starts so.
fn is_der(file: &[u8]) -> bool {
    matches!(file, [0x30, 0x81 | 0x82, ..])
        || matches!(file, [0x30, len, ..] if usize::from(*len) + 2 == file.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &[u8] = include_bytes!("../tests/keys/p256.der");
    const KEY: &[u8] = include_bytes!("../tests/keys/p256.pkcs8.der");

    #[test]
    fn files_are_read_in_both_forms() {
        let pem = include_bytes!("../tests/keys/p256.pem");
        assert_eq!(certificates(CERTIFICATE), Some(vec![CERTIFICATE.to_vec()]));
        assert_eq!(certificates(pem), Some(vec![CERTIFICATE.to_vec()]));
        assert_eq!(certificates(&[&pem[..], pem].concat()).unwrap().len(), 2);
        assert!(private_key(KEY).is_some() && private_key(pem).is_some());
        assert!(private_key_der(pem).is_some_and(|der| *der == KEY && private_key(&der).is_some()));
        assert!(private_key(include_bytes!("../tests/keys/p256.sec1.der")).is_some());
        for bad in
            [&b""[..], b"hello", &KEY[..20], b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"]
        {
            assert!(certificates(bad).is_none() && private_key(bad).is_none());
        }
    }
}
