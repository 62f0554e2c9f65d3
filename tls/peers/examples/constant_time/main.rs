//! Our code on the secret path under valgrind's memcheck: secrets are marked as undefined, so that memcheck tells of every branch and
//! every address that depends on them. Run by the test `constant_time`, with the name of what is to be tried.
#[cfg(target_arch = "x86_64")]
mod memcheck;
#[cfg(target_arch = "x86_64")]
mod watched;

#[cfg(target_arch = "x86_64")]
fn main() {
    assert!(memcheck::is_watched(), "this is for valgrind: cargo airglow test peers");
    match std::env::args().nth(1).as_deref() {
        Some("comparisons") => tried::comparisons(),
        Some("connections") => tried::connections(),
        Some("leak") => tried::leak(),
        other => panic!("what is {other:?}?"),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    eprintln!("how to ask valgrind is known here on x86-64 only");
}

#[cfg(target_arch = "x86_64")]
mod tried {
    use crate::{
        memcheck::{hide, show},
        watched::Watched,
    };
    use airglow_device::{Clock, Instant, SeededEntropy};
    use airglow_tls::{
        BUFFER, Certificate, Client, ClientConfig, Connection, EarlyData, PinnedKeys, Server, ServerConfig,
        SessionCache, TicketKeys,
        crypto::{Hash, PrivateKey, Provider, RustCrypto, Secret, Transcript, subject_public_key_info},
    };
    use std::{hint::black_box, time::Duration};

    const P256: &[u8] = include_bytes!("../../../tests/keys/p256.der");
    const KEY: &[u8] = include_bytes!("../../../tests/keys/p256.pkcs8.der");

    type Ours<'c> = &'c Watched;
    type ClientEnd<'c> = Connection<Client<'c, Ours<'c>, PinnedKeys<'c>>, Ours<'c>, Vec<u8>>;
    type ServerEnd<'c> = Connection<Server<'c, Ours<'c>>, Ours<'c>, Vec<u8>>;

    fn secret(last: u8) -> Secret {
        let mut bytes = [7; 32];
        bytes[31] = last;
        let secret = Secret::new(&bytes);
        hide(&secret);
        secret
    }

    /// How Finished and binders are compared.
    pub fn comparisons() {
        let known = [7; 32];
        for (last, expected) in [(7, true), (8, false)] {
            let same = secret(last).matches(black_box(&known));
            show(&same);
            assert_eq!(same, expected);
        }
        let shorter = secret(7).matches(black_box(&known[..31]));
        show(&shorter);
        assert!(!shorter);
    }

    /// A comparison that stops at the first difference: memcheck must tell.
    pub fn leak() {
        let (secret, known) = (secret(8), black_box([7; 32]));
        let same = secret.iter().zip(&known).all(|(a, b)| a == b);
        show(&same);
        assert!(!black_box(same));
    }

    struct Still;
    impl Clock for Still {
        fn now(&self) -> Instant {
            Instant::from_secs(1)
        }
    }

    /// A full and a resumed connection, both ends, with bytes both ways and early ones.
    pub fn connections() {
        let provider = Watched::default();
        let entropy = SeededEntropy::predictable(1);
        let key = PrivateKey::from_der(KEY).expect("a key");
        let certificates = [Certificate::new(&[P256], &key, &[])];
        let tickets = TicketKeys::<_, 2>::new(&provider, &Still, &entropy, Duration::from_secs(100));
        let sessions = SessionCache::new(&Still, 10);
        let mut server = ServerConfig::new(&provider, &certificates);
        server.tickets = Some(&tickets);
        server.early_data = EarlyData::OnRequest(100);
        let mut hash = RustCrypto.hash(Hash::Sha256);
        hash.update(subject_public_key_info(P256).expect("a certificate"));
        let pins = [*hash.current().first_chunk().expect("32 bytes")];
        let mut client = ClientConfig::new(&provider, PinnedKeys(&pins));
        client.sessions = Some(&sessions);
        client.early_data = true;
        for resumed in [false, true] {
            let buffers = || (vec![0; BUFFER], vec![0; 4096]);
            let (incoming, outgoing) = buffers();
            let mut one =
                Connection::client(&client, "p256.example", &entropy, incoming, outgoing).expect("a name");
            let (incoming, outgoing) = buffers();
            let mut other = Connection::server(&server, &entropy, incoming, outgoing);
            let early = *b"what nobody else may know yet";
            hide(&early);
            let len = if resumed { early.len() } else { 0 };
            assert_eq!(one.write_early(&early), Ok(len));
            for _ in 0..3 {
                to_server(&mut one, &mut other);
                to_client(&mut other, &mut one);
            }
            assert!(one.is_connected() && other.is_connected());
            assert_eq!((one.is_resumed(), other.is_resumed()), (resumed, resumed));
            assert_eq!((one.early_data_accepted(), other.early_data_accepted()), (resumed, resumed));
            show(other.plaintext());
            assert_eq!(other.plaintext(), &b"what nobody else may know yet"[..len]);
            other.consume(len);
            let sent = *b"what nobody else may know";
            hide(&sent);
            assert_eq!(one.write(&sent), Ok(sent.len()));
            to_server(&mut one, &mut other);
            assert_eq!(other.write(&sent), Ok(sent.len()));
            to_client(&mut other, &mut one);
            for received in [one.plaintext(), other.plaintext()] {
                show(received);
                assert_eq!(received, b"what nobody else may know");
            }
        }
    }

    fn to_server(from: &mut ClientEnd<'_>, to: &mut ServerEnd<'_>) {
        let bytes = from.output().to_vec();
        from.sent(bytes.len());
        to.space()[..bytes.len()].copy_from_slice(&bytes);
        to.received(bytes.len());
        let _ = to.process().expect("a client as it should be");
    }

    fn to_client(from: &mut ServerEnd<'_>, to: &mut ClientEnd<'_>) {
        let bytes = from.output().to_vec();
        from.sent(bytes.len());
        to.space()[..bytes.len()].copy_from_slice(&bytes);
        to.received(bytes.len());
        let _ = to.process().expect("a server as it should be");
    }
}
