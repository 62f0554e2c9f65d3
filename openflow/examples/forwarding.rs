//! Frames that a switch forwards, for counting instructions: `forwarding RULES FRAMES`. Nothing but what lies inside `forward_batch` is
//! of interest; `benches/tests/instructions.rs` has callgrind count it.
use airglow_device::{Instant, MacAddr, RxMeta};
use airglow_openflow::{
    switch::{Config, Output, Switch},
    wire::{Action, Field, FlowMod, Kind, Match, Version, emit},
};
use std::env;

/// Frames that a turn of the switch handles.
const BATCH: usize = 64;

/// Counts what goes out.
struct Sent(usize);

impl Output for Sent {
    fn transmit(&mut self, _: u32, _: &[u8], _: RxMeta) -> bool {
        self.0 += 1;
        true
    }
}

/// A batch of frames arrives and goes on.
#[inline(never)]
fn forward_batch(switch: &mut Switch, frames: &[[u8; 60]], sent: &mut Sent) {
    for frame in frames {
        if switch.take(1, frame, RxMeta::default()) {
            switch.forward(Instant::from_secs(10), sent);
        }
    }
    switch.forward(Instant::from_secs(10), sent);
}

/// UDP to one of as many addresses as there are rules.
fn frame(flow: usize) -> [u8; 60] {
    let mut frame = [0; 60];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    frame[14..26].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame[26..30].copy_from_slice(&[10, 9, 0, 1]);
    frame[30..34].copy_from_slice(&address(flow).to_be_bytes());
    frame[34..42].copy_from_slice(&[0, 1, 0, 9, 0, 26, 0, 0]);
    frame
}

const fn address(flow: usize) -> u32 {
    0x0a40_0000 + flow as u32
}

fn rule(flow: usize) -> FlowMod {
    let matches = Match::ANY.exact(Field::EthType, 0x0800).exact(Field::Ipv4Dst, address(flow).into());
    FlowMod::add(matches).priority(10).actions(vec![Action::output(2)])
}

fn main() {
    let number =
        |index| env::args().nth(index).and_then(|n| n.parse().ok()).expect("forwarding RULES FRAMES");
    let (rules, wanted): (usize, usize) = (number(1), number(2));
    let mut switch = Switch::new(Config::new(1), 0);
    for number in 1..=2 {
        switch.add_port(Instant::ZERO, number, "port", MacAddr([2, 0, 0, 0, 0, number as u8]), 0);
    }
    let (id, mut sent) = (switch.connected(), Sent(0));
    let mut say = |switch: &mut Switch, kind, body: &dyn Fn(&mut Vec<u8>)| {
        let mut message = Vec::new();
        emit(Version::V13, kind, 1, &mut message, |out| body(out));
        switch.message(Instant::ZERO, id, &message, &mut sent).expect("a message");
    };
    say(&mut switch, Kind::Hello, &|_| {});
    (0..rules).for_each(|flow| say(&mut switch, Kind::FlowMod, &|out| rule(flow).emit(Version::V13, out)));
    assert_eq!(switch.flows(), rules);
    // A step that has no factor in common with the number of rules mixes their order.
    let frames: Vec<_> = (0..rules.next_multiple_of(BATCH)).map(|n| frame(n * 7919 % rules)).collect();
    while sent.0 < wanted {
        for batch in frames.chunks_exact(BATCH) {
            forward_batch(&mut switch, batch, &mut sent);
        }
    }
    println!("{}", sent.0);
}
