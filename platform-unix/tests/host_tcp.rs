//! The contract of streams and listeners, with the standard library's blocking sockets as peers.
use airglow_device::{Clock, Endpoint, Listener, Read, Stream, Tcp, Timer, Write};
use airglow_platform_unix::{HostStream, HostTcp, Reactor};
use airglow_runtime::{Park, TaskSet, select, sleep, timeout, yield_now};
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

mod strict;
use strict::{LIMIT, finish};

/// Runs `test` with a reactor.
fn run<R>(test: impl AsyncFnOnce(&Reactor, &HostTcp) -> R) -> R {
    let reactor = Reactor::new().unwrap();
    let tcp = HostTcp::new(&reactor);
    finish(&reactor, test(&reactor, &tcp))
}

fn loopback() -> Endpoint {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()
}

/// A stream of ours and the standard library's at its other end.
async fn pair(tcp: &HostTcp) -> (HostStream, TcpStream) {
    let listener = tcp.listen(loopback()).await.unwrap();
    let peer = TcpStream::connect(listener.local().unwrap()).unwrap();
    peer.set_read_timeout(Some(LIMIT)).unwrap();
    (listener.accept().await.unwrap(), peer)
}

#[test]
fn a_connection_is_named_at_both_ends() {
    run(async |_, tcp| {
        let listener = tcp.listen(0).await.unwrap();
        let port = listener.local().unwrap().port();
        assert_ne!(port, 0);
        // A dual-stack listener shows an IPv4 peer as IPv4.
        let peer = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let stream = listener.accept().await.unwrap();
        assert_eq!(stream.peer(), Some(peer.local_addr().unwrap()));
        assert_eq!(stream.local(), Some(peer.peer_addr().unwrap()));
    });
}

#[test]
fn a_taken_port_is_refused() {
    run(async |_, tcp| {
        let first = tcp.listen(0).await.unwrap();
        let error = tcp.listen(first.local().unwrap().port()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        // Unless both ask to share it.
        let sharing = tcp.clone().with_reuse_port(true);
        let one = sharing.listen(0).await.unwrap();
        sharing.listen(one.local().unwrap().port()).await.unwrap();
    });
}

#[test]
fn connecting_and_being_refused() {
    run(async |_, tcp| {
        let peer = TcpListener::bind("[::1]:0").unwrap();
        let mut stream = tcp.connect(peer.local_addr().unwrap()).await.unwrap();
        let (mut other, from) = peer.accept().unwrap();
        assert_eq!(stream.local(), Some(from));
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        let mut buf = [0; 5];
        other.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"hello");

        let gone = peer.local_addr().unwrap();
        drop((peer, other));
        assert_eq!(tcp.connect(gone).await.err().unwrap().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn what_is_written_leaves_at_the_end_of_the_turn() {
    run(async |reactor, tcp| {
        let (mut stream, mut peer) = pair(tcp).await;
        stream.write_all(b"head ").await.unwrap();
        stream.write_static(&[b'b'; 4000]).await.unwrap();
        // Still held: nothing has reached the peer.
        peer.set_nonblocking(true).unwrap();
        assert_eq!(peer.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
        sleep(reactor, Duration::from_millis(20)).await;
        // Then both together, without a flush.
        let mut buf = [0; 8000];
        assert_eq!(peer.read(&mut buf).unwrap(), 4005);
        assert_eq!(&buf[..7], b"head bb");
    });
}

#[test]
fn bulk_in_both_directions_arrives_whole() {
    const SIZE: usize = 20_000_000;
    run(async |_, tcp| {
        let (mut stream, mut peer) = pair(tcp).await;
        let mut back = peer.try_clone().unwrap();
        let pattern =
            |from: usize, len: usize| (from..from + len).map(|i| (i * 7 / 3) as u8).collect::<Vec<u8>>();
        let sender = thread::spawn(move || {
            peer.write_all(&pattern(0, SIZE)).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
        });
        let receiver = thread::spawn(move || {
            let mut all = Vec::new();
            back.read_to_end(&mut all).unwrap();
            assert!(all == pattern(0, SIZE));
        });
        // An echo with awkward sizes; writes from copies and by reference mixed would change the bytes, so copies.
        let (mut buf, mut done) = (vec![0; 70_001], 0);
        loop {
            let len = stream.read(&mut buf).await.unwrap();
            if len == 0 {
                break;
            }
            assert!(buf[..len] == pattern(done, len));
            done += len;
            stream.write_all(&buf[..len]).await.unwrap();
        }
        assert_eq!(done, SIZE);
        stream.close().await.unwrap();
        drop(stream);
        // The rest leaves in the background, while the loop turns.
        while !(sender.is_finished() && receiver.is_finished()) {
            yield_now().await;
        }
        sender.join().unwrap();
        receiver.join().unwrap();
    });
}

#[test]
fn static_bytes_and_copies_keep_their_order_when_the_peer_is_slow() {
    static BODY: [u8; 3_000_000] = [b'x'; 3_000_000];
    run(async |_, tcp| {
        let (mut stream, mut peer) = pair(tcp).await;
        let reader = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all
        });
        for round in 0..3 {
            stream.write_all(&[b'0' + round; 100]).await.unwrap();
            let mut body = &BODY[..];
            while !body.is_empty() {
                let count = stream.write_static(body).await.unwrap();
                assert!(count > 0);
                body = &body[count..];
            }
            stream.write_all(&[b'A' + round; 20_000]).await.unwrap();
        }
        stream.close().await.unwrap();
        while !reader.is_finished() {
            yield_now().await;
        }
        let mut expected = Vec::new();
        for round in 0..3 {
            expected.extend([b'0' + round; 100]);
            expected.extend_from_slice(&BODY);
            expected.extend([b'A' + round; 20_000]);
        }
        assert!(reader.join().unwrap() == expected);
    });
}

#[test]
fn half_closed_streams_go_on_in_the_other_direction() {
    run(async |_, tcp| {
        let (mut stream, mut peer) = pair(tcp).await;
        peer.write_all(b"question").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut buf = [0; 100];
        let mut question = Vec::new();
        loop {
            match stream.read(&mut buf).await.unwrap() {
                0 => break,
                len => question.extend_from_slice(&buf[..len]),
            }
        }
        assert_eq!(question, b"question");
        // The end is said as often as one asks.
        assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        assert_eq!(stream.read_with(|bytes| (0, bytes.len())).await.unwrap(), 0);
        stream.write_all(b"answer").await.unwrap();
        stream.close().await.unwrap();
        stream.close().await.unwrap();
        assert_eq!(stream.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut answer = String::new();
        peer.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");

        // Ours first: the peer goes on.
        let (mut stream, mut peer) = pair(tcp).await;
        stream.close().await.unwrap();
        assert_eq!(peer.read(&mut buf).unwrap(), 0);
        peer.write_all(b"late").unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 4);
    });
}

#[test]
fn dropped_without_close_is_a_reset() {
    run(async |_, tcp| {
        let (mut stream, mut peer) = pair(tcp).await;
        stream.write_all(b"half an ans").await.unwrap();
        stream.flush().await.unwrap();
        drop(stream);
        // At the end of the turn at the latest.
        yield_now().await;
        let mut all = Vec::new();
        assert_eq!(peer.read_to_end(&mut all).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn dropped_after_close_delivers_although_the_peer_still_talks() {
    static BODY: [u8; 1_000_000] = [7; 1_000_000];
    run(async |_, tcp| {
        let (mut stream, mut peer) = pair(tcp).await;
        peer.write_all(&[1; 3000]).unwrap();
        stream.write_all(b"!").await.unwrap();
        let writer = peer.try_clone().unwrap();
        let reader = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            // Says more while the other end is gone already, then reads what that left.
            let mut writer = writer;
            for _ in 0..20 {
                writer.write_all(&[2; 1000]).unwrap();
                thread::sleep(Duration::from_millis(2));
            }
            let mut all = Vec::new();
            peer.read_to_end(&mut all).map(|_| all)
        });
        stream.write_static(&BODY[..100_000]).await.unwrap();
        stream.close().await.unwrap();
        // With 3,000 bytes never read.
        drop(stream);
        while !reader.is_finished() {
            yield_now().await;
        }
        let all = reader.join().unwrap().expect("no reset");
        assert_eq!(all.len(), 100_001);
    });
}

#[test]
fn lent_bytes_stay_until_they_are_used() {
    run(async |reactor, tcp| {
        let (mut stream, mut peer) = pair(tcp).await;
        peer.write_all(b"one two").unwrap();
        assert_eq!(stream.read_with(|b| (4, b.to_vec())).await.unwrap(), b"one two");
        assert_eq!(stream.read_with(|b| (0, b.to_vec())).await.unwrap(), b"two");
        // Nothing was used: wait for more.
        let more = timeout(reactor, Duration::from_millis(30), stream.read_with(|b| (0, b.to_vec()))).await;
        assert!(more.is_err());
        peer.write_all(b" three").unwrap();
        assert_eq!(stream.read_with(|b| (1, b.to_vec())).await.unwrap(), b"two three");
        let mut buf = [0; 3];
        assert_eq!(stream.read(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf, b"wo ");
        peer.write_all(b"!").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read_with(|b| (0, b.to_vec())).await.unwrap(), b"three");
        assert_eq!(stream.read_with(|b| (0, b.to_vec())).await.unwrap(), b"three!");
        // At the end the rest is lent unchanged, again and again, and when it is used up there is nothing.
        assert_eq!(stream.read_with(|b| (0, b.to_vec())).await.unwrap(), b"three!");
        assert_eq!(stream.read_with(|b| (6, b.to_vec())).await.unwrap(), b"three!");
        assert_eq!(stream.read_with(|b| (0, b.to_vec())).await.unwrap(), b"");
    });
}

#[test]
fn lent_bytes_are_bounded() {
    run(async |_, tcp| {
        let (mut stream, mut peer) = pair(tcp).await;
        let writer = thread::spawn(move || {
            // More than the buffer; ends when the other end is gone.
            let _ = peer.write_all(&vec![3; 10_000_000]);
        });
        let (mut seen, mut rounds) = (0, 0);
        loop {
            let len = stream.read_with(|b| (0, b.len())).await.unwrap();
            if len == seen {
                break;
            }
            (seen, rounds) = (len, rounds + 1);
            assert!(rounds < 100_000);
        }
        assert_eq!(seen, 64 * 1024);
        drop(stream);
        writer.join().unwrap();
    });
}

#[test]
fn a_dropped_read_has_taken_nothing() {
    run(async |reactor, tcp| {
        let (mut stream, mut peer) = pair(tcp).await;
        let mut buf = [0; 10];
        for round in 0..50u8 {
            assert!(timeout(reactor, Duration::from_micros(100), stream.read(&mut buf)).await.is_err());
            peer.write_all(&[round]).unwrap();
            // A read that is polled once and dropped either has the byte or leaves it.
            let mut got = None;
            {
                let mut read = pin!(stream.read(&mut buf));
                poll_fn(|cx| {
                    if let Poll::Ready(len) = read.as_mut().poll(cx) {
                        got = Some(len.unwrap());
                    }
                    Poll::Ready(())
                })
                .await;
            }
            let len = match got {
                Some(len) => len,
                None => stream.read(&mut buf).await.unwrap(),
            };
            assert_eq!(buf[..len], [round]);
        }
    });
}

/// A waker that only notes that it was called.
#[derive(Default)]
struct Note(AtomicBool);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_dropped_accept_loses_no_connection_and_strands_no_other() {
    let reactor = Reactor::new().unwrap();
    let tcp = HostTcp::new(&reactor);
    let listener = finish(&reactor, tcp.listen(loopback())).unwrap();
    let to = listener.local().unwrap();
    for _ in 0..20 {
        let (one, two) = (Arc::<Note>::default(), Arc::<Note>::default());
        let (one_waker, two_waker) = (Waker::from(one.clone()), Waker::from(two.clone()));
        let mut first = Box::pin(listener.accept());
        let mut second = Box::pin(listener.accept());
        assert!(first.as_mut().poll(&mut Context::from_waker(&one_waker)).is_pending());
        assert!(second.as_mut().poll(&mut Context::from_waker(&two_waker)).is_pending());
        let _peer = TcpStream::connect(to).unwrap();
        while !one.0.load(Ordering::SeqCst) {
            reactor.park();
        }
        // The edge woke the first alone; dropped before it can run, it passes that on.
        assert!(!two.0.load(Ordering::SeqCst));
        drop(first);
        assert!(two.0.load(Ordering::SeqCst));
        assert!(second.as_mut().poll(&mut Context::from_waker(&two_waker)).is_ready());
    }
}

#[test]
fn each_connection_goes_to_one_of_several_acceptors() {
    run(async |_, tcp| {
        let listener = tcp.listen(loopback()).await.unwrap();
        let to = listener.local().unwrap();
        let counts: [Cell<u32>; 8] = Default::default();
        let tasks = TaskSet::new(8);
        for count in &counts {
            let listener = &listener;
            let _ = tasks.spawn(async move {
                loop {
                    let mut stream = listener.accept().await.unwrap();
                    stream.write_all(b"x").await.unwrap();
                    stream.close().await.unwrap();
                    count.set(count.get() + 1);
                    yield_now().await;
                }
            });
        }
        let peers = thread::spawn(move || {
            for _ in 0..25 {
                let all: Vec<_> = (0..16).map(|_| TcpStream::connect(to).unwrap()).collect();
                for mut peer in all {
                    peer.set_read_timeout(Some(LIMIT)).unwrap();
                    let mut text = String::new();
                    peer.read_to_string(&mut text).unwrap();
                    assert_eq!(text, "x");
                }
            }
        });
        poll_fn(|cx| {
            let _ = tasks.poll_tasks(cx);
            if peers.is_finished() {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        peers.join().unwrap();
        assert_eq!(counts.iter().map(Cell::get).sum::<u32>(), 400);
        assert!(counts.iter().filter(|count| count.get() > 0).count() > 1, "{counts:?}");
    });
}

#[test]
fn a_peer_that_resets_fails_the_reader_and_the_writer() {
    run(async |_, tcp| {
        let (mut stream, peer) = pair(tcp).await;
        socket_reset(peer);
        assert_eq!(stream.read(&mut [0; 10]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);

        let (mut stream, peer) = pair(tcp).await;
        socket_reset(peer);
        let mut failed = None;
        for _ in 0..1000 {
            if let Err(error) = stream.write_all(&[0; 1000]).await {
                failed = Some(error.kind());
                break;
            }
            yield_now().await;
        }
        assert!(matches!(failed, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{failed:?}");
    });
}

fn socket_reset(peer: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
}

#[test]
fn timers_fire_in_order_and_not_early() {
    run(async |reactor, _| {
        let start = reactor.now();
        let order = Cell::new(0);
        let sleeper = async |millis: u64, place: u32| {
            sleep(reactor, Duration::from_millis(millis)).await;
            assert!(reactor.now().since(start) >= Duration::from_millis(millis));
            assert_eq!(order.replace(place), place - 1);
        };
        let tasks = TaskSet::new(3);
        let _ = tasks.spawn(sleeper(60, 3));
        let _ = tasks.spawn(sleeper(20, 1));
        let _ = tasks.spawn(sleeper(40, 2));
        poll_fn(|cx| tasks.poll_tasks(cx)).await;
        assert_eq!(order.get(), 3);
        assert!(reactor.now().since(start) < Duration::from_secs(2));
        // A time that has passed fires at once, through the waker.
        let passed = start;
        let mut asked = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut asked, true) {
                return Poll::Ready(());
            }
            reactor.wake_at(passed, cx.waker());
            Poll::Pending
        })
        .await;
    });
}

#[test]
fn sleeping_costs_no_processor_time() {
    run(async |reactor, tcp| {
        let listener = tcp.listen(loopback()).await.unwrap();
        let before = cpu();
        let _ = select(listener.accept(), sleep(reactor, Duration::from_millis(500))).await;
        let used = cpu() - before;
        assert!(used < Duration::from_millis(100), "{used:?}");
    });
}

/// Processor time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
