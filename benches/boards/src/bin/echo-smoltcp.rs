//! Ping and echo on smoltcp.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "arm"))]
mod image {
    use airglow_bench_boards::{ADDRESS, BUFFER};
    use airglow_device::{Clock, NetDevice, NetRx, NetTx, Timer};
    use airglow_platform_arm::cortex_m;
    use core::{future::poll_fn, task::Poll};
    #[cfg(feature = "tcp")]
    use smoltcp::socket::tcp as socket;
    #[cfg(not(feature = "tcp"))]
    use smoltcp::socket::udp as socket;
    use smoltcp::{
        iface::{Config, Interface, SocketSet, SocketStorage},
        phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken},
        time::Instant,
        wire::{EthernetAddress, IpAddress, IpCidr},
    };

    /// Our driver as smoltcp's device. A token is handed out when a frame waits and there is room to answer it; the frame is
    /// lent from the driver's staging buffer, as it is to our own stack.
    struct Card(cortex_m::Net);
    type Rx = <cortex_m::Net as NetDevice>::Rx;
    type Tx = <cortex_m::Net as NetDevice>::Tx;
    struct Receive<'a>(&'a mut Rx);
    struct Transmit<'a>(&'a mut Tx);

    impl Device for Card {
        type RxToken<'a> = Receive<'a>;
        type TxToken<'a> = Transmit<'a>;
        fn receive(&mut self, _: Instant) -> Option<(Receive<'_>, Transmit<'_>)> {
            let (rx, tx) = self.0.split();
            (rx.waiting() && tx.capacity() > 0).then_some((Receive(rx), Transmit(tx)))
        }
        fn transmit(&mut self, _: Instant) -> Option<Transmit<'_>> {
            let (_, tx) = self.0.split();
            (tx.capacity() > 0).then_some(Transmit(tx))
        }
        fn capabilities(&self) -> DeviceCapabilities {
            let mut capabilities = DeviceCapabilities::default();
            capabilities.medium = Medium::Ethernet;
            capabilities.max_transmission_unit = 1514;
            capabilities
        }
    }

    impl RxToken for Receive<'_> {
        fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
            let mut f = Some(f);
            let mut result = None;
            self.0.receive(1, |frame, _| {
                if let Some(f) = f.take() {
                    result = Some(f(frame));
                }
            });
            // The driver may have dropped what it announced; smoltcp wants a frame, and drops an empty one.
            match (result, f) {
                (Some(result), _) => result,
                (None, Some(f)) => f(&[]),
                (None, None) => unreachable!(),
            }
        }
    }

    impl TxToken for Transmit<'_> {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
            match self.0.transmit(len.max(14), |slot| f(&mut slot.bytes[..len])) {
                Ok(result) => result,
                // A token is only made while there is room.
                Err(_) => unreachable!(),
            }
        }
    }

    #[unsafe(no_mangle)]
    extern "C" fn main() -> ! {
        static RECEIVE: cortex_m::Once<[u8; BUFFER]> = cortex_m::Once::new([0; BUFFER]);
        static SEND: cortex_m::Once<[u8; BUFFER]> = cortex_m::Once::new([0; BUFFER]);
        static SOCKETS: cortex_m::Once<[SocketStorage<'static>; 1]> =
            cortex_m::Once::new([SocketStorage::EMPTY]);
        let kernel = cortex_m::start();
        let (Some(device), Some(receive), Some(send), Some(storage)) =
            (cortex_m::net(kernel), RECEIVE.take(), SEND.take(), SOCKETS.take())
        else {
            cortex_m::reset()
        };
        let now = || Instant::from_micros(kernel.now().as_micros() as i64);
        let hardware = EthernetAddress(device.mac().0);
        let mut card = Card(device);
        let mut interface = Interface::new(Config::new(hardware.into()), &mut card, now());
        let [a, b, c, d] = ADDRESS;
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(IpAddress::v4(a, b, c, d), 24));
        });
        let mut sockets = SocketSet::new(&mut storage[..]);
        #[cfg(not(feature = "tcp"))]
        let handle = {
            static PACKETS: cortex_m::Once<[[socket::PacketMetadata; 4]; 2]> =
                cortex_m::Once::new([[socket::PacketMetadata::EMPTY; 4]; 2]);
            let Some([incoming, outgoing]) = PACKETS.take() else { cortex_m::reset() };
            let mut socket = socket::Socket::new(
                socket::PacketBuffer::new(&mut incoming[..], &mut receive[..]),
                socket::PacketBuffer::new(&mut outgoing[..], &mut send[..]),
            );
            let _ = socket.bind(7);
            sockets.add(socket)
        };
        #[cfg(feature = "tcp")]
        let handle = sockets.add(socket::Socket::new(
            socket::SocketBuffer::new(&mut receive[..]),
            socket::SocketBuffer::new(&mut send[..]),
        ));
        airglow_runtime::block_on(
            kernel,
            poll_fn(|cx| {
                loop {
                    interface.poll(now(), &mut card, &mut sockets);
                    let served = serve(sockets.get_mut(handle));
                    if !served && card.0.poll_ready(cx, false).is_pending() {
                        break;
                    }
                }
                if let Some(delay) = interface.poll_delay(now(), &sockets) {
                    kernel.wake_at(
                        kernel.now() + core::time::Duration::from_micros(delay.total_micros()),
                        cx.waker(),
                    );
                }
                Poll::<()>::Pending
            }),
        );
        cortex_m::reset()
    }

    /// Echoes what is there; whether anything was.
    #[cfg(not(feature = "tcp"))]
    fn serve(socket: &mut socket::Socket<'_>) -> bool {
        let mut served = false;
        while socket.can_send() {
            let Ok((len, peer)) = socket.peek().map(|(bytes, meta)| (bytes.len(), *meta)) else { break };
            let mut bytes = [0; BUFFER];
            let Some(bytes) = bytes.get_mut(..len) else { break };
            served = socket.recv_slice(bytes).is_ok() && socket.send_slice(bytes, peer.endpoint).is_ok();
        }
        served
    }

    /// Echoes what is there; whether anything was.
    #[cfg(feature = "tcp")]
    fn serve(socket: &mut socket::Socket<'_>) -> bool {
        if !socket.is_open() {
            let _ = socket.listen(7);
            return false;
        }
        let mut bytes = [0; 536];
        let room = (socket.send_capacity() - socket.send_queue()).min(bytes.len());
        let len = if room > 0 && socket.can_recv() {
            socket.recv_slice(&mut bytes[..room]).unwrap_or(0)
        } else {
            0
        };
        if len > 0 {
            let _ = socket.send_slice(&bytes[..len]);
        } else if !socket.may_recv() && socket.may_send() && socket.state() != socket::State::Listen {
            socket.close();
            return true;
        }
        len > 0
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is an image for a board: cargo airglow bench arm");
}
