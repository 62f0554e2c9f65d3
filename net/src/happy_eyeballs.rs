//! Connecting to a name that has several addresses without waiting for the dead ones (RFC 8305).
use airglow_device::{Instant, Tcp, Timer};
use core::{
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use heapless::Vec;

/// Between the starts of two attempts: what RFC 8305 section 8 recommends.
pub const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How long the answer for IPv4 waits for that for IPv6 (RFC 8305 section 8).
pub const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// The order and the times of attempts, without any I/O: answers of a resolver in, addresses to try out.
///
/// ```
/// use airglow_device::Instant;
/// use airglow_net::happy_eyeballs::Race;
///
/// let (v6, v4) = ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
/// let (mut race, start) = (Race::<8>::new(), Instant::ZERO);
/// // The resolver was faster with IPv4: IPv6 has 50 ms to catch up.
/// race.resolved(start, false, &[v4]);
/// assert_eq!(race.next(start), None);
/// race.resolved(start, true, &[v6]);
/// assert_eq!(race.next(start), Some(v6));
/// // Nothing for 250 ms: the other one gets its chance.
/// assert_eq!(race.next(start), None);
/// let at = race.poll_timeout().unwrap();
/// assert_eq!((at.as_nanos() / 1_000_000, race.next(at)), (250, Some(v4)));
/// ```
#[derive(Clone, Debug)]
pub struct Race<const ADDRESSES: usize = 16> {
    waiting: Vec<IpAddr, ADDRESSES>,
    /// The version of the last address that was tried.
    last: Option<bool>,
    /// Answers for IPv4 and for IPv6 are there.
    answered: [bool; 2],
    /// When the next attempt may start.
    at: Instant,
}

impl<const ADDRESSES: usize> Default for Race<ADDRESSES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const ADDRESSES: usize> Race<ADDRESSES> {
    /// Nothing is resolved yet.
    pub const fn new() -> Self {
        Self { waiting: Vec::new(), last: None, answered: [false; 2], at: Instant::ZERO }
    }

    /// The resolver's answer of one IP version, empty if there is none or it failed, in the order of RFC 6724 (see
    /// [`sort_destinations`](crate::sort_destinations)). Addresses beyond `ADDRESSES` are left out.
    pub fn resolved(&mut self, now: Instant, ipv6: bool, addresses: &[IpAddr]) {
        self.answered[usize::from(ipv6)] = true;
        for addr in addresses.iter().filter(|addr| addr.is_ipv6() == ipv6) {
            if !self.waiting.contains(addr) {
                let _ = self.waiting.push(*addr);
            }
        }
        if self.last.is_none() && !self.waiting.is_empty() {
            // RFC 8305 section 3: IPv6 is waited for a little; what comes with it, or alone and late, starts at once.
            self.at = if self.answered == [true, true] || ipv6 { now } else { now + RESOLUTION_DELAY };
        }
    }

    /// The address to which an attempt is to be started now; call again until `None`.
    pub fn next(&mut self, now: Instant) -> Option<IpAddr> {
        if now < self.at {
            return None;
        }
        // RFC 8305 section 4: the versions alternate.
        let other = |addr: &IpAddr| self.last.is_none_or(|last| addr.is_ipv6() != last);
        let index = match self.last {
            // IPv6 goes first if there is any, then the versions take turns.
            None => self.waiting.iter().position(IpAddr::is_ipv6),
            Some(_) => self.waiting.iter().position(other),
        };
        if self.waiting.is_empty() {
            return None;
        }
        let addr = self.waiting.remove(index.unwrap_or(0));
        self.last = Some(addr.is_ipv6());
        self.at = now + CONNECTION_ATTEMPT_DELAY;
        Some(addr)
    }

    /// An attempt has failed: the next one need not wait.
    pub fn failed(&mut self, now: Instant) {
        if self.last.is_some() {
            self.at = now;
        }
    }

    /// When [`next`](Self::next) has something to say; `None`: not before an answer or a failure.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.at)
    }

    /// No address is left, and none will come.
    pub fn is_exhausted(&self) -> bool {
        self.waiting.is_empty() && self.answered == [true, true]
    }
}

/// Attempts at the same time.
const AT_ONCE: usize = 4;

/// No future yet, of the type that `start` makes.
fn none<F>(_start: &impl Fn(IpAddr) -> F) -> Option<F> {
    None
}

/// Connects to whichever of the addresses answers first, trying them in their order, the IP versions in turns, 250 ms after one
/// another or as soon as one fails; at most four at the same time, and at most 16 altogether. Works over any stack. Attempts that
/// lose are given up.
///
/// # Errors
/// The last attempt's, when all have failed. `None`: there was no address.
pub async fn connect<'t, T: Tcp>(
    tcp: &'t T,
    timer: &impl Timer,
    port: u16,
    addresses: &[IpAddr],
) -> Result<T::Stream<'t>, Option<T::Error>> {
    let mut race = Race::<16>::new();
    for ipv6 in [true, false] {
        race.resolved(timer.now(), ipv6, addresses);
    }
    let attempt = |addr| tcp.connect(SocketAddr::new(addr, port));
    let (a, b, c, d) =
        (pin!(none(&attempt)), pin!(none(&attempt)), pin!(none(&attempt)), pin!(none(&attempt)));
    let mut attempts: [Pin<&mut Option<_>>; AT_ONCE] = [a, b, c, d];
    let mut error = None;
    poll_fn(|cx| {
        loop {
            let now = timer.now();
            let mut failed = false;
            for running in &mut attempts {
                let Some(future) = running.as_mut().as_pin_mut() else { continue };
                match future.poll(cx) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(why)) => {
                        (error, failed) = (Some(why), true);
                        running.set(None);
                    }
                }
            }
            if failed {
                race.failed(now);
            }
            let running = attempts.iter().filter(|attempt| attempt.is_some()).count();
            let Some(free) = attempts.iter_mut().find(|attempt| attempt.is_none()) else {
                return Poll::Pending;
            };
            match race.next(now) {
                // Started, and polled in the next round.
                Some(addr) => free.set(Some(attempt(addr))),
                None => {
                    if running == 0 && race.is_exhausted() {
                        return Poll::Ready(Err(error.take()));
                    }
                    if let Some(at) = race.poll_timeout() {
                        timer.wake_at(at, cx.waker());
                    }
                    return Poll::Pending;
                }
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_take_turns_and_failures_save_time() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut race = Race::<8>::new();
        let start = Instant::from_secs(5);
        race.resolved(start, true, &[ip("2001:db8::1"), ip("2001:db8::2"), ip("2001:db8::3")]);
        assert_eq!(race.next(start), Some(ip("2001:db8::1")), "IPv6 does not wait for IPv4");
        race.resolved(start, false, &[ip("192.0.2.1"), ip("192.0.2.2")]);
        assert_eq!(race.next(start), None);
        let mut now = start + CONNECTION_ATTEMPT_DELAY;
        assert_eq!(race.poll_timeout(), Some(now));
        assert_eq!(race.next(now), Some(ip("192.0.2.1")));
        now += Duration::from_millis(10);
        assert_eq!(race.next(now), None);
        race.failed(now);
        assert_eq!(race.next(now), Some(ip("2001:db8::2")));
        for expected in ["192.0.2.2", "2001:db8::3"] {
            now += CONNECTION_ATTEMPT_DELAY;
            assert_eq!(race.next(now), Some(ip(expected)));
        }
        assert!(race.is_exhausted() && race.poll_timeout().is_none());
        // IPv4 alone: after the delay for IPv6, or at once when there is none.
        let mut race = Race::<8>::new();
        race.resolved(start, false, &[ip("192.0.2.1")]);
        assert_eq!((race.next(start), race.poll_timeout()), (None, Some(start + RESOLUTION_DELAY)));
        race.resolved(start, true, &[]);
        assert_eq!(race.next(start), Some(ip("192.0.2.1")));
        // More than there is room for.
        let many: std::vec::Vec<IpAddr> = (0..20).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let mut race = Race::<8>::new();
        race.resolved(start, false, &many);
        assert_eq!(race.waiting.len(), 8);
    }
}
