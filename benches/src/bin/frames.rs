//! A flood of Ethernet frames: `frames on=IF size=64 flows=1000 seconds=3` sends UDP packets from 10.9.0.1, port 1, to that
//! many addresses from 10.64.0.0 on, in a mixed order, as fast as the interface takes them, and prints how many went.
use airglow::{
    device::{Clock, NetDevice, NetTx, Platform},
    platform::Packet,
};
use std::{future::poll_fn, net::Ipv4Addr, time::Duration};

/// Frames between two looks at the clock.
const BATCH: usize = 64;

airglow::main!(|platform| flood(platform));

async fn flood<P: Platform<Timer = airglow::platform::Reactor>>(platform: &P) -> Result<(), String> {
    let words = platform.parameters();
    let number = |name: &str| {
        words
            .get::<usize>(name, "a number")
            .map_err(|e| e.to_string())?
            .ok_or(format!("`{name}=` is missing"))
    };
    let (size, flows, seconds) = (number("size")?, number("flows")?, number("seconds")?);
    let name = words.text("on").ok_or("`on=` is missing")?;
    let timer = platform.timer();
    let mut device = Packet::open_promiscuous(timer, name, false).map_err(|e| e.to_string())?;
    let mut frame = [0xff; 1514];
    let frame = frame.get_mut(..size.clamp(60, 1514)).ok_or("")?;
    let end = timer.now() + Duration::from_secs(seconds as u64);
    let mut sent = 0_u64;
    while timer.now() < end {
        let (_, tx) = device.split();
        let mut full = false;
        for _ in 0..BATCH {
            // A step that has no factor in common with any number of flows that is not a multiple of it.
            let flow = (sent as usize).wrapping_mul(7919) % flows;
            write(frame, Ipv4Addr::from(0x0a40_0000 + flow as u32));
            full = tx.transmit(frame.len(), |slot| slot.bytes.copy_from_slice(frame)).is_err();
            if full {
                break;
            }
            sent += 1;
        }
        tx.flush();
        if full {
            poll_fn(|cx| device.poll_ready(cx, true)).await;
        }
    }
    println!("{sent} frames");
    Ok(())
}

/// Ethernet, IPv4 with its checksum, UDP without one.
fn write(frame: &mut [u8], to: Ipv4Addr) {
    let length = (frame.len() - 14) as u16;
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&[8, 0]);
    let ip = &mut frame[14..];
    ip[..12].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0]);
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    ip[12..16].copy_from_slice(&[10, 9, 0, 1]);
    ip[16..20].copy_from_slice(&to.octets());
    let sum: u32 = ip[..20].chunks_exact(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    ip[20..28].copy_from_slice(&[0, 1, 0, 9, 0, 0, 0, 0]);
    ip[24..26].copy_from_slice(&(length - 20).to_be_bytes());
}
