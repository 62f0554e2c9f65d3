//! TLS 1.3, the server's side: in memory beside rustls with ring and rustls with our own primitives, primitives beside
//! OpenSSL's; or with the word `https` the website beside nginx and `openssl s_server`.
//!
//! In memory the thread's processor time within the server's calls counts, medians of many; the client is rustls's.
//! Between processes the server has the first processor to itself and its processor time counts.
mod memory;
mod primitives;
mod processes;

use airglow_benches::Table;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = Table::new("tls");
    // `cargo airglow bench tls -- https`
    if std::env::args().any(|word| word == "https") {
        processes::https(&mut table)?;
        return Ok(table.finish()?);
    }
    memory::handshakes(&mut table);
    memory::bulk(&mut table);
    memory::primitives(&mut table);
    Ok(table.finish()?)
}

/// The certificate of all servers, ECDSA over P-256, and its key.
const CERTIFICATE: &[u8] = include_bytes!("../../../tls/tests/keys/p256.der");
const KEY: &[u8] = include_bytes!("../../../tls/tests/keys/p256.pkcs8.der");

/// A client of rustls's that trusts the certificate.
fn client(provider: rustls::crypto::CryptoProvider) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CERTIFICATE.into()).expect("a certificate");
    rustls::ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
