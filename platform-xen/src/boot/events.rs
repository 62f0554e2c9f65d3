//! Event channels. Xen's calls stay masked: the event loop looks at the bits itself, and sleeps in `SCHEDOP_poll`.
use super::{hypercall, shared, single::Single};
use crate::{drivers::grant::Doorbell, interface::event_channel};
use alloc::vec::Vec;
use core::{
    sync::atomic::{AtomicU32, Ordering},
    task::Waker,
};

struct Port {
    number: u32,
    wakers: Vec<Waker>,
}

static PORTS: Single<Vec<Port>> = Single::new(Vec::new());

/// How often all ports were lost. Their numbers are given anew afterwards, to others.
static LOST: AtomicU32 = AtomicU32::new(0);

/// Ports that `SCHEDOP_poll` takes at once.
pub const MOST_PORTS: usize = 128;

/// One end of an event channel.
#[derive(Clone, Copy, Debug)]
pub struct EventChannel {
    port: u32,
    lost: u32,
}

impl EventChannel {
    /// The open port `port`. `None` when [`MOST_PORTS`] are in use.
    pub fn new(port: u32) -> Option<Self> {
        PORTS.with(|ports| {
            if ports.len() >= MOST_PORTS || port as usize >= event_channel::PORTS {
                return None;
            }
            ports.push(Port { number: port, wakers: Vec::new() });
            Some(Self { port, lost: LOST.load(Ordering::Relaxed) })
        })
    }
    /// One that leads nowhere.
    pub fn none() -> Self {
        Self { port: u32::MAX, lost: u32::MAX }
    }
    /// It was opened in this life of the domain.
    fn is_open(&self) -> bool {
        self.lost == LOST.load(Ordering::Relaxed)
    }
    /// Its number in this domain.
    pub fn port(&self) -> u32 {
        self.port
    }
    /// Closes it.
    pub fn close(self) {
        if !self.is_open() {
            return;
        }
        PORTS.with(|ports| ports.retain(|p| p.number != self.port));
        hypercall::close(self.port);
    }
}

impl Doorbell for EventChannel {
    fn ring(&self) {
        if self.is_open() {
            hypercall::send(self.port);
        }
    }
    fn register(&self, waker: &Waker) {
        if !self.is_open() {
            return;
        }
        PORTS.with(|ports| {
            if let Some(port) = ports.iter_mut().find(|p| p.number == self.port)
                && !port.wakers.iter().any(|w| w.will_wake(waker))
            {
                port.wakers.push(waker.clone());
            }
        });
    }
}

/// All ports are gone: the domain was restored. Whoever waited is woken to find out.
pub fn forget() {
    LOST.fetch_add(1, Ordering::Relaxed);
    let ports = PORTS.with(core::mem::take);
    ports.into_iter().flat_map(|port| port.wakers).for_each(Waker::wake);
}

/// Wakes whoever waits for a port that has been rung.
pub fn scan() {
    let Some(info) = shared::shared_info() else { return };
    info.vcpu_info[0].evtchn_upcall_pending.store(0, Ordering::Relaxed);
    info.vcpu_info[0].evtchn_pending_sel.store(0, Ordering::Relaxed);
    let mut index = 0;
    loop {
        let woken = PORTS.with(|ports| {
            while let Some(port) = ports.get_mut(index) {
                index += 1;
                let bit = 1 << (port.number % 64);
                let word = &info.evtchn_pending[port.number as usize / 64 % 64];
                if word.load(Ordering::Relaxed) & bit != 0 {
                    word.fetch_and(!bit, Ordering::SeqCst);
                    return Some(core::mem::take(&mut port.wakers));
                }
            }
            None
        });
        // A waker may run any code, so it runs outside.
        let Some(wakers) = woken else { return };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Sleeps until a port is rung or system time reaches `deadline` (0: never).
pub fn sleep(deadline: u64) {
    let mut numbers = [0; MOST_PORTS];
    let count = PORTS.with(|ports| {
        for (number, port) in numbers.iter_mut().zip(ports.iter()) {
            *number = port.number;
        }
        ports.len()
    });
    // An error is a port that was closed from outside: the caller looks again at everything and comes back.
    let _ = hypercall::poll(numbers.get(..count).unwrap_or_default(), deadline);
}
