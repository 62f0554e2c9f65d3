//! An OpenFlow switch on a board: its ports are further network cards, and the `ovs-ofctl` of this machine drives it.
use super::{
    boards::Board,
    emulator::{self, Running},
    frames::Wire,
    image, size,
};
use crate::{
    failure::{Context, Failure, Result},
    ofctl::ofctl,
};
use std::{path::Path, time::Duration};

/// Frames that must pass, one behind the other.
const FRAMES: u16 = 500;

/// Without a flow nothing passes from one cable to the other; with one what it says, to the octet, and only in its direction.
pub fn switches(board: &Board, image: &Path, decoder: &Path, log: &Path) -> Result {
    let (size, _) = size::measure(image)?;
    println!("   {}: code and constants {} bytes; variables {} bytes", board.name, size.flash, size.ram);
    let words = ["ports=1,2", "listen=0.0.0.0:6653", "datapath=abc"].map(str::to_owned);
    let image = image::with_parameters(image, &words)?;
    let port = emulator::free_port()?;
    let netdev = format!("user,hostfwd=tcp:127.0.0.1:{port}-:6653");
    let wires = [Wire::new()?, Wire::new()?];
    let mut devices = Vec::new();
    for (number, wire) in wires.iter().enumerate() {
        let name = format!("w{number}");
        devices.extend(["-netdev".to_owned(), format!("{},id={name}", wire.netdev())]);
        devices.extend(["-device".to_owned(), format!("virtio-net-device,netdev={name}")]);
    }
    let running = Running::start_with(board, &image, &netdev, decoder, log, &devices)?;
    passes(&wires, port).map_err(|why| Failure::new(format!("{why}; the board's log:\n{}", running.log())))
}

fn passes([one, two]: &[Wire; 2], port: u16) -> Result {
    let that = |holds: bool, what: String| if holds { Ok(()) } else { Err(Failure::new(what)) };
    let ofctl = |words: &[&str]| ofctl(port, words);
    let shown = ofctl(&["show"])?;
    that(shown.contains("dpid:0000000000000abc") && shown.contains("n_tables:4,"), shown.clone())?;
    that(shown.contains(" 1(1): addr:") && shown.contains(" 2(2): addr:"), shown)?;
    let came = |at: &Wire, frame: &[u8], limit| at.wait(limit, |came| (came == frame).then_some(()));
    let short = Duration::from_millis(500);
    one.send(&frame(0, 60));
    that(came(two, &frame(0, 60), short).is_none(), "without a flow a frame passes".to_owned())?;
    ofctl(&["add-flow", "in_port=1,actions=mod_dl_src:02:00:00:00:00:77,output:2"])?;
    for number in 1..=FRAMES {
        let mut frame = frame(number, if number % 2 == 0 { 1514 } else { 60 });
        one.send(&frame);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x77]);
        let passed = came(two, &frame, Duration::from_secs(10));
        passed.context_with(|| format!("frame {number} does not arrive"))?;
    }
    two.send(&frame(7, 60));
    that(came(one, &frame(7, 60), short).is_none(), "a frame passes against the flow".to_owned())?;
    let flows = ofctl(&["dump-flows"])?;
    that(flows.contains(&format!("n_packets={FRAMES},")), flows)
}

/// A frame of a kind that nobody knows, with its number in it.
fn frame(number: u16, length: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    frame.extend(number.to_be_bytes());
    frame.resize(length, number as u8);
    frame
}
