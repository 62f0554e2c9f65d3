//! Network interfaces of Linux by name: `netdevice(7)`, `tun`, `packet(7)`.
use airglow_device::MacAddr;
use std::{
    ffi::{CStr, c_int, c_ulong},
    fs::{File, OpenOptions},
    io, mem,
    net::Ipv4Addr,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

// linux/if_tun.h
const TUNSETIFF: c_ulong = 0x4004_54ca;
const TUNSETOFFLOAD: c_ulong = 0x4004_54d0;
const TUN_F_CSUM: c_ulong = 0x01;
const TUN_F_TSO4: c_ulong = 0x02;
const TUN_F_TSO6: c_ulong = 0x04;
const TUN_F_TSO_ECN: c_ulong = 0x08;

/// The name of an interface: at most 15 bytes, no slash, no white space.
#[derive(Clone, Copy)]
pub(crate) struct Name([libc::c_char; libc::IFNAMSIZ]);

impl Name {
    pub(crate) fn new(name: &str) -> Option<Self> {
        let fits = (1..libc::IFNAMSIZ).contains(&name.len());
        if !fits || name.bytes().any(|b| b == b'/' || b == b'%' || b == 0 || b.is_ascii_whitespace()) {
            return None;
        }
        let mut bytes = [0; libc::IFNAMSIZ];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        Some(Self(bytes))
    }

    fn request(self) -> libc::ifreq {
        // SAFETY: all zeros is a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        request.ifr_name = self.0;
        request
    }
}

/// One of the calls that take an `ifreq`.
///
/// # Safety
/// `call` must be an ioctl whose argument is a pointer to an `ifreq`.
unsafe fn ioctl(fd: &impl AsFd, call: c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: the caller vouches for the type of the argument; the request outlives the call.
    match unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), call as _, &raw mut *request) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A socket that interfaces are asked through.
pub(crate) fn control() -> io::Result<OwnedFd> {
    let fd = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(fd)
}

pub(crate) fn index(control: &OwnedFd, name: Name) -> io::Result<c_int> {
    let mut request = name.request();
    // SAFETY: SIOCGIFINDEX takes an `ifreq` and fills in the index.
    unsafe {
        ioctl(control, libc::SIOCGIFINDEX as _, &mut request)?;
        Ok(request.ifr_ifru.ifru_ifindex)
    }
}

pub(crate) fn mtu(control: &OwnedFd, name: Name) -> io::Result<usize> {
    let mut request = name.request();
    // SAFETY: SIOCGIFMTU takes an `ifreq` and fills in the MTU.
    let mtu = unsafe {
        ioctl(control, libc::SIOCGIFMTU as _, &mut request)?;
        request.ifr_ifru.ifru_mtu
    };
    Ok(usize::try_from(mtu).unwrap_or(0))
}

pub(crate) fn mac(control: &OwnedFd, name: Name) -> io::Result<MacAddr> {
    let mut request = name.request();
    // SAFETY: SIOCGIFHWADDR takes an `ifreq` and fills in the hardware address.
    let address = unsafe {
        ioctl(control, libc::SIOCGIFHWADDR as _, &mut request)?;
        request.ifr_ifru.ifru_hwaddr
    };
    if address.sa_family != libc::ARPHRD_ETHER {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "it is no Ethernet interface"));
    }
    let [a, b, c, d, e, f, ..] = address.sa_data.map(|byte| byte as u8);
    Ok(MacAddr([a, b, c, d, e, f]))
}

/// The interface's IPv4 address on the host, if it has one.
pub(crate) fn ipv4(control: &OwnedFd, name: Name) -> Option<Ipv4Addr> {
    let mut request = name.request();
    // SAFETY: SIOCGIFADDR takes an `ifreq` and fills in an address of the family of the socket, AF_INET.
    let address = unsafe {
        ioctl(control, libc::SIOCGIFADDR as _, &mut request).ok()?;
        request.ifr_ifru.ifru_addr
    };
    let [_, _, a, b, c, d, ..] = address.sa_data.map(|byte| byte as u8);
    Some(Ipv4Addr::new(a, b, c, d))
}

/// Is the interface up and has it a carrier?
pub(crate) fn is_running(control: &OwnedFd, name: Name) -> io::Result<bool> {
    let wanted = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    Ok(flags(control, name)? & wanted == wanted)
}

fn flags(control: &OwnedFd, name: Name) -> io::Result<libc::c_short> {
    let mut request = name.request();
    // SAFETY: SIOCGIFFLAGS takes an `ifreq` and fills in the flags.
    unsafe {
        ioctl(control, libc::SIOCGIFFLAGS as _, &mut request)?;
        Ok(request.ifr_ifru.ifru_flags)
    }
}

/// Sets the interface up, if it is not.
pub(crate) fn set_up(control: &OwnedFd, name: Name) -> io::Result<()> {
    let flags = flags(control, name)?;
    let up = libc::IFF_UP as libc::c_short;
    if flags & up != 0 {
        return Ok(());
    }
    let mut request = name.request();
    request.ifr_ifru.ifru_flags = flags | up;
    // SAFETY: SIOCSIFFLAGS takes an `ifreq` with the flags.
    unsafe { ioctl(control, libc::SIOCSIFFLAGS as _, &mut request) }
}

/// Opens the tap device `name`, and creates it when there is none: non-blocking, with the virtio header before
/// each frame, and with checksum and segmentation offload from the kernel to us if `offload`.
pub(crate) fn open_tap(name: Name, offload: bool) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    let tap = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/net/tun")?;
    let mut request = name.request();
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: TUNSETIFF takes an `ifreq` with the flags.
    unsafe { ioctl(&tap, TUNSETIFF, &mut request)? };
    let features = if offload { TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN } else { 0 };
    // SAFETY: TUNSETOFFLOAD takes an integer.
    match unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETOFFLOAD as _, features) } {
        0.. => Ok(tap),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Opens a packet socket for every frame that interface `index` receives: non-blocking, with the virtio header
/// before each frame and the VLAN tag beside it, without the frames that this host sends.
pub(crate) fn open_packet(index: c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Protocol 0: nothing is received before the socket is bound to its one interface.
    // SAFETY: no pointers; the descriptor that is returned is nobody else's.
    let fd = unsafe {
        match libc::socket(libc::AF_PACKET, kind, 0) {
            fd @ 0.. => OwnedFd::from_raw_fd(fd),
            _ => return Err(io::Error::last_os_error()),
        }
    };
    const PACKET_IGNORE_OUTGOING: c_int = 23;
    for option in [libc::PACKET_VNET_HDR, libc::PACKET_AUXDATA, PACKET_IGNORE_OUTGOING] {
        set(&fd, libc::SOL_PACKET, option, &(1 as c_int))?;
    }
    // As much as the system allows, beyond its limit where the process has the right.
    let _ = set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &(8 * 1024 * 1024 as c_int));
    let _ = set(&fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &(8 * 1024 * 1024 as c_int));
    // SAFETY: all zeros is a valid `sockaddr_ll`.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is valid for `len` bytes.
    match unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) } {
        0 => Ok(fd),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many receive queues the interface has: one where the driver does not say.
pub(crate) fn receive_queues(control: &OwnedFd, name: Name) -> u32 {
    // linux/ethtool.h: struct ethtool_channels
    #[repr(C)]
    #[derive(Default)]
    struct Channels {
        command: u32,
        most: [u32; 4],
        receive: u32,
        transmit: u32,
        other: u32,
        combined: u32,
    }
    const GET_CHANNELS: u32 = 0x3c;
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    let mut request = name.request();
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: SIOCETHTOOL takes an `ifreq` that points at a structure of ethtool, which its first word names and the kernel fills.
    match unsafe { ioctl(control, libc::SIOCETHTOOL as _, &mut request) } {
        Ok(()) => channels.receive.saturating_add(channels.combined).max(1),
        Err(_) => 1,
    }
}

/// A packet socket that receives nothing, for [`join`].
pub(crate) fn open_membership() -> io::Result<OwnedFd> {
    let flags = rustix::net::SocketFlags::CLOEXEC;
    // Protocol 0 is no frame's.
    let family = rustix::net::AddressFamily::PACKET;
    Ok(rustix::net::socket_with(family, rustix::net::SocketType::RAW, flags, None)?)
}

/// What else a packet socket may receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    /// Every group.
    AllMulticast,
    /// Every frame.
    Promiscuous,
}

pub(crate) fn join(packet: &OwnedFd, index: c_int, membership: Membership) -> io::Result<()> {
    // SAFETY: all zeros is a valid `packet_mreq`.
    let mut request: libc::packet_mreq = unsafe { mem::zeroed() };
    request.mr_ifindex = index;
    request.mr_type = match membership {
        Membership::AllMulticast => libc::PACKET_MR_ALLMULTI,
        Membership::Promiscuous => libc::PACKET_MR_PROMISC,
    } as u16;
    set(packet, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// `setsockopt(2)` with a plain C value, of the type that the option takes.
pub(crate) fn set<T: Copy>(fd: &impl AsFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the value is valid for its size; the kernel reads no more of it than that, and only reads.
    let result = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Frames that a packet socket has dropped for want of room since the last call.
pub(crate) fn packet_drops(packet: impl AsFd) -> u64 {
    // SAFETY: all zeros is a valid `tpacket_stats`; the kernel fills at most `len` bytes of it.
    unsafe {
        let mut stats: libc::tpacket_stats = mem::zeroed();
        let mut len = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        let fd = packet.as_fd().as_raw_fd();
        match libc::getsockopt(
            fd,
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast(),
            &raw mut len,
        ) {
            0 => stats.tp_drops.into(),
            _ => 0,
        }
    }
}

/// The name as text.
impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.0.map(|byte| byte as u8);
        let name = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
        f.write_str(&name.to_string_lossy())
    }
}
