//! `bpf(2)`: the little program that hands the frames of an interface to AF_XDP sockets. Its instructions are written down here, so that
//! no compiler for them is needed.
use std::{
    ffi::c_long,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

// linux/bpf.h: commands, and what they are about.
const MAP_CREATE: c_long = 0;
const MAP_UPDATE_ELEM: c_long = 2;
const PROG_LOAD: c_long = 5;
const LINK_CREATE: c_long = 28;
const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
const F_XDP_HAS_FRAGS: u32 = 1 << 5;
// linux/if_link.h
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Where in the kernel a program meets the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In the driver, before the kernel has made anything of a frame.
    Driver,
    /// In the network stack: slower, and for any driver.
    Stack,
}

/// One call. The attributes are a structure of linux/bpf.h as far as it is used; the kernel takes what lies behind as zeros.
///
/// # Safety
/// Each pointer in `attributes` must be valid for what `command` does with it.
unsafe fn bpf<T>(command: c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: the attributes are valid for their size; for what they point at the caller vouches.
    match unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) } {
        result @ 0.. => Ok(result as i32),
        _ => Err(io::Error::last_os_error()),
    }
}

/// As [`bpf`], for commands that return a descriptor.
///
/// # Safety
/// As [`bpf`], and `command` must return a descriptor.
unsafe fn open<T>(command: c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller vouches for the attributes; the descriptor that is returned is nobody else's.
    unsafe { bpf(command, attributes).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// `BPF_MAP_CREATE`: a table of AF_XDP sockets, one place for each receive queue.
pub(crate) fn socket_map(queues: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        key_size: u32,
        value_size: u32,
        entries: u32,
    }
    // SAFETY: no pointers; the command returns a descriptor.
    unsafe {
        open(MAP_CREATE, &Attributes { kind: MAP_TYPE_XSKMAP, key_size: 4, value_size: 4, entries: queues })
    }
}

/// `BPF_MAP_UPDATE_ELEM`: frames of queue `queue` go to `socket`, which must be bound to that queue.
pub(crate) fn set_socket(map: &OwnedFd, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        map: u32,
        padding: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let socket = socket.as_raw_fd();
    let attributes = Attributes {
        map: map.as_raw_fd() as u32,
        padding: 0,
        key: (&raw const queue) as u64,
        value: (&raw const socket) as u64,
        flags: 0,
    };
    // SAFETY: the map's keys and values have four bytes, as what the pointers point at, which outlives the call.
    unsafe { bpf(MAP_UPDATE_ELEM, &attributes).map(drop) }
}

/// One instruction of eBPF (RFC 9669 section 3.1).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    opcode: u8,
    // The low half is the destination, the high half the source, on a machine whose bytes are in little order.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(opcode: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    let registers =
        if cfg!(target_endian = "little") { source << 4 | destination } else { destination << 4 | source };
    Instruction { opcode, registers, offset, immediate }
}

/// `return bpf_redirect_map(map, context->rx_queue_index, XDP_PASS)`: the frame goes to the socket of its queue, or to the kernel when
/// there is none.
fn redirect(map: i32) -> [Instruction; 6] {
    const LOAD_WORD: u8 = 0x61; // dst = *(u32 *)(src + offset)
    const LOAD_IMMEDIATE_64: u8 = 0x18; // two instructions long
    const MOVE: u8 = 0xb7; // dst = immediate
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    const MAP_BY_DESCRIPTOR: u8 = 1;
    const RX_QUEUE_INDEX: i16 = 16; // struct xdp_md
    const XDP_PASS: i32 = 2;
    const REDIRECT_MAP: i32 = 51; // bpf_redirect_map
    [
        instruction(LOAD_WORD, 2, 1, RX_QUEUE_INDEX, 0),
        instruction(LOAD_IMMEDIATE_64, 1, MAP_BY_DESCRIPTOR, 0, map),
        instruction(0, 0, 0, 0, 0),
        instruction(MOVE, 3, 0, 0, XDP_PASS),
        instruction(CALL, 0, 0, 0, REDIRECT_MAP),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

/// `BPF_PROG_LOAD`: the program that hands frames to the sockets in `map`.
/// With `parts` also those that lie in several buffers, which not every driver has.
pub(crate) fn load_redirect(map: &OwnedFd, parts: bool) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
        interface: u32,
        expected_attach: u32,
    }
    let instructions = redirect(map.as_raw_fd());
    let attributes = Attributes {
        kind: PROG_TYPE_XDP,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: if parts { F_XDP_HAS_FRAGS } else { 0 },
        name: *b"airglow\0\0\0\0\0\0\0\0\0",
        interface: 0,
        expected_attach: ATTACH_XDP,
    };
    // SAFETY: the instructions, as many as is said, and the license, which ends with a zero, outlive the call; the command returns a
    // descriptor.
    unsafe { open(PROG_LOAD, &attributes) }
}

/// `BPF_LINK_CREATE`: the program meets the frames of interface `interface` until the descriptor that is returned is closed, if only
/// by the end of the process.
pub(crate) fn attach(program: &OwnedFd, interface: u32, mode: Mode) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        program: u32,
        interface: u32,
        kind: u32,
        flags: u32,
    }
    let flags = match mode {
        Mode::Driver => XDP_FLAGS_DRV_MODE,
        Mode::Stack => XDP_FLAGS_SKB_MODE,
    };
    // SAFETY: no pointers; the command returns a descriptor.
    unsafe {
        open(
            LINK_CREATE,
            &Attributes { program: program.as_raw_fd() as u32, interface, kind: ATTACH_XDP, flags },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_program_is_as_an_assembler_writes_it() {
        // What `bpftool prog dump xlated` and clang make of the same line of C, RFC 9669 section 3.
        let bytes: Vec<u8> = redirect(7)
            .iter()
            .flat_map(|i| {
                let [a, b] = i.offset.to_le_bytes();
                let [c, d, e, f] = i.immediate.to_le_bytes();
                [i.opcode, i.registers, a, b, c, d, e, f]
            })
            .collect();
        let expected = [
            [0x61, 0x12, 16, 0, 0, 0, 0, 0],
            [0x18, 0x11, 0, 0, 7, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0xb7, 0x03, 0, 0, 2, 0, 0, 0],
            [0x85, 0, 0, 0, 51, 0, 0, 0],
            [0x95, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(size_of::<Instruction>(), 8);
    }
}
