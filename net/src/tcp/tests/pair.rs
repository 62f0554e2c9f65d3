//! Two hosts talk over a bad wire: every byte arrives intact, or both sides get an error.
use super::link::*;
use crate::tcp::{Config, Ecn, Fixed, Handle, State, Storage, congestion::Congestion};
use core::time::Duration;

/// One direction's user: writes `total` bytes, closes, and reads what comes.
#[derive(Debug)]
struct User {
    host: usize,
    handle: Handle,
    stream: u64,
    total: u64,
    written: u64,
    read: u64,
    expect: u64,
    ended: bool,
    closed: bool,
    failed: bool,
    /// Uses `write_static` now and then.
    pages: bool,
}

static PAGES: [u8; 8192] = [0x5a; 8192];

impl User {
    fn turn<S: Storage>(&mut self, pair: &mut Pair<S>) {
        let now = pair.now;
        let chunk = 1 + pair.random.below(6000) as usize;
        let use_page = self.pages && pair.random.chance(300);
        let host = &mut pair.hosts[self.host];
        if self.failed {
            return;
        }
        if host.state(self.handle).is_err() {
            self.failed = true;
            return;
        }
        while self.written < self.total {
            let n = chunk.min((self.total - self.written) as usize);
            let result = if use_page && self.stream == 7 {
                host.write_static(now, self.handle, &PAGES[..n.min(8192)])
            } else {
                let bytes: Vec<u8> = (0..n as u64).map(|i| self.byte(self.written + i)).collect();
                host.write(now, self.handle, &bytes)
            };
            match result {
                Ok(0) => break,
                Ok(n) => self.written += n as u64,
                Err(error) => match host.state(self.handle) {
                    Ok(State::SynSent | State::SynReceived) => break,
                    _ => panic!("{error:?}"),
                },
            }
        }
        if self.written == self.total && !self.closed {
            self.closed = host.state(self.handle) != Ok(State::SynSent);
            if self.closed {
                host.close(now, self.handle).unwrap();
            }
        }
        while !self.ended {
            let (read, stream) = (self.read, 1 - self.stream.min(1));
            let other = User { stream, ..Self::blank(self.host, self.handle) };
            let lent = host.read_with(now, self.handle, 0, |bytes| {
                for (i, b) in bytes.iter().enumerate() {
                    assert_eq!(*b, other.byte(read + i as u64), "byte {} of {}", read + i as u64, stream);
                }
                (bytes.len(), bytes.len())
            });
            match lent {
                Ok(None) => break,
                Ok(Some(0)) => self.ended = true,
                Ok(Some(n)) => self.read += n as u64,
                Err(_) => {
                    self.failed = true;
                    break;
                }
            }
        }
    }
    fn byte(&self, at: u64) -> u8 {
        byte(self.stream, at)
    }
    fn blank(host: usize, handle: Handle) -> Self {
        Self {
            host,
            handle,
            stream: 0,
            total: 0,
            written: 0,
            read: 0,
            expect: 0,
            ended: false,
            closed: false,
            failed: false,
            pages: false,
        }
    }
    fn done(&self) -> bool {
        self.failed || (self.ended && self.closed)
    }
}

/// Transfers both ways and closes; returns the time it took. Panics when a byte is wrong or the two sides disagree.
fn transfer<S: Storage>(pair: &mut Pair<S>, sizes: (u64, u64), limit: Duration) -> Duration {
    let listener = pair.listen(4);
    let client = pair.connect();
    let mut a = User { total: sizes.0, stream: 0, expect: sizes.1, ..User::blank(0, client) };
    let mut b: Option<User> = None;
    let start = pair.now;
    let done = pair.run(limit, |pair| {
        a.turn(pair);
        if b.is_none() {
            b = pair.hosts[1].accept(listener).map(|handle| User {
                total: sizes.1,
                stream: 1,
                expect: sizes.0,
                ..User::blank(1, handle)
            });
        }
        if let Some(b) = &mut b {
            b.turn(pair);
        }
        a.done() && b.as_ref().is_some_and(User::done)
    });
    let elapsed = pair.now.since(start);
    let b = b.expect("accepted");
    let states = (pair.hosts[0].state(a.handle), pair.hosts[1].state(b.handle));
    assert!(
        done,
        "not done after {elapsed:?}: {states:?} {a:?} {b:?} {:?} {:?}",
        pair.hosts[0].stats(),
        pair.hosts[1].stats()
    );
    for user in [&a, &b] {
        assert!(!user.failed, "failed: {states:?} {user:?}");
        assert_eq!(user.read, user.expect);
    }
    pair.hosts[0].release(pair.now, a.handle);
    pair.hosts[1].release(pair.now, b.handle);
    pair.hosts[1].unlisten(pair.now, listener);
    elapsed
}

/// Lets all timers run out; nothing is left then.
fn drain<S: Storage>(pair: &mut Pair<S>) {
    let quiet = pair.run(Duration::from_secs(1000), |pair| {
        !pair.transmit()
            && pair.in_transit() == 0
            && pair.hosts.iter_mut().all(|host| {
                let usage = host.usage();
                usage.connections + usage.half_open + usage.time_wait + usage.buffers == 0
            })
    });
    assert!(quiet, "{:?} {:?}", pair.hosts[0].usage(), pair.hosts[1].usage());
}

#[test]
fn a_clean_wire_carries_both_ways() {
    let mut pair = Pair::new(1, Link::default(), 64 << 10, Config::default());
    let elapsed = transfer(&mut pair, (1_000_000, 300_000), Duration::from_secs(60));
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    let stats = pair.hosts[0].stats();
    assert_eq!((stats.retransmitted, stats.timeouts), (0, 0), "{stats:?}");
    drain(&mut pair);
}

#[test]
fn nothing_at_all_still_opens_and_closes() {
    let mut pair = Pair::new(1, Link::default(), 64 << 10, Config::default());
    transfer(&mut pair, (0, 0), Duration::from_secs(10));
    drain(&mut pair);
}

fn random_link(random: &mut Random) -> Link {
    Link {
        loss: [0, 5, 20, 50, 100, 200][random.below(6) as usize],
        hole: usize::MAX,
        mark: [0, 20][random.below(2) as usize],
        duplicate: [0, 0, 20, 100][random.below(4) as usize],
        reorder: [0, 0, 100, 500][random.below(4) as usize],
        delay: Duration::from_micros([10, 500, 5_000, 50_000][random.below(4) as usize]),
        jitter: Duration::from_micros([50, 2_000, 30_000][random.below(3) as usize]),
        mtu: [1480, 1480, 576, 128, 8980][random.below(5) as usize],
        tso: [0, 0, 65_495, 20_000][random.below(4) as usize],
        ring: [1, 3, 64, 256][random.below(4) as usize],
        gro: random.chance(500),
    }
}

/// `AIRGLOW_FIRST_SEED` starts later.
fn first_seed() -> u64 {
    std::env::var("AIRGLOW_FIRST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// `AIRGLOW_SEEDS` makes more of it.
fn seeds(default: u64) -> u64 {
    std::env::var("AIRGLOW_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Through a fifth of loss each way 120 s can pass without progress.
const PATIENT: Duration = Duration::from_secs(1500);

#[test]
fn any_wire_delivers_every_byte_or_an_error_on_both_sides() {
    for seed in first_seed()..seeds(300) {
        let mut random = Random::new(seed ^ 0xabc);
        let link = random_link(&mut random);
        let config = Config {
            timestamps: random.chance(500),
            sack: random.chance(500),
            ecn: if random.chance(500) { Ecn::Offer } else { Ecn::Off },
            congestion: [Congestion::default(), Congestion::NewReno, Congestion::Westwood]
                [random.below(3) as usize],
            user_timeout: PATIENT,
            ..Config::default()
        };
        let buffers = [1000, 4096, 20_000, 200_000][random.below(4) as usize];
        let most = if link.mtu < 500 { 10_000 } else { 60_000 };
        let sizes = (random.below(most), random.below(most));
        let outcome = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
            let mut pair = Pair::new(seed, link, buffers, config);
            transfer(&mut pair, sizes, Duration::from_secs(3000));
            drain(&mut pair);
        }));
        if let Err(panic) = outcome {
            eprintln!("seed {seed}: {link:?} {config:?} buffers {buffers} sizes {sizes:?}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn arrays_carry_every_byte_too() {
    for seed in 0..seeds(300) / 10 {
        let link = random_link(&mut Random::new(seed ^ 0xdef));
        let config = Config { user_timeout: PATIENT, ..Config::default() };
        let boards = [(); 2].map(|()| Fixed::<2, 3000, 1500, 1, (), ()>::new());
        let mut pair = Pair::with(seed, link, config, boards);
        for _ in 0..3 {
            transfer(&mut pair, (10_000, 20_000), Duration::from_secs(3000));
        }
        drain(&mut pair);
    }
}

/// 2 % loss with 20 ms delay each way and reordering let through more than 0.6 MB/s with Westwood's floor, where NewReno's window alone
/// would get stuck at seven segments per round trip, 0.25 MB/s.
#[test]
fn goodput_through_loss() {
    for reorder in [0, 100] {
        let link = Link {
            loss: 20,
            reorder,
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(5),
            ..Link::default()
        };
        let config = Config { congestion: Congestion::Westwood, ..Config::default() };
        let mut pair = Pair::new(5, link, 512 << 10, config);
        let bytes = 10_000_000;
        let elapsed = transfer(&mut pair, (bytes, 0), Duration::from_secs(600));
        let rate = bytes as f64 / elapsed.as_secs_f64();
        assert!(rate > 0.6e6, "{rate:.0} bytes per second, {:?}", pair.hosts[0].stats());
    }
}
