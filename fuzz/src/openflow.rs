//! OpenFlow: what the codec reads and writes, and a switch between controllers and hosts.
use airglow_device::{Instant, MacAddr, RxMeta};
use airglow_openflow::{
    switch::{Config, ConnectionId, Output, Switch},
    wire::{
        Action, Features, FlowMod, FlowRemoved, GroupMod, HEADER, Header, Instructions, Kind, MeterMod,
        PacketIn, PacketOut, PortReason, Reader, Version, port,
    },
};
use std::time::Duration;

/// A version, a kind and the body of a message: what is read is written, and reads as the same.
pub fn openflow_codec(data: &[u8]) {
    let Some((&[kind, version], body)) = data.split_first_chunk() else { return };
    // The odd ones are 1.0 as ever, so that the corpus keeps its meaning.
    let version = match version & 7 {
        2 => Version::V14,
        4 => Version::V15,
        number if number & 1 == 0 => Version::V13,
        _ => Version::V10,
    };
    match kind % 8 {
        0 => {
            if let Ok(change) = FlowMod::parse(version, body) {
                let mut out = Vec::new();
                change.emit(version, &mut out);
                assert_eq!(FlowMod::parse(version, &out).as_ref(), Ok(&change), "{out:02x?}");
            }
        }
        1 => {
            let mut reader = Reader(body);
            let mut actions = Vec::new();
            while let Ok(action) = Action::parse(version, &mut reader) {
                action.emit(version, &mut actions);
                let read = Action::parse(version, &mut Reader(&actions));
                assert_eq!(read, Ok(action), "{actions:02x?}");
                actions.clear();
            }
        }
        2 => {
            let version = if version == Version::V10 { Version::V13 } else { version };
            if let Ok(instructions) = Instructions::parse(version, body) {
                let mut out = Vec::new();
                instructions.emit(version, &mut out);
                assert_eq!(Instructions::parse(version, &out), Ok(instructions), "{out:02x?}");
            }
        }
        4 => {
            let with_table = body.first().is_some_and(|byte| byte & 1 == 0);
            if let Ok(change) = FlowMod::parse_nicira(version, with_table, body) {
                let mut out = Vec::new();
                change.emit_nicira(version, with_table, &mut out);
                let read = FlowMod::parse_nicira(version, with_table, &out);
                assert_eq!(read.as_ref(), Ok(&change), "{out:02x?}");
            }
        }
        5 => {
            if let Ok(change) = GroupMod::parse(version, body) {
                let mut out = Vec::new();
                change.emit(version, &mut out);
                assert_eq!(GroupMod::parse(version, &out).as_ref(), Ok(&change), "{out:02x?}");
            }
        }
        6 => {
            if let Ok((description, _)) =
                PortReason::parse(version, body).map(|(reason, port)| (port, reason))
            {
                let mut out = Vec::new();
                description.emit(version, &mut out);
                let _ = port::Description::parse(version, &mut Reader(&out)).expect("what was written");
            }
            let _ = (PacketIn::parse(version, body), FlowRemoved::parse(version, body));
            let _ = (PacketOut::parse(version, body), Features::parse(version, body));
        }
        _ => {
            if let Ok(change) = MeterMod::parse(body) {
                let mut out = Vec::new();
                change.emit(&mut out);
                assert_eq!(MeterMod::parse(&out).as_ref(), Ok(&change), "{out:02x?}");
            }
            let _ = GroupMod::parse(version, body);
        }
    }
}

const PORTS: u32 = 4;

/// Counts what is sent, and that it is sent to ports that are there.
struct Ports(usize);

impl Output for Ports {
    fn transmit(&mut self, port: u32, frame: &[u8], _: RxMeta) -> bool {
        assert!((1..=PORTS).contains(&port) && frame.len() >= 14, "{} bytes to port {port}", frame.len());
        self.0 += 1;
        true
    }
}

/// Groups of bytes: the first of each says whether the rest is a message of one of three controllers, a frame at a port, or time
/// that passes. The switch answers every message that asks for an answer, in whole messages of the version agreed on; one that
/// it refuses changes no flow.
pub fn openflow_switch(data: &[u8]) {
    let config = Config {
        tables: 4,
        flows: 32,
        groups: 8,
        meters: 8,
        buffers: 4,
        backlog: 4096,
        bundles: 4096,
        ..Config::new(1)
    };
    let mut switch = Switch::new(config, 7);
    let mut now = Instant::ZERO;
    for number in 1..=PORTS {
        switch.add_port(now, number, "port", MacAddr([2, 0, 0, 0, 0, number as u8]), 0);
    }
    let mut ports = Ports(0);
    let versions = [Version::V13, Version::V10, Version::V15];
    let ids = versions.map(|version| {
        let id = switch.connected();
        let _ = switch.message(now, id, &[version as u8, 0, 0, 8, 0, 0, 0, 1], &mut ports);
        switch.take_output(id);
        id
    });
    let mut open = [true; 3];
    let mut rest = data;
    while let Some((&[high, low], behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(behind.len());
        let (group, behind) = behind.split_at(length);
        rest = behind;
        let Some((&what, body)) = group.split_first() else { continue };
        match what % 8 {
            6 => {
                // As it would come on a wire, or with its checksum left out, or coalesced.
                let meta = RxMeta::new(what >= 64, if what >= 128 { 64 } else { 0 });
                let _ = switch.take(1 + u32::from(what >> 3) % PORTS, body, meta);
                switch.forward(now, &mut ports);
            }
            7 => {
                now += Duration::from_millis(u64::from(what) * 100);
                switch.poll(now);
            }
            controller => {
                // The first two as ever; the third speaks 1.5.
                let which = if controller >= 4 { 2 } else { usize::from(controller) & 1 };
                if open[which] {
                    let mut message = Vec::with_capacity(HEADER + body.len());
                    let (kind, body) = body.split_first().map_or((0, body), |(kind, body)| (*kind, body));
                    message.extend_from_slice(&[versions[which] as u8, kind]);
                    message.extend_from_slice(&((HEADER + body.len()) as u16).to_be_bytes());
                    message.extend_from_slice(&[0, 0, 0, 9]);
                    message.extend_from_slice(body);
                    open[which] = tell(&mut switch, now, ids[which], versions[which], &message, &mut ports);
                }
            }
        }
        for (id, version) in ids.into_iter().zip(versions) {
            whole(&switch.take_output(id), version);
        }
    }
    assert!(switch.flows() <= 4 * 32);
}

/// Sends a message and looks at the answer; `false` when the connection ended.
fn tell(
    switch: &mut Switch,
    now: Instant,
    id: ConnectionId,
    version: Version,
    message: &[u8],
    ports: &mut Ports,
) -> bool {
    let flows = switch.flows();
    if switch.message(now, id, message, ports).is_err() {
        return false;
    }
    let said = switch.take_output(id);
    let answers = whole(&said, version);
    let kind = Kind::from_number(version, message[1]);
    let refused = answers.iter().any(|(kind, xid)| *kind == Kind::Error && *xid == 9);
    match kind {
        Some(Kind::BarrierRequest) => assert!(answers.contains(&(Kind::BarrierReply, 9))),
        Some(Kind::EchoRequest) => assert!(answers.contains(&(Kind::EchoReply, 9))),
        Some(Kind::FeaturesRequest) => assert!(answers.contains(&(Kind::FeaturesReply, 9))),
        // Which messages of a bundle were refused is said before the answer to the whole.
        Some(Kind::BundleControl) => {
            assert!(refused || answers.contains(&(Kind::BundleControl, 9)));
        }
        Some(Kind::MultipartRequest) => {
            assert!(refused || answers.contains(&(Kind::MultipartReply, 9)));
        }
        None => assert!(refused, "an unknown kind is refused"),
        _ => {}
    }
    // A flow that sends a packet out of a buffer may be there although the buffer is not.
    if refused && !matches!(kind, Some(Kind::FlowMod)) {
        assert_eq!(switch.flows(), flows, "a refused message changes no flow");
    }
    true
}

/// The kinds and transaction numbers of the messages that fill `said`.
fn whole(mut said: &[u8], version: Version) -> Vec<(Kind, u32)> {
    let mut messages = Vec::new();
    while !said.is_empty() {
        let header = Header::parse(said).expect("a whole header");
        assert_eq!(header.version, version as u8);
        assert!(usize::from(header.length) >= HEADER);
        let kind = Kind::from_number(version, header.kind).expect("a kind of this version");
        said = said.get(usize::from(header.length)..).expect("a whole message");
        messages.push((kind, header.xid));
    }
    messages
}
