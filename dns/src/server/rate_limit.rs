//! Response-rate limiting: replies over UDP to one network are held to so many a second, so that nobody can aim this
//! server at a victim by forging its address.
//!
//! Accounts are kept by the client's network (24 bits of IPv4, 56 of IPv6) and the kind of reply. Names are no part of
//! it: under a wildcard there are as many names as an attacker likes. Of the replies over the limit some "slip": they go
//! out empty and truncated, so that a real client comes back over TCP, where its address cannot be forged.
use crate::wire::Rcode;
use airglow_device::{Instant, siphash};
use alloc::vec::Vec;
use core::{net::IpAddr, time::Duration};

/// Accounts that may stand for a network and kind: the one it hashes to and those beside it.
const WAYS: usize = 4;

/// How far response-rate limiting goes.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// Replies a second to one network and of one kind (answers, NXDOMAIN, errors); as many may come at once.
    pub per_second: u32,
    /// Each so manieth reply over the limit goes out empty and truncated, the others not at all; 0: none does.
    pub slip: u32,
    /// Accounts kept, 16 bytes each: a power of two. When they do not suffice the most idle one makes room.
    pub accounts: usize,
    /// Random bytes, so that nobody outside can tell which networks share an account.
    pub seed: [u8; 16],
}

impl RateLimit {
    /// `per_second` replies, every second one over that slips, 16,384 accounts (256 KiB).
    pub const fn new(per_second: u32, seed: [u8; 16]) -> Self {
        Self { per_second, slip: 2, accounts: 16_384, seed }
    }
}

/// What becomes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    Slip,
    Drop,
}

/// An account: whose it is, and when it will have paid for all that it got.
#[derive(Clone, Copy)]
struct Account {
    key: u64,
    paid: Instant,
}

/// The table of accounts.
pub(super) struct RateLimiter {
    accounts: Vec<Account>,
    price: Duration,
    slip: u32,
    over: u32,
    seed: [u8; 16],
}

impl RateLimiter {
    pub(super) fn new(limit: &RateLimit) -> Self {
        let count = limit.accounts.clamp(WAYS, 1 << 28).next_power_of_two();
        Self {
            accounts: alloc::vec![Account { key: 0, paid: Instant::ZERO }; count],
            price: Duration::from_secs(1) / limit.per_second.max(1),
            slip: limit.slip,
            over: 0,
            seed: limit.seed,
        }
    }

    /// Whether a reply with `rcode` may go to `peer` now.
    pub(super) fn judge(&mut self, peer: IpAddr, rcode: Rcode, now: Instant) -> Verdict {
        let kind = match rcode {
            Rcode::NOERROR => 0,
            Rcode::NXDOMAIN => 1,
            _ => 2,
        };
        let key = match peer.to_canonical() {
            IpAddr::V4(peer) => siphash::of_bytes(&self.seed, &[&[kind, 4], &peer.octets()[..3]]),
            IpAddr::V6(peer) => siphash::of_bytes(&self.seed, &[&[kind, 6], &peer.octets()[..7]]),
        };
        let start = key as usize & (self.accounts.len() - 1) & !(WAYS - 1);
        let Some(ways) = self.accounts.get_mut(start..start + WAYS) else { return Verdict::Send };
        let own = ways.iter().position(|account| account.key == key);
        let most_idle = || (0..WAYS).min_by_key(|&at| ways[at].paid).unwrap_or(0);
        let at = own.unwrap_or_else(most_idle);
        let account = &mut ways[at];
        if account.key != key {
            *account = Account { key, paid: now };
        }
        let paid = account.paid.max(now) + self.price;
        if paid <= now + Duration::from_secs(1) {
            account.paid = paid;
            return Verdict::Send;
        }
        self.over = self.over.wrapping_add(1);
        if self.slip > 0 && self.over.is_multiple_of(self.slip) { Verdict::Slip } else { Verdict::Drop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_gets_its_rate_and_no_more() {
        let mut limiter = RateLimiter::new(&RateLimit { accounts: 64, ..RateLimit::new(10, [3; 16]) });
        let peer = |last| IpAddr::from([192, 0, 2, last]);
        let mut sent = [0; 3];
        for millisecond in 0..5000 {
            let now = Instant::from_millis(millisecond);
            let verdict = limiter.judge(peer(millisecond as u8), Rcode::NOERROR, now);
            sent[verdict as usize] += 1;
        }
        // Ten at once and ten a second; of the rest every second one slips.
        assert_eq!(sent, [59, 2470, 2471]);
        let now = Instant::from_secs(5);
        assert_eq!(limiter.judge(peer(1), Rcode::NXDOMAIN, now), Verdict::Send, "another kind");
        assert_eq!(
            limiter.judge([192, 0, 3, 1].into(), Rcode::NOERROR, now),
            Verdict::Send,
            "another network"
        );
        // After a second of silence all is forgotten.
        for _ in 0..10 {
            assert_eq!(limiter.judge(peer(9), Rcode::NOERROR, Instant::from_secs(6)), Verdict::Send);
        }
        assert_ne!(limiter.judge(peer(9), Rcode::NOERROR, Instant::from_secs(6)), Verdict::Send);
    }

    #[test]
    fn many_networks_share_a_bounded_table() {
        let mut limiter = RateLimiter::new(&RateLimit { accounts: 64, ..RateLimit::new(1, [3; 16]) });
        for network in 0..10_000u32 {
            let peer = IpAddr::V4((network << 8).into());
            limiter.judge(peer, Rcode::NOERROR, Instant::from_secs(1));
        }
        assert_eq!(limiter.accounts.len(), 64);
    }
}
