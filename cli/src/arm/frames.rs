//! The other end of an emulated board's network cable: QEMU's `socket` network carries each Ethernet frame in a UDP datagram.
use crate::failure::{Context, Result};
use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const OWN: [u8; 4] = [10, 9, 8, 1];
/// The board's address on this wire.
const BOARD: [u8; 4] = [10, 9, 8, 2];

/// The cable.
pub struct Wire {
    socket: UdpSocket,
    /// Where QEMU sends from and receives at.
    qemu: u16,
    board: [u8; 6],
    sequence: u16,
}

/// The Internet checksum (RFC 1071).
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&b| b.into());
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

fn ethernet(to: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [&to[..], &OWN_MAC, &kind.to_be_bytes(), payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

fn ipv4(protocol: u8, from: [u8; 4], to: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len() as u16).to_be_bytes();
    let mut header = vec![0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
    header.extend_from_slice(&from);
    header.extend_from_slice(&to);
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum);
    header.extend_from_slice(payload);
    header
}

impl Wire {
    /// A cable with nothing at its other end yet.
    pub fn new() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("a UDP port")?;
        let qemu = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).context("a UDP port")?.port();
        socket.connect(("127.0.0.1", qemu)).context("a UDP port")?;
        Ok(Self { socket, qemu, board: [0xff; 6], sequence: 0 })
    }

    /// QEMU's word for it.
    pub fn netdev(&self) -> String {
        let own = self.socket.local_addr().map(|a| a.port()).unwrap_or_default();
        format!("socket,udp=127.0.0.1:{own},localaddr=127.0.0.1:{}", self.qemu)
    }

    /// Sends a frame; before QEMU has opened its end it is lost.
    pub fn send(&self, frame: &[u8]) {
        let _ = self.socket.send(frame);
    }

    /// Receives frames until `found` says what it was waiting for.
    pub fn wait<T>(&self, limit: Duration, mut found: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut frame = [0; 2048];
        loop {
            let left = deadline.checked_duration_since(Instant::now())?.max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).ok()?;
            // Before QEMU has opened its end, sending makes receiving fail.
            match self.socket.recv(&mut frame) {
                Ok(len) => {
                    if let Some(value) = found(frame.get(..len)?) {
                        return Some(value);
                    }
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Asks for the board's MAC address until it answers (RFC 826).
    pub fn resolve(&mut self, limit: Duration) -> Option<()> {
        let deadline = Instant::now() + limit;
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
        arp.extend_from_slice(&OWN_MAC);
        arp.extend_from_slice(&OWN);
        arp.extend_from_slice(&[0; 6]);
        arp.extend_from_slice(&BOARD);
        while Instant::now() < deadline {
            let _ = self.socket.send(&ethernet([0xff; 6], 0x0806, &arp));
            let reply = self.wait(Duration::from_millis(500), |f| {
                let is_reply =
                    f.get(12..14)? == [8, 6] && f.get(20..22)? == [0, 2] && f.get(28..32)? == BOARD;
                is_reply.then(|| f.get(22..28)?.try_into().ok()).flatten()
            });
            if let Some(mac) = reply {
                self.board = mac;
                return Some(());
            }
        }
        None
    }

    /// One echo request; whether its reply came with the same 64 bytes (RFC 792). Answers the board's ARP requests meanwhile.
    pub fn ping(&mut self, limit: Duration) -> bool {
        self.sequence += 1;
        let mut echo = vec![8, 0, 0, 0, 0x12, 0x34];
        echo.extend_from_slice(&self.sequence.to_be_bytes());
        echo.extend((0..64).map(|i| i ^ self.sequence as u8));
        let sum = checksum(&[&echo]);
        echo[2..4].copy_from_slice(&sum);
        let _ = self.socket.send(&ethernet(self.board, 0x0800, &ipv4(1, OWN, BOARD, &echo)));
        let answer_arp = |f: &[u8]| {
            if f.get(12..14) == Some(&[8, 6]) && f.get(20..22) == Some(&[0, 1]) && f.get(38..42) == Some(&OWN)
            {
                let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 2];
                arp.extend_from_slice(&OWN_MAC);
                arp.extend_from_slice(&OWN);
                arp.extend_from_slice(&f[22..32]);
                let _ = self.socket.send(&ethernet(self.board, 0x0806, &arp));
            }
        };
        let (same, rest) = (&echo[4..], echo.len() - 4);
        self.wait(limit, |f| {
            answer_arp(f);
            let icmp = f.get(34..)?;
            (f.get(12..14)? == [8, 0]
                && f.get(23)? == &1
                && icmp.first()? == &0
                && icmp.get(4..4 + rest)? == same)
                .then_some(())
        })
        .is_some()
    }

    /// Broadcasts and connection requests from addresses that do not exist, as fast as they go, for `time`. How many there were.
    pub fn flood(&self, time: Duration) -> Result<u64> {
        let end = Instant::now() + time;
        let (mut sent, mut random) = (0u64, 0x9e37_79b9_7f4a_7c15u64);
        while Instant::now() < end {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let [a, b, c, d, e, f, ..] = random.to_le_bytes();
            let from = [10, 9, 8, a.max(3)];
            let frame = if sent % 2 == 0 {
                let mut syn = vec![b | 4, c, 0, 80, a, b, c, d, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0];
                let pseudo = [&from[..], &BOARD, &[0, 6, 0, 20]].concat();
                let sum = checksum(&[&pseudo, &syn]);
                syn[16..18].copy_from_slice(&sum);
                ethernet(self.board, 0x0800, &ipv4(6, from, BOARD, &syn))
            } else {
                let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 1, c, d, e, f];
                arp.extend_from_slice(&from);
                arp.extend_from_slice(&[0; 6]);
                arp.extend_from_slice(&BOARD);
                ethernet([0xff; 6], 0x0806, &arp)
            };
            if self.socket.send(&frame).is_ok() {
                sent += 1;
            }
            if sent % 64 == 0 {
                // What the board has to say goes by unread, but must not fill the cable.
                let _ = self.socket.set_nonblocking(true);
                let mut drop = [0; 2048];
                while self.socket.recv(&mut drop).is_ok() {}
                let _ = self.socket.set_nonblocking(false);
            }
        }
        Ok(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_sum_to_zero() {
        let packet = ipv4(1, OWN, BOARD, &[1, 2, 3]);
        assert_eq!(packet.len(), 23);
        assert_eq!(checksum(&[&packet[..20]]), [0, 0]);
        assert_eq!(ethernet([0xff; 6], 0x0806, &[0; 28]).len(), 60);
    }
}
