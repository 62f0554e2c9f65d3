//! What goes over the bus: commands, check sums, the card's register of its size (SD Physical Layer Simplified Specification,
//! version 9.00, chapters 4, 5 and 7).

/// GO_IDLE_STATE: with the select line low, the card is in SPI mode from here on.
pub const GO_IDLE: u8 = 0;
/// SEND_IF_COND: the voltage, and a pattern to be said back; cards before version 2.00 do not know it.
pub const SEND_IF_COND: u8 = 8;
pub const SEND_CSD: u8 = 9;
pub const SEND_CID: u8 = 10;
pub const STOP_TRANSMISSION: u8 = 12;
pub const SEND_STATUS: u8 = 13;
pub const SET_BLOCKLEN: u8 = 16;
pub const READ_SINGLE: u8 = 17;
pub const READ_MULTIPLE: u8 = 18;
pub const WRITE_BLOCK: u8 = 24;
pub const WRITE_MULTIPLE: u8 = 25;
/// SD_SEND_OP_COND, an application command: start up.
pub const SEND_OP_COND: u8 = 41;
/// APP_CMD: the next command is of the application's set.
pub const APP_CMD: u8 = 55;
pub const READ_OCR: u8 = 58;
pub const CRC_ON_OFF: u8 = 59;

/// 2.7 to 3.6 V, and the pattern.
pub const IF_COND: u32 = 0x1aa;
/// In the argument of SD_SEND_OP_COND: this host knows cards of more than 2 GB.
pub const HCS: u32 = 1 << 30;
/// In the first byte of the OCR: the card is addressed by sectors.
pub const CCS: u8 = 1 << 6;

/// Bits of the answer R1 (section 7.3.2.1).
pub const IDLE: u8 = 1 << 0;
pub const ILLEGAL_COMMAND: u8 = 1 << 2;
pub const CRC_ERROR: u8 = 1 << 3;

/// In front of a block of data; of a block of a multiple write; after the last of those.
pub const START_BLOCK: u8 = 0xfe;
pub const START_MULTIPLE: u8 = 0xfc;
pub const STOP_TRAN: u8 = 0xfd;

/// The bits of the answer to written data that count (section 7.3.3.1), and what they say.
pub const DATA_RESPONSE: u8 = 0x1f;
pub const ACCEPTED: u8 = 0x05;
pub const REFUSED_CRC: u8 = 0x0b;

/// A command as it is sent.
pub fn command(index: u8, argument: u32) -> [u8; 6] {
    let [a, b, c, d] = argument.to_be_bytes();
    let head = [0x40 | index, a, b, c, d];
    [head[0], a, b, c, d, crc7(&head) << 1 | 1]
}

/// x^7 + x^3 + 1 (section 4.5).
pub fn crc7(bytes: &[u8]) -> u8 {
    let mut crc = 0u8;
    for &byte in bytes {
        for bit in 0..8 {
            crc <<= 1;
            if (byte << bit ^ crc) & 0x80 != 0 {
                crc ^= 0x09;
            }
        }
    }
    crc & 0x7f
}

/// x^16 + x^12 + x^5 + 1 (section 4.5).
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, &byte| {
        let mut crc = crc.swap_bytes() ^ u16::from(byte);
        crc ^= (crc & 0xff) >> 4;
        crc ^= crc << 12;
        crc ^ (crc & 0xff) << 5
    })
}

/// What the card-specific data says: sectors of 512 bytes, and whether they may be written; `None` for a layout that is not
/// known (section 5.3).
pub fn size(csd: &[u8; 16]) -> Option<(u64, bool)> {
    let field = |at: usize| u64::from(csd[at]);
    let sectors = match csd[0] >> 6 {
        0 => {
            let block_length = csd[5] & 0xf;
            let size = (field(6) & 3) << 10 | field(7) << 2 | field(8) >> 6;
            let multiplier = (csd[9] & 3) << 1 | csd[10] >> 7;
            ((size + 1) << (multiplier + 2) << block_length) >> 9
        }
        1 => (((field(7) & 0x3f) << 16 | field(8) << 8 | field(9)) + 1) << 10,
        _ => return None,
    };
    // PERM_WRITE_PROTECT, TMP_WRITE_PROTECT.
    Some((sectors, csd[14] & 0x30 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of section 4.5.
    #[test]
    fn check_sums() {
        assert_eq!(command(GO_IDLE, 0), [0x40, 0, 0, 0, 0, 0x95]);
        assert_eq!(crc7(&[0x51, 0, 0, 0, 0]), 0b010_1010);
        assert_eq!(crc7(&[0x11, 0, 0, 9, 0]), 0b011_0011);
        assert_eq!(crc16(&[0xff; 512]), 0x7fa1);
    }

    #[test]
    fn sizes() {
        // Version 1.0: C_SIZE 3874, C_SIZE_MULT 7, READ_BL_LEN 9, 1 GB. Version 2.0: C_SIZE 0x3b37, 8 GB, write-protected.
        let old = [0, 0x26, 0, 0x32, 0x5f, 0x59, 0x83, 0xc8, 0xad, 0xdb, 0xcf, 0xff, 0xd2, 0x40, 0x40, 0xa5];
        let (sectors, read_only) = size(&old).unwrap();
        assert_eq!((sectors, read_only), ((3874 + 1) * 512, false));
        let new = [0x40, 0x0e, 0, 0x32, 0x5b, 0x59, 0, 0, 0x3b, 0x37, 0x7f, 0x80, 0x0a, 0x40, 0x10, 0];
        assert_eq!(size(&new), Some(((0x3b37 + 1) * 1024, true)));
        assert_eq!(size(&[0x80; 16]), None);
    }
}
