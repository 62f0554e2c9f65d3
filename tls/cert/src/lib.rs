//! Certificates for development: an authority of one's own, what it issues, and requests to others.
//!
//! ```
//! use airglow_device::SeededEntropy;
//! use airglow_tls_cert::{Authority, Validity};
//!
//! let entropy = SeededEntropy::predictable(1); // For tests only.
//! let validity = Validity { from: 1_700_000_000, days: 90 };
//! let authority = Authority::new("development", validity, &entropy);
//! let server = authority.issue(&["localhost", "127.0.0.1"], validity, &entropy);
//! assert!(airglow_tls::pem::certificates(server.certificate_pem().as_bytes()).is_some());
//! assert!(airglow_tls::pem::private_key(server.key_pem().as_bytes()).is_some());
//! ```
//! ECDSA over P-256 with SHA-256, X.509 version 3 (RFC 5280), keys as PKCS #8 without encryption.
mod der;

use airglow_device::Entropy;
use airglow_tls::crypto::{
    Hash, KeyExchange, NamedGroup, PrivateKey, Provider, RustCrypto, SignatureScheme, Signer, Transcript,
    subject_public_key_info,
};
use der::{bits, element, integer, oid, pem, sequence, time};
use std::net::IpAddr;

const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 14];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 35];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// From when, in seconds since 1970, and for how many days.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The first second.
    pub from: u64,
    /// How long.
    pub days: u32,
}

/// A key pair: SubjectPublicKeyInfo and PKCS #8, both DER.
struct Pair {
    public: Vec<u8>,
    private: Vec<u8>,
}

impl Pair {
    fn new(entropy: &impl Entropy) -> Self {
        loop {
            let mut scalar = [0; 32];
            entropy.fill(&mut scalar);
            // One number in 2^32 is no key.
            let Some(key) = RustCrypto.key_exchange(NamedGroup::SECP256R1, &scalar) else { continue };
            let mut point = [0; 65];
            if key.public(&mut point).is_none() {
                continue;
            }
            let algorithm = sequence(&[&oid(EC_PUBLIC_KEY), &oid(PRIME256V1)]);
            let inner = sequence(&[&integer(&[1]), &element(4, &scalar), &element(0xa1, &bits(&point))]);
            let private = sequence(&[&integer(&[0]), &algorithm, &element(4, &inner)]);
            return Self { public: sequence(&[&algorithm, &bits(&point)]), private };
        }
    }
}

/// A certificate and the key it is for.
pub struct Issued {
    /// DER.
    pub certificate: Vec<u8>,
    /// PKCS #8, DER.
    pub key: Vec<u8>,
}

impl Issued {
    /// The certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }
    /// The key as PEM.
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

/// Signs certificates.
pub struct Authority {
    name: Vec<u8>,
    identifier: Vec<u8>,
    signer: PrivateKey,
    /// Its own certificate, and its key.
    pub issued: Issued,
}

impl Authority {
    /// A new authority with a key of its own.
    pub fn new(name: &str, validity: Validity, entropy: &impl Entropy) -> Self {
        let (pair, name) = (Pair::new(entropy), common_name(name));
        let identifier = identifier(&pair.public);
        let extensions = [
            extension(BASIC_CONSTRAINTS, true, &sequence(&[&element(1, &[0xff]), &integer(&[0])])),
            // keyCertSign and cRLSign.
            extension(KEY_USAGE, true, &element(3, &[1, 0x06])),
            extension(SUBJECT_KEY_IDENTIFIER, false, &element(4, &identifier)),
        ];
        let signer =
            PrivateKey::from_der(&pair.private).unwrap_or_else(|| unreachable!("a key as made above"));
        let certificate = certificate(&signer, &name, &name, &pair.public, validity, &extensions, entropy);
        let issued = Issued { certificate, key: pair.private };
        Self { name, identifier, signer, issued }
    }

    /// An authority that is there already: its certificate and its key, each PEM or DER. `None` when they are not
    /// such, or not of one pair.
    pub fn load(certificate: &[u8], key: &[u8]) -> Option<Self> {
        let certificate = airglow_tls::pem::certificates(certificate)?.into_iter().next()?;
        let signer = airglow_tls::pem::private_key(key)?;
        let public = subject_public_key_info(&certificate)?;
        let mut signature = [0; 104];
        let scheme =
            *signer.schemes().first().filter(|scheme| **scheme == SignatureScheme::ECDSA_SECP256R1_SHA256)?;
        let len = signer.sign(scheme, b"?", &mut signature)?;
        let ours = RustCrypto.verify(scheme, public, b"?", signature.get(..len)?);
        let (name, identifier) = (subject(&certificate)?.to_vec(), identifier(public));
        let issued = Issued { certificate, key: Vec::new() };
        ours.then_some(Self { name, identifier, signer, issued })
    }

    /// A certificate for a server of these names, host names or addresses, that it may show as a client too.
    pub fn issue(&self, names: &[&str], validity: Validity, entropy: &impl Entropy) -> Issued {
        let pair = Pair::new(entropy);
        let mut extensions = leaf_extensions(names).to_vec();
        extensions.push(extension(SUBJECT_KEY_IDENTIFIER, false, &element(4, &identifier(&pair.public))));
        let authority = sequence(&[&element(0x80, &self.identifier)]);
        extensions.push(extension(AUTHORITY_KEY_IDENTIFIER, false, &authority));
        let subject = common_name(names.first().unwrap_or(&"nobody"));
        let certificate =
            certificate(&self.signer, &self.name, &subject, &pair.public, validity, &extensions, entropy);
        Issued { certificate, key: pair.private }
    }
}

/// A request (RFC 2986) that another authority may sign: PKCS #10 and PKCS #8, both DER.
pub fn request(names: &[&str], entropy: &impl Entropy) -> Issued {
    let pair = Pair::new(entropy);
    let extensions = element(0x31, &sequence(&[&leaf_extensions(names).concat()]));
    let attributes = element(0xa0, &sequence(&[&oid(EXTENSION_REQUEST), &extensions]));
    let subject = common_name(names.first().unwrap_or(&"nobody"));
    let signer = PrivateKey::from_der(&pair.private).unwrap_or_else(|| unreachable!("a key as made above"));
    let information = sequence(&[&integer(&[0]), &subject, &pair.public, &attributes]);
    Issued { certificate: signed(&signer, &information), key: pair.private }
}

/// A request as PEM.
pub fn request_pem(request: &Issued) -> String {
    pem("CERTIFICATE REQUEST", &request.certificate)
}

fn common_name(name: &str) -> Vec<u8> {
    // At most 64 characters (RFC 5280 appendix A.1).
    let name: String = name.chars().take(64).collect();
    sequence(&[&element(0x31, &sequence(&[&oid(COMMON_NAME), &element(12, name.as_bytes())]))])
}

/// A key's identifier: the first 20 bytes of SHA-256 (RFC 7093 section 2).
fn identifier(public: &[u8]) -> Vec<u8> {
    let mut hash = RustCrypto.hash(Hash::Sha256);
    hash.update(public);
    hash.current().iter().copied().take(20).collect()
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    sequence(&[&oid(id), critical, &element(4, value)])
}

fn leaf_extensions(names: &[&str]) -> [Vec<u8>; 4] {
    let names: Vec<_> = names
        .iter()
        .map(|name| match name.parse() {
            Ok(IpAddr::V4(address)) => element(0x87, &address.octets()),
            Ok(IpAddr::V6(address)) => element(0x87, &address.octets()),
            Err(_) => element(0x82, name.as_bytes()),
        })
        .collect();
    [
        extension(SUBJECT_ALTERNATIVE_NAME, false, &sequence(&[&names.concat()])),
        // digitalSignature.
        extension(KEY_USAGE, true, &element(3, &[7, 0x80])),
        extension(EXTENDED_KEY_USAGE, false, &sequence(&[&oid(SERVER_AUTH), &oid(CLIENT_AUTH)])),
        extension(BASIC_CONSTRAINTS, true, &sequence(&[])),
    ]
}

fn certificate(
    signer: &PrivateKey,
    issuer: &[u8],
    subject: &[u8],
    public: &[u8],
    validity: Validity,
    extensions: &[Vec<u8>],
    entropy: &impl Entropy,
) -> Vec<u8> {
    let mut serial = [0; 16];
    entropy.fill(&mut serial);
    // Positive, and never zero.
    serial[0] = serial[0] & 0x7f | 0x40;
    let until = validity.from + u64::from(validity.days) * 86_400;
    signed(
        signer,
        &sequence(&[
            &element(0xa0, &integer(&[2])),
            &integer(&serial),
            &sequence(&[&oid(ECDSA_WITH_SHA256)]),
            issuer,
            &sequence(&[&time(validity.from), &time(until)]),
            subject,
            public,
            &element(0xa3, &sequence(&[&extensions.concat()])),
        ]),
    )
}

/// What is signed, how, and the signature.
fn signed(signer: &PrivateKey, content: &[u8]) -> Vec<u8> {
    let mut signature = [0; 104];
    let len = signer.sign(SignatureScheme::ECDSA_SECP256R1_SHA256, content, &mut signature).unwrap_or(0);
    let signature = signature.get(..len).unwrap_or_default();
    sequence(&[content, &sequence(&[&oid(ECDSA_WITH_SHA256)]), &bits(signature)])
}

/// The subject of a certificate, which becomes the issuer of what it signs.
fn subject(certificate: &[u8]) -> Option<&[u8]> {
    fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
        let ([_, first], rest) = bytes.split_first_chunk()?;
        let (len, header) = match first {
            0..=0x7f => (usize::from(*first), 2),
            0x81 => (usize::from(*rest.first()?), 3),
            0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            _ => return None,
        };
        let (whole, after) = bytes.split_at_checked(header + len)?;
        Some((whole, whole.get(header..)?, after))
    }
    let mut fields = split(split(certificate)?.1)?.1;
    // version, serialNumber, signature, issuer, validity
    for _ in 0..5 {
        fields = split(fields)?.2;
    }
    Some(split(fields)?.0)
}
