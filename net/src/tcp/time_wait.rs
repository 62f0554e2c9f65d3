//! TIME-WAIT (RFC 9293 section 3.10.7.4): what is left of a connection that this side closed first.
use super::{Tuple, connection::Connection, input::Arrived, sequence::Seq};
use crate::wire::tcp::{Flags, Header, Options};
use airglow_device::Instant;

/// A finished connection, in a fraction of its memory.
#[derive(Clone, Copy, Debug)]
pub struct TimeWait {
    pub(crate) tuple: Tuple,
    send_next: Seq,
    receive_next: Seq,
    window: u16,
    /// TS.Recent and our offset, when timestamps are used.
    timestamps: Option<(u32, u32)>,
}

/// What to do with a segment for a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Drop,
    /// Acknowledge again.
    Acknowledge,
    /// Acknowledge again and start the wait anew: the peer has not seen our acknowledgment of its FIN.
    Restart,
    /// A new connection may begin, with an initial sequence number after this one.
    Reopen(Seq),
}

impl TimeWait {
    pub(crate) fn of(connection: &mut Connection) -> Self {
        Self {
            tuple: connection.tuple,
            send_next: connection.send.next,
            receive_next: connection.receive.next,
            window: connection.receive.advertise(),
            timestamps: connection
                .timestamps
                .then_some((connection.receive.timestamp, connection.timestamp_offset)),
        }
    }

    pub(crate) fn input(&self, arrived: &Arrived<'_>) -> Verdict {
        // RFC 1337: a reset must not cut the wait short.
        if arrived.flags.has(Flags::RST) {
            return Verdict::Drop;
        }
        if arrived.flags.has(Flags::SYN) && !arrived.flags.has(Flags::ACK) {
            let follows = arrived.seq.after(self.receive_next);
            // RFC 9293 section 3.6.1 (MAY-2), by the rules of RFC 6191 section 2: timestamps say which is newer, sequence numbers
            // where there are none or they are the same.
            let newer = match (self.timestamps, arrived.options.timestamps) {
                (Some((recent, _)), Some((value, _))) if value != recent => {
                    (value.wrapping_sub(recent) as i32) > 0
                }
                (None, Some(_)) => true,
                _ => follows,
            };
            return if newer { Verdict::Reopen(self.send_next + 0x10000) } else { Verdict::Acknowledge };
        }
        if arrived.flags.has(Flags::FIN) {
            return Verdict::Restart;
        }
        if arrived.data.is_empty() && arrived.seq == self.receive_next {
            return Verdict::Drop;
        }
        Verdict::Acknowledge
    }

    pub(crate) fn header(&self, now: Instant) -> Header {
        let timestamps =
            self.timestamps.map(|(recent, offset)| ((now.as_millis() as u32).wrapping_add(offset), recent));
        Header {
            source_port: self.tuple.local_port,
            destination_port: self.tuple.remote_port,
            sequence: self.send_next.0,
            acknowledgment: self.receive_next.0,
            flags: Flags::ACK,
            window: self.window,
            options: Options { timestamps, ..Options::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    /// RFC 6191 section 2: timestamps decide, sequence numbers where there are none or they are the same.
    #[test]
    fn a_new_connection_is_told_from_an_old_syn() {
        let waiting = |timestamps| TimeWait {
            tuple: Tuple {
                local: Ipv4Addr::new(10, 0, 0, 1).into(),
                remote: Ipv4Addr::new(10, 0, 0, 2).into(),
                local_port: 80,
                remote_port: 5000,
            },
            send_next: Seq(7000),
            receive_next: Seq(1000),
            window: 100,
            timestamps,
        };
        let syn = |seq, timestamp: Option<u32>| Arrived {
            seq: Seq(seq),
            ack: Seq(0),
            flags: Flags::SYN,
            window: 100,
            options: Options { timestamps: timestamp.map(|value| (value, 0)), ..Options::default() },
            data: b"",
            segment: 0,
            ecn: 0,
        };
        // What the old connection's last timestamp was, the SYN's sequence number and timestamp, whether it is honoured.
        for (old, seq, timestamp, honoured) in [
            (Some(50), 900, Some(51), true),
            (Some(50), 2000, Some(49), false),
            (Some(50), 2000, Some(50), true),
            (Some(50), 900, Some(50), false),
            (Some(50), 2000, None, true),
            (Some(50), 900, None, false),
            (None, 900, Some(1), true),
            (None, 2000, None, true),
            (None, 900, None, false),
            // The clock of timestamps wraps.
            (Some(u32::MAX), 900, Some(3), true),
        ] {
            let verdict = waiting(old.map(|recent| (recent, 0))).input(&syn(seq, timestamp));
            let expected = if honoured { Verdict::Reopen(Seq(7000 + 0x10000)) } else { Verdict::Acknowledge };
            assert_eq!(verdict, expected, "{old:?} {seq} {timestamp:?}");
        }
    }
}
