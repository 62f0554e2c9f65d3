//! The async shell: devices, the cores of IP and TCP, and who waits for what.
use crate::{
    address::Origin,
    config::InterfaceConfig,
    error::Error,
    forward::Filter,
    ip::{Core, Delivery, IpStats},
    link::{Link, Ports},
    memory::{Memory, Slice, UdpWakers},
    multicast::Owner,
    output::{Outgoing, SendError},
    route::RouteEntry,
    socket::tcp::{ListenerWakers, StreamWakers},
    tcp::{self, IcmpError, IpOutput, Storage, Tcp, TcpStats},
    udp::{Answer, Responder},
    wire::protocol,
};
use airglow_device::{Entropy, Full, Instant, LinkState, NetDevice, NetRx, NetTx, Timer};
use core::{
    cell::RefCell,
    convert::Infallible,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll, Waker},
};

/// Frames taken from each interface in one turn.
const BUDGET: usize = 64;

/// A TCP/IP stack over up to `N` network devices of one kind.
///
/// `'m` is the memory of its tables, `D` the devices, `T` the platform's timer, `S` where TCP's connections live.
/// Nothing happens unless [`run`](Self::run) is polled.
pub struct Stack<'m, D: NetDevice, T: Timer, S: Storage, const N: usize = 1> {
    pub(crate) inner: RefCell<Inner<'m, D, S, N>>,
    pub(crate) timer: T,
}

pub(crate) struct Inner<'m, D: NetDevice, S: Storage, const N: usize> {
    pub devices: heapless::Vec<D, N>,
    pub core: Core<'m>,
    pub tcp: Tcp<S>,
    pub wakers: Slice<'m, UdpWakers>,
    /// Whoever drives the stack: the run task, or a responder's.
    driver: Option<Waker>,
    /// The run task, while a responder drives.
    run: Option<Waker>,
    /// The socket of the responder that drives.
    responder: Option<usize>,
    address_waiter: Option<Waker>,
    unflushed: u32,
    full: u32,
    poked: bool,
    /// The last turn sent nothing: what it received is with the application.
    awaited: bool,
}

impl<D: NetDevice, S, const N: usize> Inner<'_, D, S, N>
where
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    /// After a user's call to TCP, before which it had to be looked at again by `deadline`: one piece of code for all those calls.
    #[inline(never)]
    fn called(&mut self, deadline: Option<Instant>) {
        wake_tcp(&mut self.tcp);
        let sooner = self.tcp.poll_timeout().is_some_and(|at| deadline.is_none_or(|before| at < before));
        if sooner || self.tcp.has_output() {
            self.poke();
        }
    }

    fn poke(&mut self) {
        if !self.poked {
            self.poked = true;
            if let Some(waker) = &self.driver {
                waker.wake_by_ref();
            }
        }
    }
}

/// The way out for TCP: IP over the stack's devices.
pub struct Output<'a, 'm> {
    pub(crate) core: &'a mut Core<'m>,
    pub(crate) link: &'a mut dyn Link,
    pub(crate) now: Instant,
}

impl<'a, 'm> Output<'a, 'm> {
    /// The way out through `core` and `link` at `now`.
    pub fn new(core: &'a mut Core<'m>, link: &'a mut dyn Link, now: Instant) -> Self {
        Self { core, link, now }
    }
}

impl IpOutput for Output<'_, '_> {
    fn route(&mut self, dst: IpAddr) -> Option<tcp::Route> {
        let path = self.core.path(self.now, dst, None)?;
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
        //# A TCP implementation MUST reject as an error a local OPEN call for an invalid remote IP address
        //# (e.g., a broadcast or multicast address) (MUST-46).
        if self.core.is_broadcast(path.interface, dst) {
            return None;
        }
        let source = self.core.source(self.now, path.interface, dst)?;
        let interface = self.core.interfaces.get(path.interface)?;
        let header = crate::output::ip_header_len(dst);
        let tso = match dst {
            _ if path.local => 0,
            IpAddr::V4(_) => interface.caps.tso_v4,
            IpAddr::V6(_) => interface.caps.tso_v6,
        };
        // The IP length field ends at 65,535.
        let tso = tso.min(65_535).saturating_sub(header);
        let mtu = self.core.path_mtu(self.now, path, dst);
        Some(tcp::Route { source, mtu: mtu.saturating_sub(header), tso })
    }

    #[cfg(feature = "plpmtud")]
    fn largest(&mut self, dst: IpAddr) -> usize {
        let Some(path) = self.core.path(self.now, dst, None).filter(|path| !path.local) else { return 0 };
        let link = self.core.link_mtu(path, dst);
        let most = self.core.path_mtus.most(self.now, dst).map_or(link, |most| most.min(link));
        most.saturating_sub(crate::output::ip_header_len(dst))
    }

    #[cfg(feature = "plpmtud")]
    fn path_found(&mut self, dst: IpAddr, mtu: usize, most: usize) {
        let header = crate::output::ip_header_len(dst);
        let Some(path) = self.core.path(self.now, dst, None).filter(|path| !path.local) else { return };
        if mtu + header >= self.core.link_mtu(path, dst) {
            return self.core.path_mtus.forget(dst);
        }
        self.core.path_mtus.found(self.now, dst, mtu + header, most + header);
    }

    fn send(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        traffic_class: u8,
        len: usize,
        tso_segment: u16,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), Full> {
        let packet = Outgoing { traffic_class, tso_segment, ..Outgoing::new(src, dst, protocol::TCP, len) };
        let mut fill = Some(fill);
        let sent = self.core.send_packet(self.now, self.link, &packet, &mut |room| {
            let Some(fill) = fill.take() else { return 0 };
            fill(room);
            room.len()
        });
        match sent {
            Ok(()) => Ok(()),
            Err(SendError::Full) => Err(Full),
            Err(SendError::NoRoute | SendError::TooLong) => {
                self.core.stats.no_route += 1;
                Ok(())
            }
        }
    }
}

impl<'m, D, T, S, const N: usize> Stack<'m, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    /// A stack over `devices`, its interfaces in that order (at most 32). `memory`: a `&mut` [`StackMemory`](crate::StackMemory) or
    /// [`Limits`](crate::Limits); devices beyond a `StackMemory`'s `INTERFACES` are left alone. `entropy` is asked once.
    /// Then [`configure`](Self::configure) each interface and poll [`run`](Self::run).
    pub fn new(
        devices: [D; N],
        timer: T,
        entropy: &impl Entropy,
        memory: impl Into<Memory<'m>>,
        storage: S,
    ) -> Self {
        Self::with_tcp_config(devices, timer, entropy, memory, storage, tcp::Config::default())
    }

    /// The same over as many devices as there are, at most `N`, and with TCP's times, limits and sizes.
    pub fn with_tcp_config(
        devices: impl IntoIterator<Item = D>,
        timer: T,
        entropy: &impl Entropy,
        memory: impl Into<Memory<'m>>,
        storage: S,
        config: tcp::Config,
    ) -> Self {
        let (mut seed, mut secret) = ([0; 16], [0; 32]);
        entropy.fill(&mut seed);
        entropy.fill(&mut secret);
        let (mut core, wakers) = Core::new(memory.into(), seed);
        let devices: heapless::Vec<_, N> = devices.into_iter().take(N).collect();
        for device in &devices {
            if core.add_interface(device.mac(), device.caps()).is_err() {
                break;
            }
        }
        let inner = Inner {
            devices,
            core,
            tcp: Tcp::new(storage, config, secret),
            wakers,
            driver: None,
            run: None,
            responder: None,
            address_waiter: None,
            unflushed: 0,
            full: 0,
            poked: false,
            awaited: false,
        };
        Self { inner: RefCell::new(inner), timer }
    }

    /// Gives interface number `interface` its addresses, or says where to get them.
    ///
    /// # Errors
    /// [`Error::NoInterface`], [`Error::TableFull`], [`Error::InvalidInput`], and [`Error::AddrInUse`] when the stack has the address already.
    pub fn configure(&self, interface: usize, config: &InterfaceConfig) -> Result<(), Error> {
        let now = self.timer.now();
        let result = self.inner.borrow_mut().core.configure(now, interface, config);
        self.poke();
        result
    }

    /// Adds an interface that is the VLAN `id` (1 to 4094) of interface number `parent`; its own number, to
    /// [`configure`](Self::configure) it by. A [`StackMemory`](crate::StackMemory) must have a place for it beside the devices'.
    ///
    /// # Errors
    /// [`Error::NoInterface`], [`Error::InvalidInput`], [`Error::AddrInUse`] when there is one, [`Error::TableFull`].
    pub fn add_vlan(&self, parent: usize, id: u16) -> Result<usize, Error> {
        self.inner.borrow_mut().core.add_vlan(parent, id)
    }

    /// Adds a route, or renews the one with the same destination, gateway and interface.
    ///
    /// # Errors
    /// [`Error::TableFull`].
    pub fn add_route(&self, route: RouteEntry) -> Result<(), Error> {
        self.inner.borrow_mut().core.add_route(route)
    }

    /// Forwards packets between the interfaces from now on, or no longer; at the start it does not. Routes say where to: those of
    /// the interfaces' networks, gateways, and [`add_route`](Self::add_route).
    pub fn set_forwarding(&self, on: bool) {
        self.inner.borrow_mut().core.set_forwarding(on);
    }

    /// Answers ARP requests on `interface` for hosts that are reached over other interfaces (RFC 1027), when forwarding is on, so that
    /// hosts there need no route to them; off at first.
    #[cfg(feature = "forwarding")]
    pub fn set_proxy_arp(&self, interface: usize, on: bool) {
        self.inner.borrow_mut().core.set_proxy_arp(interface, on);
    }

    /// The hop limit (TTL) of packets to single hosts over `interface`, 64 at first; that of IPv6 is replaced when a router says another
    /// (RFC 4861 section 6.3.4).
    pub fn set_hop_limit(&self, interface: usize, hop_limit: u8) {
        self.inner.borrow_mut().core.set_hop_limit(interface, hop_limit);
    }

    /// Asks `filter` about every packet that comes.
    pub fn set_filter(&self, filter: Option<&'m dyn Filter>) {
        self.inner.borrow_mut().core.set_filter(filter);
    }

    /// The platform's timer, for those who hold only the stack.
    pub fn timer(&self) -> &T {
        &self.timer
    }

    /// Drives the stack: receives, answers, sends, keeps time. Never returns; poll it beside the application.
    pub async fn run(&self) -> Infallible {
        poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            if inner.responder.is_some() {
                // A responder drives the stack. It wakes this task when it goes.
                set_waker(&mut inner.run, cx);
                return Poll::Pending;
            }
            self.drive(&mut inner, cx, None);
            Poll::Pending
        })
        .await
    }

    /// Waits until an address is in use, and returns it: one from a DHCP server if an interface was told to ask for it, else any that is
    /// not IPv6 link-local.
    pub async fn wait_address(&self) -> IpAddr {
        poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            let leased = inner.core.interfaces.iter().any(|i| i.dhcp.is_some());
            let wanted = |a: &&crate::Address| {
                let origin = if leased { a.origin == Origin::Dhcp } else { a.origin != Origin::LinkLocal };
                a.is_usable() && origin
            };
            let found = inner.core.addresses().find(wanted);
            match found.map(|a| a.cidr.addr) {
                Some(addr) => Poll::Ready(addr),
                None => {
                    set_waker(&mut inner.address_waiter, cx);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Sorts the addresses of a name into the order in which to try them (RFC 6724), by what would be sent from.
    pub fn sort_destinations(&self, addresses: &mut [IpAddr]) {
        let now = self.timer.now();
        let inner = &mut *self.inner.borrow_mut();
        let core = RefCell::new(&mut inner.core);
        crate::sort_destinations(addresses, |dst| {
            let mut core = core.borrow_mut();
            let path = core.path(now, dst, None)?;
            core.source(now, path.interface, dst)
        });
    }

    /// Gives an interface's DHCP leases back, and their addresses with them, and asks for no other until the interface is configured again.
    pub fn release_dhcp(&self, interface: usize) {
        self.with_core(|core, now, link| {
            core.release_dhcp(now, interface, link);
            #[cfg(feature = "dhcpv6")]
            core.release_dhcpv6(now, interface, link);
        });
        self.poke();
    }

    /// Calls `f` with each address of the stack.
    pub fn with_addresses(&self, mut f: impl FnMut(&crate::Address)) {
        self.inner.borrow().core.addresses().for_each(&mut f);
    }

    /// Calls `f` with each domain in which to look for names without dots, as routers (RFC 8106) or DHCPv6 servers (RFC 3646) said.
    #[cfg(feature = "search-list")]
    pub fn with_search_domains(&self, f: impl FnMut(&str)) {
        self.inner.borrow().core.search_domains().for_each(f);
    }

    /// The name servers that DHCP or routers named, as many as `out` takes; returns how many there are.
    pub fn name_servers(&self, out: &mut [IpAddr]) -> usize {
        let inner = self.inner.borrow();
        let servers =
            inner.core.interfaces.iter().flat_map(|i| i.name_servers.iter()).map(|server| server.addr);
        let mut count = 0;
        for (to, from) in out.iter_mut().zip(servers.clone()) {
            *to = from;
            count += 1;
        }
        count
    }

    /// The IP layer's counters.
    pub fn ip_stats(&self) -> IpStats {
        *self.inner.borrow().core.stats()
    }

    /// TCP's counters.
    pub fn tcp_stats(&self) -> TcpStats {
        *self.inner.borrow().tcp.stats()
    }

    /// What TCP's tables and buffers hold now.
    pub fn tcp_usage(&self) -> tcp::Usage {
        self.inner.borrow_mut().tcp.usage()
    }

    /// Traces every connection or no longer does; off at first. One alone: [`Stream::set_trace`](crate::socket::tcp::Stream::set_trace).
    #[cfg(feature = "trace")]
    pub fn set_trace(&self, on: bool) {
        self.inner.borrow_mut().tcp.trace_all(on);
    }

    /// Samples that gave way to later ones before they were taken.
    #[cfg(feature = "trace")]
    pub fn samples_dropped(&self) -> u64 {
        self.inner.borrow().tcp.samples_dropped()
    }

    /// The oldest sample of the traced connections that was not yet taken. The last 256 are kept.
    #[cfg(feature = "trace")]
    pub fn next_sample(&self) -> Option<tcp::Sample> {
        self.inner.borrow_mut().tcp.next_sample()
    }

    /// The counters of the device of interface number `interface`.
    pub fn device_stats(&self, interface: usize) -> Option<airglow_device::NetStats> {
        self.inner.borrow().devices.get(interface).map(NetDevice::stats)
    }

    /// Sees to it that what a user call caused goes out in this turn, all of a batch with one flush.
    pub(crate) fn poke(&self) {
        self.inner.borrow_mut().poke();
    }

    /// Calls `f` with TCP, the time and the way out, then sees to it that what `f` caused is sent.
    pub(crate) fn with_tcp<R>(&self, f: impl FnOnce(&mut Tcp<S>, Instant, &mut Output<'_, 'm>) -> R) -> R {
        let now = self.timer.now();
        let mut inner = self.inner.borrow_mut();
        let Inner { devices, core, tcp, unflushed, full, .. } = &mut *inner;
        let deadline = tcp.poll_timeout();
        let mut ports = Ports::<D> { before: devices, lending: None, after: &mut [], unflushed, full };
        let result = f(tcp, now, &mut Output { core, link: &mut ports, now });
        inner.called(deadline);
        result
    }

    /// Calls `f` with the IP core, the time and the devices.
    pub(crate) fn with_core<R>(&self, f: impl FnOnce(&mut Core<'m>, Instant, &mut dyn Link) -> R) -> R {
        let now = self.timer.now();
        let inner = &mut *self.inner.borrow_mut();
        let Inner { devices, core, unflushed, full, .. } = inner;
        let mut ports = Ports::<D> { before: devices, lending: None, after: &mut [], unflushed, full };
        f(core, now, &mut ports)
    }

    /// One turn of the stack, by the run task or by a responder.
    fn drive(
        &self,
        inner: &mut Inner<'m, D, S, N>,
        cx: &mut Context<'_>,
        mut responder: Option<Responder<'_>>,
    ) {
        set_waker(&mut inner.driver, cx);
        inner.poked = false;
        let now = self.timer.now();
        let mut more = false;

        let Inner { devices, core, tcp, unflushed, full, awaited, .. } = &mut *inner;
        for index in 0..devices.len() {
            let (before, rest) = devices.split_at_mut(index);
            let Some((device, after)) = rest.split_first_mut() else { break };
            core.link_changed(now, index, device.link() == LinkState::Up);
            let (rx, tx) = device.split();
            let mut ports = Ports::<D> { before, lending: Some(tx), after, unflushed, full };
            let taken = rx.receive(BUDGET, |frame, meta| {
                if let Some(delivery) = core.receive(now, index, frame, meta, &mut ports, responder.as_mut())
                {
                    deliver(now, core, tcp, &mut ports, delivery);
                }
                if core.has_held() {
                    receive_held(now, core, tcp, &mut ports, responder.as_mut());
                }
            });
            more |= taken >= BUDGET;
        }

        let mut ports = Ports::<D> { before: devices, lending: None, after: &mut [], unflushed, full };
        receive_held(now, core, tcp, &mut ports, responder.as_mut());
        if let Some(responder) = responder.as_mut() {
            core.udp_respond_queued(now, &mut ports, responder);
        }
        core.poll(now, &mut ports);
        // Whoever was woken to read may answer at once, close, or make room: what this turn has to say then goes out in the next, in the
        // same segments and with the same flush. That one sends in any case.
        *awaited = S::SOME && wake_tcp(tcp) && !*awaited;
        let mut all_sent = true;
        if S::SOME && !*awaited {
            all_sent = tcp.poll_transmit(now, &mut Output { core, link: &mut ports, now });
            wake_tcp(tcp);
        }

        let mut groups = heapless::Vec::<_, 64>::new();
        let mut room = false;
        for (index, device) in devices.iter_mut().enumerate() {
            let bit = 1u32.checked_shl(index as u32).unwrap_or(0);
            if *unflushed & bit != 0 && !*awaited {
                device.split().1.flush();
            }
            if *full & bit != 0 && device.split().1.capacity() > 0 {
                *full &= !bit;
                room = true;
            }
            if core.take_groups(index, &mut groups) {
                device.set_multicast(&groups);
            }
        }
        if *awaited {
            more = true;
        } else {
            *unflushed = 0;
        }
        // What was sent to ourselves in this turn is received in the next.
        more |= core.has_held();
        room |= core.loopback.take_full();
        wake_udp(inner, room);

        for (index, device) in inner.devices.iter_mut().enumerate() {
            let bit = 1u32.checked_shl(index as u32).unwrap_or(0);
            more |= device.poll_ready(cx, inner.full & bit != 0).is_ready();
        }
        let tcp_timeout = if S::SOME { inner.tcp.poll_timeout() } else { None };
        let at = inner.core.poll_timeout().unwrap_or(Instant::MAX).min(tcp_timeout.unwrap_or(Instant::MAX));
        if at < Instant::MAX {
            self.timer.wake_at(at, cx.waker());
        }
        if more || (room && !all_sent) {
            cx.waker().wake_by_ref();
        }
    }

    /// Serves a bound socket in place; polled again and again by the `respond` future.
    pub(crate) fn poll_respond(&self, cx: &mut Context<'_>, socket: usize, answer: &mut Answer<'_>) {
        let mut inner = self.inner.borrow_mut();
        if let Some(wakers) = inner.wakers.get_mut(socket) {
            set_waker(&mut wakers.receive, cx);
        }
        let mut answer = |peer: SocketAddr, question: &[u8], reply: &mut [u8]| answer(peer, question, reply);
        let responder = Responder { socket, answer: &mut answer };
        match inner.responder {
            None => {
                inner.responder = Some(socket);
                // Who drove until now takes over again when this service ends.
                inner.run = inner.driver.take();
                self.drive(&mut inner, cx, Some(responder));
            }
            Some(driving) if driving == socket => self.drive(&mut inner, cx, Some(responder)),
            Some(_) => {
                // Another service drives: answer what it queued for this one.
                let mut responder = responder;
                drop(inner);
                self.with_core(|core, now, link| core.udp_respond_queued(now, link, &mut responder));
                self.poke();
            }
        }
    }

    /// A socket goes; if its responder drove the stack, another one or the run task takes over.
    pub(crate) fn close_udp(&self, socket: usize) {
        let mut inner = self.inner.borrow_mut();
        inner.core.leave_all(self.timer.now(), Owner::Socket(socket));
        inner.core.udp_close(socket);
        if let Some(wakers) = inner.wakers.get_mut(socket) {
            *wakers = UdpWakers::default();
        }
        if inner.responder == Some(socket) {
            inner.responder = None;
            inner.driver = None;
            if let Some(waker) = inner.run.take() {
                waker.wake();
            }
        }
    }
}

/// Hands TCP what IP has for it.
fn deliver<S: Storage>(
    now: Instant,
    core: &mut Core<'_>,
    tcp: &mut Tcp<S>,
    link: &mut dyn Link,
    delivery: Delivery<'_>,
) {
    if !S::SOME {
        return;
    }
    match delivery {
        Delivery::Segment { src, dst, ecn, segment, gro_segment } => {
            let mut output = Output { core, link, now };
            tcp.input(now, src, dst, ecn, segment, gro_segment, &mut output);
        }
        Delivery::Error { error, src, dst, quoted } => {
            let believed = tcp.unreachable(now, error, src, dst, quoted);
            if let (true, IcmpError::TooBig(mtu)) = (believed, error) {
                core.path_too_big(now, dst, mtu, usize::MAX);
            }
        }
    }
}

/// Receives what was put together of fragments or sent to ourselves.
fn receive_held<S: Storage>(
    now: Instant,
    core: &mut Core<'_>,
    tcp: &mut Tcp<S>,
    link: &mut dyn Link,
    responder: Option<&mut Responder<'_>>,
) {
    core.receive_held(now, link, responder, &mut |core, link, delivery| {
        deliver(now, core, tcp, link, delivery);
    });
}

/// Keeps the task's waker unless it is kept already.
pub(crate) fn set_waker(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Wakes who waits for TCP; whether one of them waited to read or to accept.
fn wake_tcp<S>(tcp: &mut Tcp<S>) -> bool
where
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    let mut readers = false;
    if !S::SOME {
        return readers;
    }
    while let Some(wakers) = tcp.next_ready() {
        readers |= wakers.wake();
    }
    while let Some(wakers) = tcp.next_acceptable() {
        wakers.wake();
        readers = true;
    }
    readers
}

/// Wakes who waits for a datagram that came, for an address, and, if there may be room again, for room to send.
fn wake_udp<D: NetDevice, S: Storage, const N: usize>(inner: &mut Inner<'_, D, S, N>, room: bool) {
    let Inner { core: ip, wakers, address_waiter, .. } = inner;
    if core::mem::take(&mut ip.addresses_changed)
        && let Some(waker) = address_waiter.take()
    {
        waker.wake();
    }
    if !core::mem::take(&mut ip.any_ready) && !room {
        return;
    }
    for (slot, wakers) in ip.sockets.iter_mut().zip(wakers.iter_mut()) {
        if core::mem::take(&mut slot.ready)
            && let Some(waker) = wakers.receive.take()
        {
            waker.wake();
        }
        if room && let Some(waker) = wakers.send.take() {
            waker.wake();
        }
    }
}
