//! What is left in the buffers of what was said in confidence.
use super::*;
use airglow_device::Entropy;
use std::collections::HashSet;

/// Whether eight bytes in a row of `said` lie in `memory`.
fn holds(memory: &[u8], said: &[u8]) -> bool {
    let lies: HashSet<_> = memory.windows(8).collect();
    said.windows(8).any(|run| lies.contains(run))
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut noise = vec![0; len];
    SeededEntropy::predictable(seed).fill(&mut noise);
    noise
}

#[test]
fn handshake_messages_are_gone_when_they_were_used() {
    with_pair(&[], "p256.example", BUFFER, |mut client, mut server| {
        assert!(carry!(client, server, 99_999).is_ok());
        // Under protection from here on: the certificate lies nowhere else.
        assert!(!holds(server.outgoing.memory(), P256));
        for step in [99_999, 7] {
            assert!(carry!(server, client, step).is_ok());
            assert!(carry!(client, server, step).is_ok());
        }
        assert!(client.is_connected() && server.is_connected());
        assert!(!holds(client.incoming.growing(), P256));
    });
}

#[test]
fn data_are_gone_when_they_were_consumed() {
    // With 1,000 bytes records move to the front often, with all of them hardly ever.
    for (buffer, step) in [(1_000, 99_999), (1_000, 33), (BUFFER, 99_999), (BUFFER, 700)] {
        with_pair(&[], "p256.example", buffer, |mut client, mut server| {
            connect!(client, server, 99_999);
            let mut used = Vec::new();
            for round in 1..60_u64 {
                let said = noise(100 + round, round as usize * 37 % 600 + 16);
                let count = client.write(&said).unwrap();
                let _ = carry!(client, server, step).unwrap();
                // Parts of what is there, so that the rest is moved with what comes behind it.
                let part = server.plaintext().len() * (round as usize % 4) / 3;
                let part = part.min(server.plaintext().len());
                used.extend_from_slice(&server.plaintext()[..part]);
                server.consume(part);
                let left = server.plaintext().to_vec();
                let memory = server.incoming.growing();
                assert!(holds(memory, &left) || left.len() < 8, "what is left is there");
                // A run of eight may begin in what was used and end in what is left.
                let gone = used.len().saturating_sub(8);
                assert!(!holds(memory, &used[gone.saturating_sub(5_000)..gone]), "{buffer} {step} {round}");
                assert!(count > 0 || !left.is_empty());
            }
            assert!(used.len() > 5_000);
        });
    }
}

#[test]
fn everything_is_gone_with_the_connection() {
    let key = key("p256");
    let certificates = [Certificate::new(&[P256], &key, &[])];
    let config = ServerConfig::new(CLASSIC, &certificates);
    // Other bytes than those that the ends draw.
    let said = noise(77, 500);
    for failed in [false, true] {
        let (mut incoming, mut outgoing) = ([0; BUFFER], [0; 3_000]);
        with_pair(&[], "p256.example", BUFFER, |mut client, _| {
            let entropy = SeededEntropy::predictable(1);
            let buffers = (&mut incoming[..], &mut outgoing[..]);
            let mut server = Connection::server(&config, &entropy, buffers.0, buffers.1);
            connect!(client, server, 99_999);
            for _ in 0..3 {
                assert_eq!(client.write(&said), Ok(500));
                assert_eq!(carry!(client, server, 99_999), Ok(Event::Idle));
            }
            if failed {
                // An opened record that is refused.
                client.outgoing.handshake(|out| Ok(out.bytes(&said)?)).unwrap();
                assert!(carry!(client, server, 99_999).is_err());
            }
            assert!(holds(server.plaintext(), &said));
            assert_eq!(server.write(&said).is_ok(), !failed);
        });
        assert!(incoming.iter().any(|byte| *byte != 0) && outgoing.iter().any(|byte| *byte != 0));
        assert_eq!((holds(&incoming, &said), holds(&outgoing, &said)), (false, false), "{failed}");
    }
}
