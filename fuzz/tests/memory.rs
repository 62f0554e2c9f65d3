//! Nothing that a peer sends makes a host grow: the heap after 40,000 frames, many of them new connections, is that after 10,000.
use airglow_fuzz::{Host, corpus, generator::Generator};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Counts the bytes that are in use.
struct Counting;
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let before = IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        PEAK.fetch_max(before + layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_host_does_not_grow() {
    let inputs = corpus::load("frames");
    let mut host = Host::new(false);
    let mut generator = Generator::new(&inputs, 5);
    let mut after = Vec::new();
    let mut frame = vec![0; 54];
    for round in 0..4_u32 {
        for number in 0..1_000_u32 {
            let input = generator.input();
            host.replay(input.get(1..).unwrap_or_default());
            host.receive(&gateway(), false, false);
            // And a flood of connections from ever new addresses and ports.
            for flood in 0..10 {
                let id = (round * 10_000 + number * 10 + flood).wrapping_mul(2_654_435_761);
                frame.splice(.., syn(id)).for_each(drop);
                host.receive(&frame, true, false);
            }
            host.wait(Duration::from_millis(20));
        }
        // Quiet, so that what is only waiting for its time to run out is gone.
        for _ in 0..60 {
            host.wait(Duration::from_secs(10));
        }
        after.push(IN_USE.load(Ordering::Relaxed));
    }
    let peak = PEAK.load(Ordering::Relaxed);
    println!("bytes in use after each round: {after:?}, at most {peak}");
    let (first, last) = (after[0], after[3]);
    assert!(last < first + first / 8 + 64 * 1024, "{after:?}");
    // TCP's 64 MiB of buffers and 16,384 connections, and the corpus.
    assert!(peak < 100 << 20, "{peak}");
}

/// The gateway says where it is, so that answers to far addresses go somewhere.
fn gateway() -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2];
    frame.extend([2, 0, 0, 0, 0, 2, 10, 0, 0, 254, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1]);
    frame
}

/// A SYN to the echo service from an address and port made of `id`.
fn syn(id: u32) -> Vec<u8> {
    let [a, b, c, d] = id.to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 172, 16, a & 15, b, 10, 0, 0, 1]);
    frame.extend([c | 4, d, 0, 7, a, b, c, d, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}
