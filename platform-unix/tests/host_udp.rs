//! The contract of datagram sockets and responders, with the standard library's blocking sockets as peers.
use airglow_device::{Udp, UdpSocket as _};
use airglow_platform_unix::{HostUdp, Reactor};
use airglow_runtime::{Either, select, timeout, yield_now};
use std::{
    cell::Cell,
    collections::HashSet,
    convert::Infallible,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

mod strict;
use strict::{LIMIT, finish};

fn run<R>(test: impl AsyncFnOnce(&Reactor, &HostUdp) -> R) -> R {
    let reactor = Reactor::new().unwrap();
    let udp = HostUdp::new(&reactor);
    finish(&reactor, test(&reactor, &udp))
}

fn peer(addr: &str) -> UdpSocket {
    let peer = UdpSocket::bind(addr).unwrap();
    peer.set_read_timeout(Some(LIMIT)).unwrap();
    peer
}

/// Runs `respond` until `peers`, on a thread of their own that starts when the port is open, have ended.
async fn beside(
    respond: impl Future<Output = std::io::Result<Infallible>>,
    peers: impl FnOnce() + Send + 'static,
) {
    let peers = async {
        let peers = thread::spawn(peers);
        while !peers.is_finished() {
            yield_now().await;
        }
        peers.join().unwrap();
    };
    // The responder is polled first.
    assert!(matches!(select(respond, peers).await, Either::Right(())));
}

/// A free port for a responder, which cannot say which one it chose.
fn free_port() -> u16 {
    peer("[::]:0").local_addr().unwrap().port()
}

#[test]
fn datagrams_go_both_ways_over_both_versions_of_ip() {
    run(async |_, udp| {
        let socket = udp.bind(0).await.unwrap();
        let port = socket.local().port();
        let mut buf = [0; 100];
        for (addr, to) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")] {
            let peer = peer(addr);
            peer.send_to(b"question", (to, port)).unwrap();
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..len], from), (&b"question"[..], peer.local_addr().unwrap()));
            socket.send_to(b"answer", from).await.unwrap();
            let (len, from) = peer.recv_from(&mut buf).unwrap();
            assert_eq!((&buf[..len], from.port()), (&b"answer"[..], port));
        }
    });
}

#[test]
fn what_does_not_fit_is_cut_off_and_an_empty_one_is_one() {
    run(async |_, udp| {
        let socket = udp.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let peer = peer("127.0.0.1:0");
        for datagram in [&b"too long"[..], b"", b"fits"] {
            peer.send_to(datagram, socket.local()).unwrap();
        }
        let mut buf = [0; 4];
        for expected in [&b"too "[..], b"", b"fits"] {
            let (len, _) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], expected);
        }
    });
}

#[test]
fn a_taken_port_is_refused_and_a_shared_one_is_not() {
    run(async |_, udp| {
        let first = udp.bind(0).await.unwrap();
        let port = first.local().port();
        assert_eq!(udp.bind(port).await.err().unwrap().kind(), ErrorKind::AddrInUse);
        let sharing = udp.clone().with_reuse_port(true);
        let one = sharing.bind(0).await.unwrap();
        sharing.bind(one.local().port()).await.unwrap();
    });
}

#[test]
fn a_peer_that_has_gone_does_not_break_the_socket() {
    run(async |reactor, udp| {
        let socket = udp.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let gone = peer("127.0.0.1:0").local_addr().unwrap();
        for _ in 0..3 {
            // ICMP says that nobody listens there.
            let _ = socket.send_to(b"hello?", gone).await;
        }
        let mut buf = [0; 10];
        assert!(timeout(reactor, Duration::from_millis(30), socket.recv_from(&mut buf)).await.is_err());
        let peer = peer("127.0.0.1:0");
        peer.send_to(b"here", socket.local()).unwrap();
        assert_eq!(socket.recv_from(&mut buf).await.unwrap().0, 4);
    });
}

#[test]
fn a_dropped_receive_loses_nothing_and_strands_no_other() {
    run(async |reactor, udp| {
        let socket = udp.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let peer = peer("127.0.0.1:0");
        let (mut one, mut two) = ([0; 10], [0; 10]);
        for round in 0..50u8 {
            // The first waits, is woken by the edge, and gives up before it runs.
            let given_up = timeout(reactor, Duration::ZERO, socket.recv_from(&mut one));
            let second = async {
                let (len, _) = socket.recv_from(&mut two).await.unwrap();
                two[..len].to_vec()
            };
            peer.send_to(&[round], socket.local()).unwrap();
            let first = select(given_up, async {
                yield_now().await;
                yield_now().await;
            })
            .await;
            let got = match first {
                Either::Left(Ok(Ok((len, _)))) => one[..len].to_vec(),
                _ => second.await,
            };
            assert_eq!(got, [round]);
        }
    });
}

#[test]
fn a_responder_answers_every_question_in_a_flood_of_many_peers() {
    const PEERS: usize = 20;
    const QUESTIONS: usize = 500;
    run(async |_, udp| {
        let port = free_port();
        let asked = Cell::new(0);
        let respond = udp.respond(port, |from, question, reply| {
            asked.set(asked.get() + 1);
            assert!(from.ip().is_loopback() && reply.len() >= 1232);
            if question == b"silence" {
                return None;
            }
            reply[..question.len()].copy_from_slice(question);
            reply[question.len()..question.len() + 2].copy_from_slice(b"ok");
            Some(question.len() + 2)
        });
        let peers = move || {
            let all: Vec<_> = (0..PEERS)
                .map(|number| {
                    thread::spawn(move || {
                        let (addr, to) = [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")][number % 2];
                        let peer = peer(addr);
                        peer.connect((to, port)).unwrap();
                        let mut answers = HashSet::new();
                        let mut buf = [0; 100];
                        for round in 0..QUESTIONS / 10 {
                            peer.send(b"silence").unwrap();
                            for question in 0..10 {
                                peer.send(format!("{number} {round} {question}").as_bytes()).unwrap();
                            }
                            for _ in 0..10 {
                                let len = peer.recv(&mut buf).unwrap();
                                answers.insert(buf[..len].to_vec());
                            }
                        }
                        assert!(
                            answers
                                .iter()
                                .all(|a| a.ends_with(b"ok") && a.starts_with(number.to_string().as_bytes()))
                        );
                        assert_eq!(answers.len(), QUESTIONS);
                    })
                })
                .collect();
            all.into_iter().for_each(|thread| thread.join().unwrap());
        };
        beside(respond, peers).await;
        assert_eq!(asked.get(), PEERS * (QUESTIONS + QUESTIONS / 10));
    });
}

/// Replies of one length to one peer may leave as one.
#[test]
fn replies_in_one_batch_come_one_by_one_whatever_their_lengths() {
    const LENGTHS: [usize; 9] = [0, 1, 1, 40, 40, 40, 700, 1232, 1232];
    const QUESTIONS: usize = 90;
    run(async |_, udp| {
        let port = free_port();
        let respond = udp.respond(port, |_, question, reply| {
            let (number, to) = (question[0] as usize * 256 + question[1] as usize, question[2]);
            let len = LENGTHS[number % LENGTHS.len()];
            reply[..len].fill(to);
            if len > 3 {
                reply[..2].copy_from_slice(&question[..2]);
            }
            Some(len)
        });
        let asking = move || {
            let peers = [("127.0.0.1:0", "127.0.0.1"), ("127.0.0.1:0", "127.0.0.2"), ("[::1]:0", "::1")].map(
                |(own, to)| {
                    let peer = peer(own);
                    peer.connect((to, port)).unwrap();
                    peer
                },
            );
            for number in 0..QUESTIONS as u16 {
                for (to, peer) in peers.iter().enumerate() {
                    let [high, low] = number.to_be_bytes();
                    peer.send(&[high, low, to as u8]).unwrap();
                }
            }
            for (to, peer) in peers.iter().enumerate() {
                let (mut numbers, mut lengths) = (HashSet::new(), [0; 1233]);
                let mut buf = [0; 3000];
                for _ in 0..QUESTIONS {
                    let len = peer.recv(&mut buf).unwrap();
                    lengths[len] += 1;
                    let (number, rest) = buf[..len].split_at(if len > 3 { 2 } else { 0 });
                    assert!(rest.iter().all(|byte| usize::from(*byte) == to));
                    numbers.insert(number.to_vec());
                }
                for (len, count) in lengths.into_iter().enumerate() {
                    let kinds = LENGTHS.iter().filter(|known| **known == len).count();
                    assert_eq!(count, kinds * QUESTIONS / LENGTHS.len(), "replies of {len} bytes");
                }
                assert_eq!(numbers.len(), 1 + QUESTIONS * 6 / LENGTHS.len());
            }
        };
        beside(respond, asking).await;
    });
}

#[test]
fn a_responder_answers_from_the_address_it_was_asked_at() {
    run(async |_, udp| {
        let port = free_port();
        let respond = udp.respond(port, |_, question, reply| {
            reply[..question.len()].copy_from_slice(question);
            Some(question.len())
        });
        let asking = move || {
            // Linux answers on the whole of 127/8; a reply from 127.0.0.1 would not come from who was asked.
            for to in ["127.0.0.1", "127.0.0.9", "127.1.2.3"] {
                let to: IpAddr = to.parse().unwrap();
                let peer = peer("127.0.0.1:0");
                peer.send_to(b"?", (to, port)).unwrap();
                let (_, from) = peer.recv_from(&mut [0; 10]).unwrap();
                assert_eq!(from, (to, port).into());
            }
        };
        beside(respond, asking).await;
    });
}

#[test]
fn a_responder_survives_peers_that_go_and_replies_that_are_too_long() {
    run(async |_, udp| {
        let port = free_port();
        // Says that its reply is longer than the room it was given.
        let respond = udp.respond(port, |_, _, reply| {
            reply.fill(b'x');
            Some(1_000_000)
        });
        let asking = move || {
            for _ in 0..100 {
                // Gone before the answer comes.
                peer("127.0.0.1:0").send_to(b"?", ("127.0.0.1", port)).unwrap();
            }
            let peer = peer("127.0.0.1:0");
            peer.send_to(b"?", ("127.0.0.1", port)).unwrap();
            let mut buf = [0; 3000];
            let (len, _) = peer.recv_from(&mut buf).unwrap();
            assert!((1232..=1500).contains(&len) && buf[..len].iter().all(|byte| *byte == b'x'));
        };
        beside(respond, asking).await;
    });
}
