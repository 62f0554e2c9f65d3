//! Channels as streams: everything arrives, in order, whatever the sizes; the end is seen; nonsense is survived.
#![cfg(not(loom))]
use airglow_device::{Read, Stream, Write};
use airglow_runtime::{ThreadPark, block_on, join};
use airglow_vchan::{Error, memory::Shared};
use std::sync::atomic::Ordering;

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn both_directions_at_once_for_all_ring_sizes() {
    for (left, right) in [(1, 1), (2048, 1024), (2048, 2048), (8192, 100), (65_536, 8192)] {
        let shared = Shared::new(left, right);
        let (mut server, mut client) = shared.ends();
        let (up, down) = (content(100_000), content(70_001));
        let (up, down) = (&up, &down);
        let echo = async move {
            let mut got = vec![0; up.len()];
            server.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, up);
            server.write_all(down).await.unwrap();
            server.close().await.unwrap();
        };
        let ask = async move {
            client.write_all(up).await.unwrap();
            let mut got: Vec<u8> = Vec::new();
            let mut buffer = [0; 777];
            loop {
                match client.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => got.extend(&buffer[..count]),
                }
            }
            assert_eq!(&got, down);
            assert_eq!(client.write(b"x").await, Err(Error::PeerClosed));
        };
        block_on(&ThreadPark::new(), join(echo, ask));
    }
}

#[test]
fn what_a_reader_leaves_is_lent_again() {
    let shared = Shared::new(1024, 1024);
    let (mut server, mut client) = shared.ends();
    block_on(&ThreadPark::new(), async {
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let seen = server.read_with(|bytes| (4, bytes.to_vec())).await.unwrap();
        assert_eq!(seen, b"GET / HTTP/1.1\r\n");
        // Used none: the next call waits for more.
        assert_eq!(server.read_with(|bytes| (0, bytes.len())).await.unwrap(), 12);
        client.write_all(b"\r\n").await.unwrap();
        let mut rest = [0; 14];
        let (a, b) = join(server.read_with(|bytes| (2, bytes.len())), async {}).await;
        assert_eq!((a.unwrap(), b), (14, ()));
        server.read_exact(&mut rest[..12]).await.unwrap();
        assert_eq!(&rest[..12], b"HTTP/1.1\r\n\r\n");
        client.close().await.unwrap();
        assert_eq!(server.read_with(|bytes| (0, bytes.len())).await.unwrap(), 0);
        assert_eq!(server.read(&mut rest).await, Ok(0));
    });
}

#[test]
fn an_end_that_writes_nonsense_is_left() {
    for attack in 0..4u32 {
        let shared = Shared::new(1024, 2048);
        let (mut server, mut client) = shared.ends();
        client.try_write(b"hello").unwrap();
        let header = &shared.interface().header;
        match attack {
            0 => header.left.prod.store(1025, Ordering::SeqCst),
            1 => header.left.prod.store(u32::MAX, Ordering::SeqCst),
            2 => header.right.cons.store(1, Ordering::SeqCst),
            _ => header.right.cons.store(0x8000_0000, Ordering::SeqCst),
        }
        let mut buffer = [0; 4096];
        let (read, write) = (server.try_read(&mut buffer), server.try_write(&buffer));
        assert!(
            read == Err(Error::BrokenRing) || write == Err(Error::BrokenRing),
            "{attack}: {read:?} {write:?}"
        );
        // And it stays so, even when the indices are mended.
        header.left.prod.store(5, Ordering::SeqCst);
        header.right.cons.store(0, Ordering::SeqCst);
        assert_eq!(server.try_read(&mut buffer), Err(Error::BrokenRing));
    }
}

#[test]
fn our_own_indices_are_not_the_peers_to_change() {
    let shared = Shared::new(1024, 2048);
    let (mut server, mut client) = shared.ends();
    client.try_write(b"one").unwrap();
    shared.interface().header.left.cons.store(77, Ordering::SeqCst);
    let mut buffer = [0; 8];
    assert_eq!(server.try_read(&mut buffer), Ok(3));
    assert_eq!(&buffer[..3], b"one");
    assert_eq!(shared.interface().header.left.cons.load(Ordering::SeqCst), 3);
}

#[test]
fn a_dropped_end_is_a_closed_one_and_its_last_words_are_heard() {
    let shared = Shared::new(1024, 1024);
    let (mut server, mut client) = shared.ends();
    client.try_write(b"bye").unwrap();
    drop(client);
    let mut buffer = [0; 8];
    assert_eq!(server.try_read(&mut buffer), Ok(3));
    assert_eq!(server.try_read(&mut buffer), Err(Error::PeerClosed));
    assert_eq!(server.try_write(b"x"), Err(Error::PeerClosed));
}

#[test]
fn what_has_come_is_read_after_this_end_was_closed() {
    let shared = Shared::new(1024, 1024);
    let (mut server, mut client) = shared.ends();
    server.try_write(b"answer").unwrap();
    client.shut();
    let mut buffer = [0; 8];
    assert_eq!(client.try_read(&mut buffer), Ok(6));
    assert_eq!(client.try_read(&mut buffer), Err(Error::PeerClosed));
    assert_eq!(client.try_write(b"x"), Err(Error::Closed));
    assert_eq!(server.try_write(b"x"), Err(Error::PeerClosed));
}

#[test]
fn errors_are_small() {
    assert_eq!(size_of::<Error>(), 1);
}
