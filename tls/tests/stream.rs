//! The stream and the acceptor, over pipes in memory.
use airglow_device::{Error as _, ErrorKind, ErrorType, Listener, Read, SeededEntropy, Stream, Write};
use airglow_runtime::{ThreadPark, block_on, join};
use airglow_tls::{
    Acceptor, Alert, BUFFER, Buffer, Certificate, Client, ClientAuthentication, ClientConfig, Connection,
    EarlyData, Error, FixedAcceptor, Limits, PinnedKeys, ServerConfig, SessionCache, Sessions, StreamError,
    TicketKeys, Tickets, TlsStream,
    crypto::{PrivateKey, RustCrypto, subject_public_key_info},
};
use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
    time::Duration,
};
use std::{collections::VecDeque, rc::Rc, vec, vec::Vec};

#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    closed: bool,
    aborted: bool,
    wakers: Vec<Waker>,
}

const CAPACITY: usize = 700;

/// One end of a transport whose directions hold 700 bytes each.
struct End {
    incoming: Rc<RefCell<Pipe>>,
    outgoing: Rc<RefCell<Pipe>>,
}

fn duplex() -> (End, End) {
    let (a, b) = (Rc::<RefCell<Pipe>>::default(), Rc::<RefCell<Pipe>>::default());
    (End { incoming: a.clone(), outgoing: b.clone() }, End { incoming: b, outgoing: a })
}

impl Pipe {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}
impl ErrorType for End {
    type Error = ErrorKind;
}
impl Read for End {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|cx| {
            let mut pipe = self.incoming.borrow_mut();
            let count = pipe.bytes.len().min(buf.len());
            if pipe.aborted {
                return Poll::Ready(Err(ErrorKind::ConnectionReset));
            }
            if count == 0 && !pipe.closed {
                pipe.wakers.push(cx.waker().clone());
                return Poll::Pending;
            }
            buf.iter_mut().zip(pipe.bytes.drain(..count)).for_each(|(place, byte)| *place = byte);
            pipe.wake();
            Poll::Ready(Ok(count))
        })
        .await
    }
}
impl Write for End {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        poll_fn(|cx| {
            let mut pipe = self.outgoing.borrow_mut();
            let count = (CAPACITY - pipe.bytes.len()).min(bytes.len());
            if pipe.closed || pipe.aborted {
                return Poll::Ready(Err(ErrorKind::BrokenPipe));
            }
            if count == 0 {
                pipe.wakers.push(cx.waker().clone());
                return Poll::Pending;
            }
            pipe.bytes.extend(&bytes[..count]);
            pipe.wake();
            Poll::Ready(Ok(count))
        })
        .await
    }
    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
impl Stream for End {
    async fn read_with<R>(&mut self, _: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, ErrorKind> {
        Err(ErrorKind::Unsupported)
    }
    async fn close(&mut self) -> Result<(), ErrorKind> {
        let mut pipe = self.outgoing.borrow_mut();
        pipe.closed = true;
        pipe.wake();
        Ok(())
    }
}
impl Drop for End {
    fn drop(&mut self) {
        let mut pipe = self.outgoing.borrow_mut();
        pipe.aborted = !pipe.closed;
        pipe.wake();
    }
}

struct One(Cell<Option<End>>);
impl Listener for One {
    type Error = ErrorKind;
    type Stream<'a> = End;
    async fn accept(&self) -> Result<End, ErrorKind> {
        self.0.take().ok_or(ErrorKind::Other)
    }
}

const P256: &[u8] = include_bytes!("keys/p256.der");

type ClientStream<'c> =
    TlsStream<'c, End, Client<'c, RustCrypto, PinnedKeys<'c>>, RustCrypto, Vec<u8>, ThreadPark>;
type AcceptedStream<'c> = <Acceptor<'c, One, RustCrypto, ThreadPark, SeededEntropy> as Listener>::Stream<'c>;

/// Runs a client and a server of one connection side by side, through an [`Acceptor`].
fn run(client: impl AsyncFnOnce(ClientStream<'_>), server: impl AsyncFnOnce(AcceptedStream<'_>)) {
    run_again(None, &ThreadPark::new(), client, server);
}

/// What both sides remember of earlier connections, and what the server does with early data.
type Known<'k> = (&'k dyn Tickets, &'k dyn Sessions, EarlyData);

fn run_again(
    known: Option<Known<'_>>,
    park: &ThreadPark,
    client: impl AsyncFnOnce(ClientStream<'_>),
    server: impl AsyncFnOnce(AcceptedStream<'_>),
) {
    let key = PrivateKey::from_der(include_bytes!("keys/p256.pkcs8.der")).unwrap();
    let certificates = [Certificate::new(&[P256], &key, &["localhost"])];
    let mut config = ServerConfig::new(RustCrypto, &certificates);
    let pins = [pin()];
    let mut pinned = ClientConfig::new(RustCrypto, PinnedKeys(&pins));
    if let Some((tickets, sessions, early_data)) = known {
        (config.tickets, config.early_data) = (Some(tickets), early_data);
        (pinned.sessions, pinned.early_data) = (Some(sessions), true);
    }
    let entropy = SeededEntropy::predictable(3);
    let (ours, theirs) = duplex();
    let limits = Limits { handshake: Duration::from_millis(300), ..Limits::default() };
    let listener = One(Cell::new(Some(theirs)));
    let acceptor = Acceptor { listener, config: &config, timer: park, entropy: &entropy, limits };
    let tls = Connection::client(&pinned, "localhost", &entropy, vec![0; BUFFER], vec![0; 4096]).unwrap();
    let stream = TlsStream::new(ours, tls, park, limits.handshake);
    block_on(park, async {
        let accepted = acceptor.accept().await.unwrap();
        join(client(stream), server(accepted)).await;
    });
}

fn pin() -> [u8; 32] {
    use airglow_tls::crypto::{Hash, Provider, Transcript};
    let mut hash = RustCrypto.hash(Hash::Sha256);
    hash.update(subject_public_key_info(P256).unwrap());
    *hash.current().first_chunk().unwrap()
}

#[test]
fn a_hundred_kilobytes_each_way_and_an_orderly_end() {
    let long: Vec<u8> = (0..100_000_u32).map(|index| (index * 7) as u8).collect();
    let send_and_check = async |mut stream: ClientStream<'_>| {
        stream.write_all(&long).await.unwrap();
        stream.close().await.unwrap();
        assert_eq!(stream.write(b"x").await, Err(StreamError::Tls(Error::Closed)));
        let mut back = Vec::new();
        loop {
            let mut buf = [0; 999];
            match stream.read(&mut buf).await.unwrap() {
                0 => break,
                count => back.extend_from_slice(&buf[..count]),
            }
        }
        assert!(back == long);
        assert_eq!(stream.read(&mut [0; 9]).await, Ok(0));
    };
    run(send_and_check, async |mut stream| {
        let mut all = Vec::new();
        loop {
            let count = stream.read_with(|bytes| {
                all.extend_from_slice(bytes);
                (bytes.len(), bytes.len())
            });
            if count.await.unwrap() == 0 {
                break;
            }
        }
        assert!(all == long);
        stream.write_all(&all).await.unwrap();
        stream.close().await.unwrap();
    });
}

#[test]
fn bytes_that_are_not_used_stay_and_more_join_them() {
    run(
        async |mut stream| {
            for part in [b"one", b"two"] {
                stream.write_all(part).await.unwrap();
                stream.flush().await.unwrap();
                let mut answer = [0; 1];
                stream.read_exact(&mut answer).await.unwrap();
            }
            stream.close().await.unwrap();
        },
        async |mut stream| {
            assert_eq!(stream.read_with(|bytes| (0, bytes.to_vec())).await.unwrap(), b"one");
            stream.write_all(b"1").await.unwrap();
            assert_eq!(stream.read_with(|bytes| (2, bytes.to_vec())).await.unwrap(), b"onetwo");
            assert_eq!(stream.read_with(|bytes| (4, bytes.to_vec())).await.unwrap(), b"etwo");
            stream.write_all(b"2").await.unwrap();
            assert_eq!(stream.read_with(|bytes| (0, bytes.to_vec())).await.unwrap(), b"");
            stream.close().await.unwrap();
        },
    );
}

#[test]
fn dropped_without_close_is_aborted() {
    run(
        async |mut stream| stream.write_all(b"half").await.unwrap(),
        async |mut stream| {
            let mut buf = [0; 100];
            let mut outcome = stream.read(&mut buf).await;
            while let Ok(1..) = outcome {
                outcome = stream.read(&mut buf).await;
            }
            assert_eq!(outcome, Err(StreamError::Transport(ErrorKind::ConnectionReset)));
        },
    );
}

#[test]
fn an_end_without_close_notify_is_no_end() {
    run(
        async |mut stream| {
            stream.write_all(b"half").await.unwrap();
            stream.flush().await.unwrap();
            stream.read_exact(&mut [0; 2]).await.unwrap();
            // What a man in the middle can do: end the transport in both directions.
            let error = stream.read(&mut [0; 2]).await.unwrap_err();
            assert_eq!(error, StreamError::Tls(Error::Truncated));
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
            assert_eq!(stream.read(&mut [0; 2]).await.unwrap_err(), error);
        },
        async |mut stream| {
            let mut buf = [0; 4];
            stream.read_exact(&mut buf).await.unwrap();
            stream.write_all(b"ok").await.unwrap();
            stream.flush().await.unwrap();
            stream.transport_mut().close().await.unwrap();
        },
    );
}

#[test]
fn a_silent_client_has_a_limit() {
    run(
        async |stream| {
            core::mem::forget(stream);
        },
        async |mut stream| {
            assert_eq!(stream.read(&mut [0; 9]).await, Err(StreamError::Tls(Error::TimedOut)));
        },
    );
}

#[test]
fn a_client_that_speaks_no_tls_gets_an_alert_and_an_end() {
    let key = PrivateKey::from_der(include_bytes!("keys/p256.pkcs8.der")).unwrap();
    let certificates = [Certificate::new(&[P256], &key, &[])];
    let config = ServerConfig::new(RustCrypto, &certificates);
    let (entropy, park) = (SeededEntropy::predictable(3), ThreadPark::new());
    let (mut ours, theirs) = duplex();
    let limits = Limits::default();
    let listener = One(Cell::new(Some(theirs)));
    let acceptor = Acceptor { listener, config: &config, timer: &park, entropy: &entropy, limits };
    block_on(&park, async {
        let mut stream = acceptor.accept().await.unwrap();
        ours.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let error = stream.read(&mut [0; 9]).await;
        assert_eq!(error, Err(StreamError::Tls(Error::Sent(Alert::UNEXPECTED_MESSAGE))));
        drop(stream);
        let mut alert = [0; 10];
        assert_eq!(ours.read(&mut alert).await, Ok(7));
        assert_eq!(alert[..7], [21, 3, 3, 0, 2, 2, 10]);
        assert_eq!(ours.read(&mut alert).await, Ok(0));
    });
}

#[test]
fn arrays_of_two_and_a_half_kilobytes_serve_who_heeds_the_record_size_limit() {
    let key = PrivateKey::from_der(include_bytes!("keys/p256.pkcs8.der")).unwrap();
    let certificates = [Certificate::new(&[P256], &key, &["localhost"])];
    let config = ServerConfig::new(RustCrypto, &certificates);
    let pins = [pin()];
    let pinned = ClientConfig::new(RustCrypto, PinnedKeys(&pins));
    let (entropy, park) = (SeededEntropy::predictable(3), ThreadPark::new());
    let (ours, theirs) = duplex();
    let limit = Duration::from_secs(5);
    let listener = One(Cell::new(Some(theirs)));
    let acceptor = FixedAcceptor::<_, _, _, _, 2_560> {
        listener,
        config: &config,
        timer: &park,
        entropy: &entropy,
        limit,
    };
    let tls = Connection::client(&pinned, "localhost", &entropy, vec![0; BUFFER], vec![0; 4096]).unwrap();
    let mut client = TlsStream::new(ours, tls, &park, limit);
    block_on(&park, async {
        let mut server = acceptor.accept().await.unwrap();
        let asks = async {
            client.write_all(&[7; 10_000]).await.unwrap();
            client.flush().await.unwrap();
            let mut back = [0; 10_000];
            client.read_exact(&mut back).await.unwrap();
            assert_eq!(back, [7; 10_000]);
        };
        let answers = async {
            let mut all = [0; 10_000];
            server.read_exact(&mut all).await.unwrap();
            server.write_all(&all).await.unwrap();
            server.flush().await.unwrap();
        };
        join(asks, answers).await;
    });
}

/// Memory that says how much it is.
struct Counted(Vec<u8>, Rc<Cell<usize>>);
impl Counted {
    fn new(len: usize, total: &Rc<Cell<usize>>) -> Self {
        total.set(total.get() + len);
        Self(vec![0; len], total.clone())
    }
    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        let before = self.0.capacity();
        change(&mut self.0);
        self.1.set(self.1.get() + self.0.capacity() - before);
    }
}
impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
impl AsMut<[u8]> for Counted {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
impl Buffer for Counted {
    fn shrink(&mut self, len: usize) {
        self.change(|bytes| bytes.shrink(len));
    }
    fn grow(&mut self, len: usize) {
        self.change(|bytes| bytes.grow(len));
    }
}

#[test]
fn a_stream_that_waits_gives_its_memory_back() {
    let key = PrivateKey::from_der(include_bytes!("keys/p256.pkcs8.der")).unwrap();
    let certificates = [Certificate::new(&[P256], &key, &["localhost"])];
    let config = ServerConfig::new(RustCrypto, &certificates);
    let pins = [pin()];
    let pinned = ClientConfig::new(RustCrypto, PinnedKeys(&pins));
    let (entropy, park) = (SeededEntropy::predictable(3), ThreadPark::new());
    let (ours, theirs) = duplex();
    let total = Rc::new(Cell::new(0));
    let (incoming, outgoing) = (Counted::new(BUFFER, &total), Counted::new(4_096, &total));
    let tls = Connection::server(&config, &entropy, incoming, outgoing);
    let limit = Duration::from_secs(5);
    let mut server = TlsStream::new(theirs, tls, &park, limit);
    let tls = Connection::client(&pinned, "localhost", &entropy, vec![0; BUFFER], vec![0; 20_000]).unwrap();
    let mut client = TlsStream::new(ours, tls, &park, limit);
    let whole = BUFFER + 4_096;
    let long = vec![7; 16_000];
    block_on(&park, async {
        join(
            async {
                let mut answer = vec![0; long.len()];
                for _ in 0..3 {
                    client.write_all(&long).await.unwrap();
                    client.flush().await.unwrap();
                    client.read_exact(&mut answer).await.unwrap();
                    assert!(answer == long);
                    // The server has nothing to do now but to wait.
                    for _ in 0..5 {
                        airglow_runtime::yield_now().await;
                    }
                    assert!(total.get() <= 512, "{}", total.get());
                }
                client.close().await.unwrap();
            },
            async {
                let mut bytes = vec![0; long.len()];
                while server.read_exact(&mut bytes).await.is_ok() {
                    assert_eq!(total.get(), whole);
                    server.write_all(&bytes).await.unwrap();
                    server.flush().await.unwrap();
                }
                server.close().await.unwrap();
            },
        )
        .await
    });
}

#[test]
fn a_client_is_asked_who_it_is_when_that_matters() {
    let key = PrivateKey::from_der(include_bytes!("keys/p256.pkcs8.der")).unwrap();
    let certificates = [Certificate::new(&[P256], &key, &["localhost"])];
    let pins = [pin()];
    let verifier = PinnedKeys(&pins);
    let asks = ClientAuthentication { verifier: &verifier, required: true };
    let config =
        ServerConfig { post_handshake_clients: Some(asks), ..ServerConfig::new(RustCrypto, &certificates) };
    for willing in [true, false] {
        let pinned = ClientConfig {
            post_handshake_auth: willing,
            certificate: Some(certificates[0]),
            ..ClientConfig::new(RustCrypto, PinnedKeys(&pins))
        };
        let (entropy, park) = (SeededEntropy::predictable(3), ThreadPark::new());
        let (ours, theirs) = duplex();
        let limit = Duration::from_secs(5);
        let tls = Connection::client(&pinned, "localhost", &entropy, vec![0; BUFFER], vec![0; 4096]).unwrap();
        let mut client = TlsStream::new(ours, tls, &park, limit);
        let tls = Connection::server(&config, &entropy, vec![0; BUFFER], vec![0; 4096]);
        let mut server = TlsStream::new(theirs, tls, &park, limit);
        block_on(&park, async {
            let shows = async {
                client.write_all(b"secret?").await.unwrap();
                let mut answer = [0; 6];
                client.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"secret");
                client
            };
            let asks = async {
                let mut question = [0; 6];
                server.read_exact(&mut question).await.unwrap();
                let peer = server.request_certificate(Duration::from_secs(5)).await;
                assert_eq!(peer, Ok(Some(pin()).filter(|_| willing)));
                // What had come stays.
                server.read_exact(&mut question[..1]).await.unwrap();
                assert_eq!(question[0], b'?');
                server.write_all(b"secret").await.unwrap();
                server
            };
            let (client, mut server) = join(shows, asks).await;
            // One that does not even read.
            let peer = server.request_certificate(Duration::from_millis(20)).await;
            let late = Err(StreamError::Tls(Error::TimedOut));
            assert_eq!(peer, if willing { late } else { Ok(None) });
            drop(client);
        });
    }
}

#[test]
fn requests_are_answered_a_round_trip_earlier() {
    let (park, entropy) = (ThreadPark::new(), SeededEntropy::predictable(7));
    let tickets = TicketKeys::<_, 1>::new(RustCrypto, &park, &entropy, Duration::from_secs(100));
    let sessions = SessionCache::new(&park, 4);
    let known = |early_data| -> Option<Known<'_>> { Some((&tickets, &sessions, early_data)) };
    // Long enough to fill the transport several times.
    let question: Vec<u8> = (0..3_000_u32).map(|index| (index * 7) as u8).collect();
    let ask = async |mut stream: ClientStream<'_>, early: bool| {
        let mut sent = 0;
        while sent < question.len() {
            match stream.write_early(&question[sent..]).await.unwrap() {
                0 => break,
                count => sent += count,
            }
        }
        assert_eq!(sent > 0, early);
        let mut answer = [0; 6];
        if early {
            // It comes before the server has our Finished.
            stream.read_exact(&mut answer).await.unwrap();
            assert!(stream.early_data_accepted());
        }
        stream.write_all(&question[sent..]).await.unwrap();
        stream.write_all(b"end").await.unwrap();
        if !early {
            stream.read_exact(&mut answer).await.unwrap();
        }
        assert_eq!(&answer, b"answer");
        stream.close().await.unwrap();
    };
    let limit = 3_000;
    for early_data in [EarlyData::OnRequest(limit), EarlyData::Replayable(limit)] {
        for early in [false, true] {
            let answer = async |mut stream: AcceptedStream<'_>| {
                let (mut all, mut buf) = (Vec::new(), [0; 700]);
                if early && early_data == EarlyData::OnRequest(limit) {
                    while all.len() < 1_000 {
                        let count = stream.read_early(&mut buf).await.unwrap();
                        assert!(count > 0);
                        all.extend_from_slice(&buf[..count]);
                    }
                    stream.write_all(b"answer").await.unwrap();
                } else if early {
                    // Bytes that are not used stay.
                    while stream.read_with(|bytes| (0, bytes.len())).await.unwrap() < 1_000 {}
                    stream.write_all(b"answer").await.unwrap();
                }
                while !all.ends_with(b"end") {
                    let count = stream.read(&mut buf).await.unwrap();
                    assert!(count > 0);
                    all.extend_from_slice(&buf[..count]);
                }
                assert!(all == [&question[..], b"end"].concat());
                assert_eq!(stream.early_data_accepted(), early);
                if !early {
                    stream.write_all(b"answer").await.unwrap();
                }
                assert_eq!(stream.read_early(&mut buf).await, Ok(0));
                assert_eq!(stream.read(&mut buf).await, Ok(0));
                stream.close().await.unwrap();
            };
            run_again(known(early_data), &park, async |stream| ask(stream, early).await, answer);
        }
        while sessions.take("localhost").is_some() {}
    }
}

#[test]
fn early_data_that_nobody_asks_for_wait_for_the_handshake() {
    let (park, entropy) = (ThreadPark::new(), SeededEntropy::predictable(7));
    let tickets = TicketKeys::<_, 1>::new(RustCrypto, &park, &entropy, Duration::from_secs(100));
    let sessions = SessionCache::new(&park, 4);
    for early in [false, true] {
        run_again(
            Some((&tickets, &sessions, EarlyData::OnRequest(100))),
            &park,
            async |mut stream| {
                let count = stream.write_early(b"early").await.unwrap();
                assert_eq!(count, if early { 5 } else { 0 });
                stream.write_all(&b"early, late"[count..]).await.unwrap();
                assert_eq!(stream.read(&mut [0; 9]).await, Ok(4));
            },
            async |mut stream| {
                stream.handshake().await.unwrap();
                let mut all = [0; 11];
                stream.read_exact(&mut all).await.unwrap();
                assert_eq!(&all, b"early, late");
                assert_eq!(stream.early_data_accepted(), early);
                stream.write_all(b"done").await.unwrap();
                stream.close().await.unwrap();
            },
        );
    }
}
