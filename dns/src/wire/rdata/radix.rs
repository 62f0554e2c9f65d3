//! Hexadecimal, base 32 and base 64 (RFC 4648), digit by digit, so that zone files may break them anywhere.
use super::Writer;
use crate::Error;
use core::fmt;

/// A power-of-two number system.
pub(super) struct Radix {
    bits: u32,
    digits: &'static [u8],
    padded: bool,
}

pub(super) const HEX: Radix = Radix { bits: 4, digits: b"0123456789ABCDEF", padded: false };
pub(super) const BASE32_HEX: Radix =
    Radix { bits: 5, digits: b"0123456789ABCDEFGHIJKLMNOPQRSTUV", padded: false };
pub(super) const BASE64: Radix = Radix {
    bits: 6,
    digits: b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    padded: true,
};

impl Radix {
    fn value(&self, digit: u8) -> Option<u32> {
        let folded = if self.bits < 6 { digit.to_ascii_uppercase() } else { digit };
        self.digits.iter().position(|&d| d == folded).map(|v| v as u32)
    }

    /// Appends the bytes that `digits` stand for.
    pub(super) fn decode(&self, digits: impl Iterator<Item = u8>, out: &mut Writer<'_>) -> Result<(), Error> {
        let (mut word, mut have, mut count, mut padding) = (0_u32, 0, 0_usize, 0);
        for digit in digits {
            if self.padded && digit == b'=' {
                padding += 1;
                continue;
            }
            let value = self.value(digit).filter(|_| padding == 0).ok_or(Error::BadRecord)?;
            word = word << self.bits | value;
            have += self.bits;
            count += 1;
            if have >= 8 {
                have -= 8;
                out.put(&[(word >> have) as u8])?;
                word &= (1 << have) - 1;
            }
        }
        // What is left over must be zero bits that do not make up a digit.
        let whole = !self.padded || (count + padding) % 4 == 0 && padding < 3;
        if have < self.bits && word == 0 && whole { Ok(()) } else { Err(Error::BadRecord) }
    }

    /// Writes `bytes` as digits.
    pub(super) fn encode(&self, bytes: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
        let (mut word, mut have, mut count) = (0_u32, 0, 0_usize);
        let mut digit = |index: u32| {
            count += 1;
            let digit = self.digits.get(index as usize & ((1 << self.bits) - 1));
            out.write_char(char::from(*digit.unwrap_or(&b'?')))
        };
        for byte in bytes {
            word = word << 8 | u32::from(*byte);
            have += 8;
            while have >= self.bits {
                have -= self.bits;
                digit(word >> have)?;
                word &= (1 << have) - 1;
            }
        }
        if have > 0 {
            digit(word << (self.bits - have))?;
        }
        while self.padded && count % 4 != 0 {
            count += 1;
            out.write_char('=')?;
        }
        Ok(())
    }
}
