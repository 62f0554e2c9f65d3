//! SYN cookies: a full SYN queue keeps nothing of a SYN, its SYN,ACK carries what the connection needs (RFC 4987 section 3.6).
//!
//! The initial sequence number is `time (5 bits) | MSS (3) | keyed hash (24)`; with timestamps the low six bits of the one we
//! send carry window scale and whether SACK may be used. What neither holds (ECN) is not used in such a connection. An
//! acknowledgment counts for two to three minutes, and only while the listener has lately sent cookies, so that at other times
//! nobody can open a connection by guessing.
use super::{Tuple, isn::Secret, sequence::Seq};
use airglow_device::Instant;
use core::time::Duration;

/// How long one value of the time in a cookie lasts.
const PERIOD: Duration = Duration::from_secs(64);
/// How long a listener that has sent a cookie takes them.
pub(crate) const LIFE: Duration = Duration::from_secs(128);
/// Segment sizes a cookie can name; the largest not above the peer's counts.
const SIZES: [u16; 8] = [64, 536, 1200, 1360, 1440, 1460, 4312, 8940];
/// The low bits of the timestamp: window scale (15: not used) and SACK.
const OPTION_BITS: u32 = 6;

/// What a cookie and the timestamp beside it say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub mss: u16,
    pub scale: Option<u8>,
    pub sack: bool,
}

fn period(now: Instant) -> u32 {
    (now.as_millis() / PERIOD.as_millis() as u64) as u32
}

/// The initial sequence number that is the cookie for a SYN.
pub(crate) fn make(secret: &Secret, tuple: &Tuple, irs: Seq, mss: u16, now: Instant) -> Seq {
    let size = SIZES.iter().rposition(|size| *size <= mss).unwrap_or(0) as u32;
    let time = period(now);
    Seq((time & 31) << 27 | size << 24 | secret.cookie(tuple, irs.0, time << 3 | size) & 0xff_ffff)
}

/// The segment size in a cookie; `None`: it is none of ours, or too old.
pub(crate) fn check(secret: &Secret, tuple: &Tuple, irs: Seq, cookie: Seq, now: Instant) -> Option<u16> {
    let age = (period(now) & 31).wrapping_sub(cookie.0 >> 27) & 31;
    if age > 2 {
        return None;
    }
    let (time, size) = (period(now).wrapping_sub(age), cookie.0 >> 24 & 7);
    let valid = secret.cookie(tuple, irs.0, time << 3 | size) & 0xff_ffff == cookie.0 & 0xff_ffff;
    SIZES.get(size as usize).copied().filter(|_| valid)
}

/// Our clock `timestamp` with the options in its low bits, not later than it.
pub(crate) fn encode_options(timestamp: u32, scale: Option<u8>, sack: bool) -> u32 {
    let bits = u32::from(scale.map_or(15, |scale| scale.min(14))) | u32::from(sack) << 4;
    let with = timestamp & !((1 << OPTION_BITS) - 1) | bits;
    if (with.wrapping_sub(timestamp) as i32) > 0 { with.wrapping_sub(1 << OPTION_BITS) } else { with }
}

/// The options in a timestamp that the peer echoes.
pub(crate) fn decode_options(mss: u16, echo: Option<u32>) -> Offer {
    let Some(echo) = echo else { return Offer { mss, scale: None, sack: false } };
    let scale = (echo & 15) as u8;
    Offer { mss, scale: (scale < 15).then_some(scale), sack: echo >> 4 & 1 == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use proptest::prelude::*;

    fn tuple(remote_port: u16) -> Tuple {
        Tuple {
            local: Ipv4Addr::new(10, 0, 0, 1).into(),
            remote: Ipv4Addr::new(10, 0, 0, 2).into(),
            local_port: 80,
            remote_port,
        }
    }

    proptest! {
        #[test]
        fn a_cookie_counts_for_two_minutes_and_for_its_own_connection(irs: u32, mss: u16, at in 0u64..1 << 40, later in 0u64..128_000) {
            let secret = Secret::new([7; 32]);
            let now = Instant::from_millis(at);
            let cookie = make(&secret, &tuple(5), Seq(irs), mss, now);
            let then = now + Duration::from_millis(later);
            let size = check(&secret, &tuple(5), Seq(irs), cookie, then);
            prop_assert!(size.is_some_and(|size| size <= mss.max(64)));
            // One wrong guess in 2^24 is right.
            prop_assert_eq!(check(&secret, &tuple(6), Seq(irs), cookie, then), None);
            prop_assert_eq!(check(&secret, &tuple(5), Seq(irs) + 1, cookie, then), None);
            prop_assert_eq!(check(&secret, &tuple(5), Seq(irs), cookie + 1, then), None);
            prop_assert_eq!(check(&secret, &tuple(5), Seq(irs), cookie, now + Duration::from_secs(200)), None);
        }

        #[test]
        fn options_travel_in_the_timestamp(timestamp: u32, scale in prop::option::of(0u8..15), sack: bool) {
            let with = encode_options(timestamp, scale, sack);
            prop_assert!(timestamp.wrapping_sub(with) < 128, "not later, and hardly earlier");
            prop_assert_eq!(decode_options(1460, Some(with)), Offer { mss: 1460, scale, sack });
        }
    }
}
