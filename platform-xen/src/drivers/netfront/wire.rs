//! The layouts of `io/netif.h`, as the 32-bit words of the ring.

/// More of this frame follows in the next slot.
pub const MORE_DATA: u16 = 1 << 2;
/// An extra-information slot follows.
pub const EXTRA_INFO: u16 = 1 << 3;
/// Transmit: the checksum field holds the pseudo-header's sum only.
pub const TX_CHECKSUM_BLANK: u16 = 1 << 0;
/// Transmit: the data may be trusted as it is.
pub const TX_DATA_VALIDATED: u16 = 1 << 1;
/// Receive: the data has been validated.
pub const RX_DATA_VALIDATED: u16 = 1 << 0;
/// Receive: the checksum field is not filled in; the frame never left the machine.
pub const RX_CHECKSUM_BLANK: u16 = 1 << 1;

/// A transmit response that stands for an extra-information slot.
pub const STATUS_NULL: i16 = 1;
/// The kind of extra information that says how a frame is cut.
pub const EXTRA_GSO: u8 = 1;
/// Another extra-information slot follows.
pub const EXTRA_MORE: u8 = 1;
/// TCP over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// TCP over IPv6.
pub const GSO_TCPV6: u8 = 2;

/// A transmit request. In a frame's first slot `size` is the whole frame's, in the others the slot's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxRequest {
    /// The page.
    pub grant: u32,
    /// First byte in it.
    pub offset: u16,
    /// See above.
    pub flags: u16,
    /// Comes back in the response.
    pub id: u16,
    /// Bytes.
    pub size: u16,
}

impl TxRequest {
    /// As it lies in the ring.
    pub fn words(self) -> [u32; 3] {
        [
            self.grant,
            u32::from(self.offset) | u32::from(self.flags) << 16,
            u32::from(self.id) | u32::from(self.size) << 16,
        ]
    }
}

/// The extra-information slot of a frame that is to be cut, in a ring of `WORDS` words a slot.
pub fn gso<const WORDS: usize>(segment: u16, kind: u8) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    let all = [u32::from(EXTRA_GSO) | u32::from(segment) << 16, u32::from(kind)];
    for (word, value) in words.iter_mut().zip(all) {
        *word = value;
    }
    words
}

/// A transmit response: the request's id and how it went.
pub fn tx_response(words: [u32; 3]) -> (u16, i16) {
    (words[0] as u16, (words[0] >> 16) as i16)
}

/// A receive request: a page to fill.
pub fn rx_request(id: u16, grant: u32) -> [u32; 2] {
    [u32::from(id), grant]
}

/// A receive response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxResponse {
    /// The request's.
    pub id: u16,
    /// First byte in the page.
    pub offset: u16,
    /// See above.
    pub flags: u16,
    /// Bytes, or negative for an error.
    pub status: i16,
}

impl RxResponse {
    /// From its words in the ring.
    pub fn new(words: [u32; 2]) -> Self {
        Self {
            id: words[0] as u16,
            offset: (words[0] >> 16) as u16,
            flags: words[1] as u16,
            status: (words[1] >> 16) as i16,
        }
    }
}

/// An extra-information slot on the receive ring: kind, flags, and for [`EXTRA_GSO`] the segment size.
pub fn rx_extra(words: [u32; 2]) -> (u8, u8, u16) {
    (words[0] as u8, (words[0] >> 8) as u8, (words[0] >> 16) as u16)
}
