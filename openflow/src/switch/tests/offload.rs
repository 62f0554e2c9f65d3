//! Frames whose checksum is left to a card, and segments that a card has coalesced.
use super::*;
use airglow_device::{
    Caps, Full, NetTx, TxFrame, complete_checksum, cut_segments, describe_checksum, pass_on,
};

const TAKEN: RxMeta = RxMeta::new(true, 100);

/// A port's card, without offloads or with all of them, and what comes out of it.
struct Card {
    caps: Caps,
    frames: Vec<Vec<u8>>,
}

impl NetTx for Card {
    fn capacity(&self) -> usize {
        64
    }
    fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> R) -> Result<R, Full> {
        let mut bytes = vec![0; len];
        let mut slot = TxFrame::new(&mut bytes);
        let result = fill(&mut slot);
        let meta = slot.meta;
        cut_segments(&mut bytes, meta, &mut [0; 1518], |part| self.frames.push(part.to_vec())).unwrap();
        Ok(result)
    }
    fn flush(&mut self) {}
}

impl Output for Card {
    fn transmit(&mut self, _: u32, frame: &[u8], meta: RxMeta) -> bool {
        let caps = self.caps;
        pass_on(self, &caps, frame, meta)
    }
}

/// TCP from 10.0.0.1 to 10.0.0.2, its checksums as a sender leaves them to a card.
fn tcp(payload: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend((40 + payload as u16).to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    let sum: u32 = frame[14..].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    frame[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    frame.extend([0, 80, 0, 99, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    frame.extend((0..payload).map(|n| n as u8));
    describe_checksum(&mut frame).unwrap();
    frame
}

/// Whether the checksums are those that computing them anew gives.
fn is_complete(frame: &[u8]) -> bool {
    let mut again = frame.to_vec();
    let meta = describe_checksum(&mut again).unwrap();
    complete_checksum(&mut again, meta) && again == frame
}

#[test]
fn what_is_changed_on_its_way_leaves_complete() {
    let value = |bytes: &[u8]| FieldValue(core::array::from_fn(|n| bytes.get(n).copied().unwrap_or(0)));
    let changes: [Vec<Action>; 4] = [
        vec![],
        vec![
            Action::SetField(Field::Ipv4Dst, value(&[192, 168, 7, 9])),
            Action::DecIpTtl,
            Action::SetTransportDst(8080),
        ],
        vec![Action::PushVlan(0x8100), Action::SetField(Field::VlanVid, value(&[0x10, 7]))],
        vec![Action::PushMpls(0x8847)],
    ];
    let all = Caps::new(1500).with_checksums(true, true).with_tso(65_535, 65_535);
    for (actions, caps) in changes.iter().flat_map(|actions| [(actions, Caps::new(1500)), (actions, all)]) {
        for (payload, meta, frames) in [(0, RxMeta::new(true, 0), 1), (3001, RxMeta::new(true, 1000), 4)] {
            let mut bench = Bench::new(Version::V13);
            let actions = actions.iter().copied().chain([output(2)]).collect();
            bench
                .flow(flow(1, Match::ANY.exact(Field::EthType, 0x0800).exact(Field::IpProto, 6), actions))
                .unwrap();
            let mut card = Card { caps, frames: Vec::new() };
            let _ = bench.switch.take(1, &tcp(payload), meta);
            bench.switch.forward(bench.now, &mut card);
            assert_eq!(card.frames.len(), frames);
            assert!(card.frames.iter().all(|frame| is_complete(frame)), "{caps:?} {:x?}", card.frames);
            let port = bench.switch.ports().nth(1).unwrap();
            assert_eq!((port.stats.tx_packets, port.stats.tx_dropped), (1, 0));
        }
    }
    // Longer than the port's MTU and nothing that can be cut: dropped and counted.
    let mut bench = Bench::new(Version::V13);
    bench.flow(flow(1, Match::ANY, vec![output(2)])).unwrap();
    let mut card = Card { caps: Caps::new(1500), frames: Vec::new() };
    let _ = bench.switch.take(1, &tcp(2000), RxMeta::new(true, 0));
    bench.switch.forward(bench.now, &mut card);
    let port = bench.switch.ports().nth(1).unwrap();
    assert_eq!((card.frames.len(), port.stats.tx_packets, port.stats.tx_dropped), (0, 0, 1));
}

#[test]
fn a_controller_is_told_of_each_segment() {
    let mut bench = Bench::new(Version::V13);
    bench
        .flow(flow(1, Match::ANY, vec![Action::Output { port: port::CONTROLLER, max_len: 0xffff }]))
        .unwrap();
    let _ = bench.switch.take(1, &tcp(250), TAKEN);
    bench.switch.forward(bench.now, &mut bench.sent);
    let told = bench.replies();
    assert_eq!(told.len(), 3);
    for ((kind, body), payload) in told.iter().zip([100, 100, 50]) {
        assert_eq!(*kind, Kind::PacketIn);
        let frame = &body[body.len() - (54 + payload)..];
        assert_eq!(u16::from_be_bytes([body[4], body[5]]), 54 + payload as u16);
        assert!(frame[..6] == [2, 0, 0, 0, 0, 2] && is_complete(frame), "{frame:x?}");
    }
}
