//! The thin asynchronous part: a [`Switch`] over network devices and controllers' streams.
use crate::{
    stream::{Ended, next_message, send as send_bytes},
    switch::{Config, ConnectionId, Output, Switch},
};
use airglow_device::{Caps, NetDevice, NetRx, NetTx, RxMeta, Stream, Timer, pass_on};
use airglow_runtime::{Either, select, timeout};
use alloc::{string::String, vec::Vec};
use bytes::BytesMut;
use core::{
    cell::RefCell,
    convert::Infallible,
    future::poll_fn,
    task::{Poll, Waker},
    time::Duration,
};

/// Frames taken from a port in one turn.
const BUDGET: usize = 64;
/// Bytes of answers that are sent before the next request is looked at: many requests for long answers do not add up.
const MUCH: usize = 64 * 1024;
/// Silence after which a controller is asked whether it is there.
const IDLE: Duration = Duration::from_secs(15);

/// A switch that joins devices.
pub struct Datapath<D: NetDevice, T> {
    inner: RefCell<Inner<D>>,
    timer: T,
}

struct Inner<D: NetDevice> {
    switch: Switch,
    ports: Ports<D>,
    driver: Option<Waker>,
    controllers: Vec<(ConnectionId, Waker)>,
}

/// The devices behind ports 1, 2, and so on.
struct Ports<D> {
    devices: Vec<D>,
    caps: Vec<Caps>,
    // Which ports have something to flush.
    unflushed: Vec<bool>,
}

/// Sends to all devices but the one that is lent out, whose transmitting half stands beside.
struct Lent<'a, D: NetDevice> {
    before: &'a mut [D],
    tx: &'a mut D::Tx,
    after: &'a mut [D],
    caps: &'a [Caps],
    unflushed: &'a mut [bool],
}

impl<D: NetDevice> Output for Lent<'_, D> {
    fn transmit(&mut self, port: u32, frame: &[u8], meta: RxMeta) -> bool {
        let Some(index) = (port as usize).checked_sub(1) else { return false };
        let (Some(caps), Some(flag)) = (self.caps.get(index), self.unflushed.get_mut(index)) else {
            return false;
        };
        *flag = true;
        let here = self.before.len();
        if index == here {
            return pass_on(self.tx, caps, frame, meta);
        }
        let other =
            if index < here { self.before.get_mut(index) } else { self.after.get_mut(index - here - 1) };
        other.is_some_and(|device| pass_on(device.split().1, caps, frame, meta))
    }
}

impl<D: NetDevice> Output for Ports<D> {
    fn transmit(&mut self, port: u32, frame: &[u8], meta: RxMeta) -> bool {
        let Some(index) = (port as usize).checked_sub(1) else { return false };
        let Some(device) = self.devices.get_mut(index) else { return false };
        self.unflushed[index] = true;
        pass_on(device.split().1, &self.caps[index], frame, meta)
    }
}

impl<D: NetDevice> Ports<D> {
    fn flush(&mut self) {
        for (device, flag) in self.devices.iter_mut().zip(&mut self.unflushed) {
            if core::mem::take(flag) {
                device.split().1.flush();
            }
        }
    }
}

impl<D: NetDevice, T: Timer> Datapath<D, T> {
    /// A switch whose ports 1, 2, ... are these devices, each with its name.
    pub fn new(config: Config, random: u64, devices: Vec<(String, D)>, timer: T) -> Self {
        let now = timer.now();
        let mut switch = Switch::new(config, random);
        for (index, (name, device)) in devices.iter().enumerate() {
            switch.add_port(now, index as u32 + 1, name, device.mac(), 0);
        }
        let devices: Vec<D> = devices.into_iter().map(|(_, device)| device).collect();
        let caps = devices.iter().map(NetDevice::caps).collect();
        let ports = Ports { unflushed: devices.iter().map(|_| false).collect(), caps, devices };
        Self { inner: RefCell::new(Inner { switch, ports, driver: None, controllers: Vec::new() }), timer }
    }

    /// Calls `f` with the switch, to look at it.
    pub fn with_switch<R>(&self, f: impl FnOnce(&Switch) -> R) -> R {
        f(&self.inner.borrow().switch)
    }

    /// Carries frames and keeps time. Never returns; poll it beside [`control`](Self::control).
    pub async fn run(&self) -> Infallible {
        poll_fn(|cx| {
            let inner = &mut *self.inner.borrow_mut();
            let Inner { switch, ports, driver, controllers } = inner;
            *driver = Some(cx.waker().clone());
            let now = self.timer.now();
            let mut more = false;
            for index in 0..ports.devices.len() {
                let (before, rest) = ports.devices.split_at_mut(index);
                let Some((device, after)) = rest.split_first_mut() else { break };
                switch.link(index as u32 + 1, device.link() == airglow_device::LinkState::Up);
                let (rx, tx) = device.split();
                let mut out: Lent<'_, D> =
                    Lent { before, tx, after, caps: &ports.caps, unflushed: &mut ports.unflushed };
                let taken = rx.receive(BUDGET, |frame, meta| {
                    if switch.take(index as u32 + 1, frame, meta) {
                        switch.forward(now, &mut out);
                    }
                });
                switch.forward(now, &mut out);
                more |= taken >= BUDGET;
            }
            switch.poll(now);
            ports.flush();
            for (id, waker) in controllers.iter() {
                if switch.has_output(*id) {
                    waker.wake_by_ref();
                }
            }
            for device in &mut ports.devices {
                more |= device.poll_ready(cx, false).is_ready();
            }
            if more {
                cx.waker().wake_by_ref();
            }
            if let Some(at) = switch.poll_timeout() {
                self.timer.wake_at(at, cx.waker());
            }
            Poll::Pending
        })
        .await
    }

    /// Speaks with one controller until its stream ends, it breaks the protocol, or it is silent for too long.
    pub async fn control(&self, mut stream: impl Stream) {
        stream.set_nodelay(true);
        let id = self.inner.borrow_mut().switch.connected();
        let connection = Connected { datapath: self, id };
        let _ = connection.speak(&mut stream).await;
        let _ = stream.close().await;
    }
}

/// A controller's connection, taken back when dropped.
struct Connected<'d, D: NetDevice, T: Timer> {
    datapath: &'d Datapath<D, T>,
    id: ConnectionId,
}

impl<D: NetDevice, T: Timer> Drop for Connected<'_, D, T> {
    fn drop(&mut self) {
        let mut inner = self.datapath.inner.borrow_mut();
        inner.switch.disconnected(self.id);
        inner.controllers.retain(|(id, _)| *id != self.id);
    }
}

impl<D: NetDevice, T: Timer> Connected<'_, D, T> {
    async fn speak(&self, stream: &mut impl Stream) -> Result<(), Ended> {
        let timer = &self.datapath.timer;
        let mut input = BytesMut::new();
        let mut asked = false;
        loop {
            self.send(stream).await?;
            let mut chunk = [0; 4096];
            // Whichever comes first: bytes from the controller, something to tell it, or silence.
            let next = select(stream.read(&mut chunk), self.output());
            match timeout(timer, IDLE, next).await {
                Ok(Either::Left(Ok(0) | Err(_))) => return Ok(()),
                Ok(Either::Left(Ok(count))) => {
                    asked = false;
                    input.extend_from_slice(chunk.get(..count).unwrap_or(&[]));
                    while self.take(&mut input)? {
                        self.send(stream).await?;
                    }
                }
                Ok(Either::Right(())) => {}
                Err(_) if asked => return Err(Ended),
                Err(_) => {
                    asked = true;
                    self.datapath.inner.borrow_mut().switch.ask(self.id);
                }
            }
        }
    }

    /// Hands the whole messages in `input` to the switch, until it has much to answer: `true` when there may be more of them.
    fn take(&self, input: &mut BytesMut) -> Result<bool, Ended> {
        let inner = &mut *self.datapath.inner.borrow_mut();
        let now = self.datapath.timer.now();
        let result = loop {
            match next_message(input) {
                Ok(Some(message)) => {
                    if inner.switch.message(now, self.id, &message, &mut inner.ports).is_err() {
                        break Err(Ended);
                    }
                    if inner.switch.output_len(self.id) > MUCH {
                        break Ok(true);
                    }
                }
                end => break end.map(|_| false),
            }
        };
        inner.ports.flush();
        // Flows may now end earlier, and other controllers may have something to hear.
        if let Some(waker) = &inner.driver {
            waker.wake_by_ref();
        }
        result
    }

    async fn send(&self, stream: &mut impl Stream) -> Result<(), Ended> {
        let Self { datapath, id } = self;
        send_bytes(&datapath.timer, stream, || datapath.inner.borrow_mut().switch.take_output(*id)).await
    }

    /// Waits until there is something to send.
    async fn output(&self) {
        poll_fn(|cx| {
            let inner = &mut *self.datapath.inner.borrow_mut();
            if inner.switch.has_output(self.id) {
                return Poll::Ready(());
            }
            match inner.controllers.iter_mut().find(|(id, _)| *id == self.id) {
                Some((_, waker)) => waker.clone_from(cx.waker()),
                None => inner.controllers.push((self.id, cx.waker().clone())),
            }
            Poll::Pending
        })
        .await;
    }
}
