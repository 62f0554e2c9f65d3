//! rustls, in both roles.
use super::{Attempt, Case, Cell, Files, certificate, our_client, our_server};
use crate::{
    ours::{PATIENCE, pair},
    rustls_peers::{Counted, OneKey, bare_key},
};
use rustls::{client::AlwaysResolvesClientRawPublicKeys, server::AlwaysResolvesServerRawPublicKeys};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

fn suite(case: Case) -> rustls::CipherSuite {
    use rustls::CipherSuite;
    if case.is_tls12() {
        return match (case.column, certificate(case.column) == "rsa") {
            ("AES-256-GCM", _) => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            ("CHACHA20", _) => CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            (_, true) => CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            (_, false) => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        };
    }
    match case.column {
        "AES-256-GCM" => CipherSuite::TLS13_AES_256_GCM_SHA384,
        "CHACHA20" => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        _ => CipherSuite::TLS13_AES_128_GCM_SHA256,
    }
}

fn versions(case: Case) -> [&'static rustls::SupportedProtocolVersion; 1] {
    [if case.is_tls12() { &rustls::version::TLS12 } else { &rustls::version::TLS13 }]
}

fn provider(case: Case) -> Arc<rustls::crypto::CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|one| one.suite() == suite(case));
    let name = match case.column {
        "P-256" => rustls::NamedGroup::secp256r1,
        "P-384" => rustls::NamedGroup::secp384r1,
        _ => rustls::NamedGroup::X25519,
    };
    // In TLS 1.2 the groups are those of certificates too.
    let certificates = match certificate(case.column) {
        "p384" => rustls::NamedGroup::secp384r1,
        _ => rustls::NamedGroup::secp256r1,
    };
    let listed = |group| group == name || case.is_tls12() && group == certificates;
    provider.kx_groups.retain(|group| listed(group.name()));
    provider.kx_groups.sort_by_key(|group| group.name() != name);
    Arc::new(provider)
}

fn key(name: &str) -> rustls::pki_types::PrivateKeyDer<'static> {
    rustls::pki_types::PrivatePkcs8KeyDer::from(pair(name).1).into()
}

pub fn client(_: &Files, case: Case) -> Attempt {
    let column = case.column;
    match column {
        "X25519MLKEM768" => return Ok(Cell::No("not with ring")),
        "rsa" => return Ok(Cell::No("we do not sign with RSA")),
        _ => {}
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pair(certificate(column)).0.into()).unwrap();
    let provider = provider(case);
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(&versions(case)).unwrap();
    let mut config = match column {
        "raw public keys" => {
            let shown = AlwaysResolvesClientRawPublicKeys::new(bare_key(&provider, "p384"));
            let verifier = Arc::new(OneKey { provider, name: "p256" });
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_client_cert_resolver(Arc::new(shown))
        }
        "client cert" | "compressed" => {
            let builder = builder.with_root_certificates(roots);
            builder.with_client_auth_cert(vec![pair("p384").0.into()], key("p384")).unwrap()
        }
        _ => builder.with_root_certificates(roots).with_no_client_auth(),
    };
    let counted = [Counted::leaked(), Counted::leaked()];
    config.cert_decompressors = if column == "compressed" { vec![counted[0]] } else { vec![] };
    config.cert_compressors = if column == "compressed" { vec![counted[1]] } else { vec![] };
    config.enable_early_data = column == "0-RTT";
    if column == "ALPN" {
        config.alpn_protocols = vec![b"capitals".to_vec()];
    }
    let config = Arc::new(config);
    let connections = if column == "resumption" || column == "0-RTT" { 2 } else { 1 };
    our_server(case, connections, |addr| {
        for number in 0..connections {
            let mut socket = TcpStream::connect(addr).map_err(|why| why.to_string())?;
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let name = "localhost".try_into().unwrap();
            let mut client = rustls::ClientConnection::new(config.clone(), name).unwrap();
            let early = match client.early_data() {
                Some(mut early) => early.write(b"hello\n").is_ok_and(|count| count == 6),
                None => false,
            };
            assert_eq!(early, column == "0-RTT" && number == 1);
            let mut stream = rustls::Stream::new(&mut client, &mut socket);
            let mut answer = [0; 6];
            let written = if early { stream.flush() } else { stream.write_all(b"hello\n") };
            let exchanged = written.and_then(|()| stream.read_exact(&mut answer));
            exchanged.map_err(|why| why.to_string())?;
            assert_eq!(&answer, b"HELLO\n");
            assert_eq!(stream.conn.is_early_data_accepted(), early);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        match counted.map(Counted::count) {
            [1, 1] if column == "compressed" => Ok(()),
            [0, 0] if column != "compressed" => Ok(()),
            used => Err(format!("compression was used {used:?} times")),
        }
    })
}

pub fn server(_: &Files, case: Case) -> Attempt {
    let column = case.column;
    if column == "X25519MLKEM768" {
        return Ok(Cell::No("not with ring"));
    }
    let name = certificate(column);
    let provider = provider(case);
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(&versions(case)).unwrap();
    let chain = vec![pair(name).0.into()];
    let mut config = match column {
        "raw public keys" => {
            let shown = AlwaysResolvesServerRawPublicKeys::new(bare_key(&provider, name));
            let verifier = Arc::new(OneKey { provider, name: "p384" });
            builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(shown))
        }
        "client cert" | "compressed" => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(pair("p384").0.into()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder
                .with_client_cert_verifier(verifier.build().unwrap())
                .with_single_cert(chain, key(name))
                .unwrap()
        }
        _ => builder.with_no_client_auth().with_single_cert(chain, key(name)).unwrap(),
    };
    let counted = [Counted::leaked(), Counted::leaked()];
    config.cert_decompressors = if column == "compressed" { vec![counted[0]] } else { vec![] };
    config.cert_compressors = if column == "compressed" { vec![counted[1]] } else { vec![] };
    if case.is_tls12() {
        // Tickets are the only way there to go on with a session.
        config.ticketer = rustls::crypto::ring::Ticketer::new().unwrap();
    }
    config.max_early_data_size = if column == "0-RTT" { 1_000 } else { 0 };
    if column == "ALPN" {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().take(2) {
            let mut socket = socket.unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut early = Vec::new();
            while tls.is_handshaking() {
                if tls.complete_io(&mut socket).is_err() {
                    break;
                }
            }
            if let Some(mut from) = tls.early_data() {
                from.read_to_end(&mut early).unwrap();
            }
            let mut stream = rustls::Stream::new(&mut tls, &mut socket);
            if early.starts_with(b"GET /") || stream.read(&mut [0; 100]).is_ok() {
                let _ = stream.write_all(b"a page");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    let cell = our_client(case, addr)?;
    match counted.map(Counted::count) {
        [1, 1] if column == "compressed" => Ok(cell),
        [0, 0] if column != "compressed" => Ok(cell),
        used => Err(format!("compression was used {used:?} times")),
    }
}
