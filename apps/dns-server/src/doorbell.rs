//! How one thread has another look up: an event loop waits for descriptors and nothing else, so a datagram on loopback wakes it.
use airglow::device::{Udp, UdpSocket};
use std::{
    convert::Infallible,
    format, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket as Ringing},
    string::String,
    sync::OnceLock,
};

/// Where a thread listens, once it does, and what others ring with.
#[derive(Debug)]
pub(crate) struct Doorbell {
    at: OnceLock<SocketAddr>,
    ringing: Ringing,
}

impl Doorbell {
    pub(crate) fn new() -> Result<Self, String> {
        let bind = || {
            let ringing = Ringing::bind((Ipv4Addr::LOCALHOST, 0))?;
            ringing.set_nonblocking(true)?;
            io::Result::Ok(ringing)
        };
        let ringing = bind().map_err(|error| format!("a UDP port on loopback: {error}"))?;
        Ok(Self { at: OnceLock::new(), ringing })
    }

    /// Wakes the thread. One that finds no room on the way finds others before it.
    pub(crate) fn ring(&self) {
        if let Some(at) = self.at.get() {
            let _ = self.ringing.send_to(&[0], at);
        }
    }

    /// Calls `look` at the start and after each time that somebody rang, until the port fails.
    pub(crate) async fn answer(&self, udp: &impl Udp, look: impl AsyncFn()) -> Result<Infallible, String> {
        let failed = |error| format!("a UDP port on loopback: {error}");
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = udp.bind(loopback).await.map_err(|error| failed(format!("{error}")))?;
        let _ = self.at.set(socket.local());
        loop {
            look().await;
            socket.recv_from(&mut [0; 1]).await.map_err(|error| failed(format!("{error}")))?;
        }
    }
}
