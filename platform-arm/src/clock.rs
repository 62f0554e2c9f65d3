//! A 64-bit clock out of a counter that wraps.

/// Extends a `BITS`-bit counter that counts up, read at least once in every round.
///
/// Whoever reads less often loses whole rounds: the clock then stands behind, but never goes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extended<const BITS: u32> {
    ticks: u64,
    last: u32,
}

impl<const BITS: u32> Extended<BITS> {
    const MASK: u32 = u32::MAX >> (32 - BITS);

    /// Starts at 0 where the counter stands at `counter`.
    pub const fn new(counter: u32) -> Self {
        Self { ticks: 0, last: counter & Self::MASK }
    }

    /// Ticks since the start, now that the counter stands at `counter`.
    pub const fn read(&mut self, counter: u32) -> u64 {
        self.ticks += (counter.wrapping_sub(self.last) & Self::MASK) as u64;
        self.last = counter & Self::MASK;
        self.ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_add_up() {
        let mut clock = Extended::<24>::new(0xff_fff0);
        let mut counter = 0xff_fff0u32;
        let mut ticks = 0;
        for step in [0, 1, 0x10, 0xff_ffff, 0x80_0000, 7, 0xff_ffff] {
            counter = counter.wrapping_add(step) & 0xff_ffff;
            ticks += u64::from(step);
            assert_eq!(clock.read(counter), ticks);
        }
    }
}
