//! The console's ring (`io/console.h`): bytes out, bytes in.
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering, fence};

/// The page that `xenconsoled` shares with the guest.
#[repr(C)]
#[derive(Debug)]
pub struct Interface {
    input: [AtomicU8; 1024],
    output: [AtomicU8; 2048],
    in_cons: AtomicU32,
    in_prod: AtomicU32,
    out_cons: AtomicU32,
    out_prod: AtomicU32,
}

impl Interface {
    /// Puts as much of `bytes` in the ring as there is room for and returns how much that was. Ring the
    /// console's event channel when it was more than nothing.
    #[must_use]
    pub fn write(&self, bytes: &[u8]) -> usize {
        let producer = self.out_prod.load(Ordering::Relaxed);
        let waiting = producer.wrapping_sub(self.out_cons.load(Ordering::Acquire));
        // A consumer that is ahead of us or more than a ring behind reads nothing sensible: treat it as full.
        let room = (self.output.len() as u32).saturating_sub(waiting);
        let count = bytes.len().min(room as usize);
        for (i, byte) in bytes.iter().take(count).enumerate() {
            let at = producer.wrapping_add(i as u32) as usize % self.output.len();
            self.output[at].store(*byte, Ordering::Relaxed);
        }
        self.out_prod.store(producer.wrapping_add(count as u32), Ordering::Release);
        fence(Ordering::SeqCst);
        count
    }

    /// Everything written has been taken.
    pub fn is_drained(&self) -> bool {
        self.out_prod.load(Ordering::Relaxed) == self.out_cons.load(Ordering::Acquire)
    }

    /// Takes what was typed, up to `buffer`'s length. Ring the event channel when it was more than nothing: the
    /// other side may wait for room.
    #[must_use]
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        let consumer = self.in_cons.load(Ordering::Relaxed);
        let producer = self.in_prod.load(Ordering::Acquire);
        let waiting = producer.wrapping_sub(consumer) as usize;
        if waiting > self.input.len() {
            // No ring holds so much: drop it all.
            self.in_cons.store(producer, Ordering::Release);
            return 0;
        }
        let count = waiting.min(buffer.len());
        for (i, byte) in buffer.iter_mut().take(count).enumerate() {
            *byte = self.input[consumer.wrapping_add(i as u32) as usize % self.input.len()]
                .load(Ordering::Relaxed);
        }
        self.in_cons.store(consumer.wrapping_add(count as u32), Ordering::Release);
        fence(Ordering::SeqCst);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface() -> Interface {
        Interface {
            input: [const { AtomicU8::new(0) }; 1024],
            output: [const { AtomicU8::new(0) }; 2048],
            in_cons: AtomicU32::new(u32::MAX - 10),
            in_prod: AtomicU32::new(u32::MAX - 10),
            out_cons: AtomicU32::new(u32::MAX - 10),
            out_prod: AtomicU32::new(u32::MAX - 10),
        }
    }

    #[test]
    fn bytes_go_around_the_ring() {
        let ring = interface();
        let text: [u8; 3000] = core::array::from_fn(|i| i as u8);
        assert_eq!(ring.write(&text), 2048);
        assert_eq!(ring.write(&text), 0);
        ring.out_cons.fetch_add(2000, Ordering::Relaxed);
        assert_eq!(ring.write(&text[2048..]), 952);
        assert!(!ring.is_drained());
        for (i, byte) in text.iter().enumerate().skip(2000) {
            let at = (u32::MAX - 10).wrapping_add(i as u32) as usize % 2048;
            assert_eq!(ring.output[at].load(Ordering::Relaxed), *byte);
        }
        ring.out_cons.store(ring.out_prod.load(Ordering::Relaxed), Ordering::Relaxed);
        assert!(ring.is_drained());
    }

    #[test]
    fn typed_bytes_come_out_once() {
        let ring = interface();
        for (i, byte) in b"hello".iter().enumerate() {
            ring.input[(u32::MAX - 10).wrapping_add(i as u32) as usize % 1024]
                .store(*byte, Ordering::Relaxed);
        }
        ring.in_prod.fetch_add(5, Ordering::Relaxed);
        let mut buffer = [0; 4];
        assert_eq!(ring.read(&mut buffer), 4);
        assert_eq!(&buffer, b"hell");
        assert_eq!(ring.read(&mut buffer), 1);
        assert_eq!(ring.read(&mut buffer), 0);
    }

    #[test]
    fn absurd_indices_do_no_harm() {
        let ring = interface();
        ring.out_cons.store(5, Ordering::Relaxed);
        assert_eq!(ring.write(b"x"), 0);
        ring.in_prod.store(123_456, Ordering::Relaxed);
        assert_eq!(ring.read(&mut [0; 16]), 0);
        assert_eq!(ring.read(&mut [0; 16]), 0);
    }
}
