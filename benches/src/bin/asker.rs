//! UDP questions over AF_XDP, past the kernel of the machine that asks: `asker on=IF ipv4=A to=B port=N seconds=S window=W` with
//! `size=BYTES` (payloads that must come back as they went) or `names=FILE` (lines `NAME TYPE`, each a DNS question whose answer must
//! be NOERROR with a record). Keeps W questions on their way and prints `N answers in S seconds, M wrong, L lost`.
use airglow::{
    device::{Clock, MacAddr, NetDevice, NetRx, NetTx, Platform},
    platform::Xdp,
    runtime::{Either, select, sleep},
};
use std::{fs, future::poll_fn, net::Ipv4Addr, pin::pin, time::Duration};

/// Frames between two looks at the ring.
const BATCH: usize = 64;
/// How long no answer may come before those on their way count as lost.
const PATIENCE: Duration = Duration::from_millis(50);
const HEADERS: usize = 14 + 20 + 8;
const SOURCE_PORT: u16 = 40_000;

airglow::main!(|platform| ask(platform));

async fn ask<P: Platform<Timer = airglow::platform::Reactor>>(platform: &P) -> Result<(), String> {
    let words = platform.parameters();
    let text = |name: &str| words.text(name).ok_or(format!("`{name}=` is missing"));
    let number = |name: &str| text(name)?.parse::<u64>().map_err(|e| format!("{name}=: {e}"));
    let address = |name: &str| text(name)?.parse::<Ipv4Addr>().map_err(|e| format!("{name}=: {e}"));
    let (own, to, port) = (address("own")?, address("to")?, number("port")? as u16);
    let (seconds, window) = (number("seconds")?, number("window")? as usize);
    let payloads = match (words.text("size"), words.text("names")) {
        (Some(size), _) => {
            let size = size.parse::<usize>().map_err(|e| e.to_string())?;
            vec![(0..size).map(|i| i as u8).collect()]
        }
        (None, Some(file)) => questions(&fs::read_to_string(file).map_err(|e| e.to_string())?)?,
        (None, None) => return Err("`size=` or `names=` is missing".to_owned()),
    };
    let dns = words.text("size").is_none();
    let timer = platform.timer();
    let mut device = Xdp::open(timer, text("on")?, None, true).map_err(|e| e.to_string())?;
    let mac = device.mac();
    let Some(peer) = resolve(timer, &mut device, own, to).await else {
        return Err(format!("nobody answers for {to}"));
    };
    let frames: Vec<Vec<u8>> =
        payloads.iter().map(|payload| frame(mac, peer, own, to, port, payload)).collect();

    let start = timer.now();
    let end = start + Duration::from_secs(seconds);
    let (mut next, mut waiting, mut answers, mut wrong, mut lost) = (0, 0_usize, 0_u64, 0_u64, 0);
    loop {
        let (rx, tx) = device.split();
        let before = answers + wrong;
        let mut asked = None;
        loop {
            let taken = rx.receive(BATCH, |frame, _| match frame.get(12..14) {
                Some([8, 6]) => asked = arp_answer(frame, mac, own),
                Some([8, 0]) if frame.get(36..38) == Some(&SOURCE_PORT.to_be_bytes()) => {
                    match frame.get(HEADERS..).is_some_and(|payload| right(payload, &payloads, dns)) {
                        true => answers += 1,
                        false => wrong += 1,
                    }
                }
                _ => {}
            });
            if taken < BATCH {
                break;
            }
        }
        waiting = waiting.saturating_sub((answers + wrong - before) as usize);
        if let Some(answer) = asked {
            let _ = tx.transmit(answer.len(), |slot| slot.bytes.copy_from_slice(&answer));
        }
        if timer.now() >= end {
            break;
        }
        // A veth pair holds 256 frames: no more in one go.
        while waiting < window {
            let frame: &[u8] = &frames[next % frames.len()];
            if tx.transmit(frame.len(), |slot| slot.bytes.copy_from_slice(frame)).is_err() {
                break;
            }
            next += 1;
            waiting += 1;
        }
        tx.flush();
        let ready = pin!(poll_fn(|cx| device.poll_ready(cx, false)));
        if let Either::Right(()) = select(ready, sleep(timer, PATIENCE)).await {
            lost += waiting;
            waiting = 0;
        }
    }
    let took = timer.now().since(start).as_secs_f64();
    println!("{answers} answers in {took} seconds, {wrong} wrong, {lost} lost");
    Ok(())
}

/// What must come back has.
fn right(payload: &[u8], payloads: &[Vec<u8>], dns: bool) -> bool {
    match (dns, payload) {
        // A response, NOERROR, with at least one record.
        (true, [_, _, flags, code, _, _, high, low, ..]) => {
            flags & 0x80 != 0 && code & 0x0f == 0 && (*high, *low) != (0, 0)
        }
        (true, _) => false,
        (false, _) => payload == payloads[0],
    }
}

/// The questions of lines `NAME TYPE`, of which only A and AAAA are known here.
fn questions(text: &str) -> Result<Vec<Vec<u8>>, String> {
    text.lines()
        .take(20_000)
        .enumerate()
        .map(|(id, line)| {
            let (name, kind) = line.split_once(' ').ok_or(line)?;
            let mut question = (id as u16).to_be_bytes().to_vec();
            question.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            for label in name.trim_end_matches('.').split('.') {
                question.push(label.len() as u8);
                question.extend(label.bytes());
            }
            let kind = if kind.trim() == "AAAA" { 28 } else { 1 };
            question.extend([0, 0, kind, 0, 1]);
            Ok(question)
        })
        .collect()
}

/// Asks for the address of `to` by ARP (RFC 826), for at most five seconds.
async fn resolve(
    timer: &airglow::platform::Reactor,
    device: &mut Xdp,
    own: Ipv4Addr,
    to: Ipv4Addr,
) -> Option<MacAddr> {
    let mac = device.mac();
    let end = timer.now() + Duration::from_secs(5);
    while timer.now() < end {
        let request = arp(1, MacAddr::BROADCAST, mac, own, MacAddr::UNSPECIFIED, to);
        let (rx, tx) = device.split();
        let mut found = None;
        rx.receive(BATCH, |frame, _| {
            if frame.get(12..14) == Some(&[8, 6]) && frame.get(28..32) == Some(&to.octets()) {
                found = frame.get(22..28).and_then(|mac| mac.try_into().ok()).map(MacAddr);
            }
        });
        if found.is_some() {
            return found;
        }
        let _ = tx.transmit(request.len(), |slot| slot.bytes.copy_from_slice(&request));
        tx.flush();
        sleep(timer, PATIENCE).await;
    }
    None
}

fn arp_answer(frame: &[u8], mac: MacAddr, own: Ipv4Addr) -> Option<Vec<u8>> {
    let asked = frame.get(20..22)? == [0, 1] && frame.get(38..42)? == own.octets();
    let peer = MacAddr(frame.get(22..28)?.try_into().ok()?);
    let address: [u8; 4] = frame.get(28..32)?.try_into().ok()?;
    asked.then(|| arp(2, peer, mac, own, peer, address.into()))
}

fn arp(
    operation: u8,
    to: MacAddr,
    mac: MacAddr,
    own: Ipv4Addr,
    target: MacAddr,
    address: Ipv4Addr,
) -> Vec<u8> {
    let head = [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation];
    [&to.0[..], &mac.0, &head, &mac.0, &own.octets(), &target.0, &address.octets()].concat()
}

/// Ethernet, IPv4 and UDP, all checksums complete.
fn frame(mac: MacAddr, peer: MacAddr, own: Ipv4Addr, to: Ipv4Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len() as u16).to_be_bytes();
    let pseudo = [&own.octets()[..], &to.octets(), &[0, 17], &length].concat();
    let ports = [SOURCE_PORT.to_be_bytes(), port.to_be_bytes()].concat();
    let udp = [&ports[..], &length, &[0, 0], payload].concat();
    let check = !sum(&[&pseudo[..], &udp].concat());
    let total = (28 + payload.len() as u16).to_be_bytes();
    let mut ip =
        [&[0x45, 0][..], &total, &[0, 0, 0x40, 0, 64, 17, 0, 0], &own.octets(), &to.octets()].concat();
    let head = !sum(&ip);
    ip[10..12].copy_from_slice(&head.to_be_bytes());
    let mut frame = [&peer.0[..], &mac.0, &[8, 0], &ip, &udp].concat();
    frame[40..42].copy_from_slice(&if check == 0 { 0xffff } else { check }.to_be_bytes());
    frame
}

/// The Internet checksum's sum (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let pairs = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = pairs.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}
