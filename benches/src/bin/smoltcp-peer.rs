//! smoltcp serving port 9 (discard) and port 19 (without end) on a tap device, in the loop of its own benchmark: buffers of 64 KiB,
//! poll the interface, serve the sockets, wait for the device or the next deadline.
use smoltcp::{
    iface::{Config, Interface, SocketSet},
    phy::{Medium, TunTapInterface, wait},
    socket::tcp,
    time::Instant,
    wire::{EthernetAddress, IpAddress, IpCidr},
};
use std::os::fd::AsRawFd;

fn main() {
    let name = std::env::args().nth(1).expect("smoltcp-peer TAP");
    let mut device = TunTapInterface::new(&name, Medium::Ethernet).expect("a tap device");
    let fd = device.as_raw_fd();
    let hardware = EthernetAddress([0x02, 0, 0, 0, 0, 0x02]);
    let mut interface = Interface::new(Config::new(hardware.into()), &mut device, Instant::now());
    interface.update_ip_addrs(|addresses| {
        addresses.push(IpCidr::new(IpAddress::v4(10, 0, 0, 2), 24)).expect("room for one address");
    });
    let buffer = || tcp::SocketBuffer::new(vec![0; 65535]);
    let mut sockets = SocketSet::new(vec![]);
    let discard = sockets.add(tcp::Socket::new(buffer(), buffer()));
    let source = sockets.add(tcp::Socket::new(buffer(), buffer()));
    println!("listening");
    loop {
        let now = Instant::now();
        interface.poll(now, &mut device, &mut sockets);
        for (handle, port) in [(discard, 9), (source, 19)] {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
            if !socket.is_open() {
                socket.listen(port).expect("a port");
            }
            if port == 9 {
                while socket.can_recv()
                    && socket.recv(|bytes| (bytes.len(), bytes.len())).is_ok_and(|n| n > 0)
                {}
            } else {
                while socket.can_send()
                    && socket.send(|bytes| (bytes.len(), bytes.len())).is_ok_and(|n| n > 0)
                {}
            }
            // One connection at a time: when the peer is done, so are we.
            if socket.state() == tcp::State::CloseWait {
                socket.abort();
            }
        }
        wait(fd, interface.poll_delay(Instant::now(), &sockets)).expect("poll");
    }
}
