//! The user timeout option (RFC 5482): each side tells the other how long it goes on without an answer, so that both do.
use super::{Config, connection::Connection, input::Arrived};
use core::time::Duration;

/// What is told and heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// REMOTE_UTO.
    remote: Option<Duration>,
    /// The next acknowledgment tells the peer of our user timeout.
    pub due: bool,
}

impl Default for Exchange {
    //= https://www.rfc-editor.org/rfc/rfc5482#section-3
    //# In addition to exchanging UTO options in the SYN segments, a
    //# connection that has enabled UTO options SHOULD include a UTO option
    //# in the first packet that does not have the SYN flag set.
    fn default() -> Self {
        Self { remote: None, due: true }
    }
}

/// The highest bit: minutes instead of seconds.
const MINUTES: u16 = 0x8000;

fn encode(timeout: Duration) -> u16 {
    let seconds = timeout.as_secs().max(1);
    match u16::try_from(seconds) {
        Ok(seconds) if seconds < MINUTES => seconds,
        _ => MINUTES | seconds.div_ceil(60).min(0x7fff) as u16,
    }
}

fn decode(field: u16) -> Option<Duration> {
    let value = u64::from(field & !MINUTES);
    let unit = if field & MINUTES == 0 { 1 } else { 60 };
    // RFC 5482 section 3.4: zero is reserved and to be ignored.
    (value > 0).then(|| Duration::from_secs(value * unit))
}

impl Connection {
    /// ADV_UTO, as the option has it.
    pub(super) fn advertised_user_timeout(&self, config: &Config) -> u16 {
        encode(self.user_timeout.unwrap_or(config.user_timeout))
    }

    /// Takes in what the peer says.
    pub(super) fn hear_user_timeout(&mut self, config: &Config, arrived: &Arrived<'_>) {
        if config.exchange_user_timeouts
            && let Some(remote) = arrived.options.user_timeout.and_then(decode)
        {
            self.exchange.remote = Some(remote);
        }
    }

    /// USER_TIMEOUT.
    pub(super) fn patience(&self, config: &Config) -> Duration {
        //= https://www.rfc-editor.org/rfc/rfc5482#section-3.1
        //# If the CHANGEABLE flag is false, USER_TIMEOUT MUST NOT
        //# be changed, regardless of the received UTO option.
        let own = match (self.user_timeout, self.exchange.remote) {
            (Some(own), _) => return own,
            (None, None) => return config.user_timeout,
            (None, Some(_)) => config.user_timeout,
        };
        let remote = self.exchange.remote.unwrap_or_default();
        // The lower limit lies above the retransmission timeout.
        let least = config.least_user_timeout.max(2 * self.send.round_trip.timeout());
        own.max(remote).max(least).min(config.most_user_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, decode, encode};

    #[test]
    fn seconds_and_minutes() {
        for (seconds, field, read) in [
            (1, 1, 1),
            (32_767, 0x7fff, 32_767),
            (32_768, 0x8000 | 547, 547 * 60),
            (u64::MAX, 0xffff, 32_767 * 60),
            (0, 1, 1),
        ] {
            assert_eq!(encode(Duration::from_secs(seconds)), field, "{seconds}");
            assert_eq!(decode(field), Some(Duration::from_secs(read)));
        }
        assert_eq!((decode(0), decode(0x8000)), (None, None));
    }
}
