//! Where a board's log can be read: what comes out of the serial port, through semihosting, and stands in RTT's ring.
use super::{boards::Board, elf::Elf, emulator, image};
use crate::failure::{Context, Failure, Result};
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What a probe looks for, and the words behind it, of which the fourth is the ring, the fifth its size, the sixth where it is written.
const IDENTIFICATION: &[u8] = b"SEGGER RTT\0\0\0\0\0\0";
const CONTROL_BLOCK: usize = 48;

/// The three logs of `image`, which has both features, are the same bytes, and `decoder` makes sense of them.
pub fn agree(board: &Board, image: &Path, decoder: &Path) -> Result {
    let folder = std::env::temp_dir().join(format!("airglow-logs-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).context(folder.display())?;
    let result = compare(board, image, decoder, &folder);
    let _ = fs::remove_dir_all(&folder);
    result
}

fn compare(board: &Board, image: &Path, decoder: &Path, folder: &Path) -> Result {
    let bytes = fs::read(image).context(image.display())?;
    let symbols = Elf::read(&bytes)?.symbols;
    let block =
        symbols.iter().find(|s| s.name == "_SEGGER_RTT").context("the image has no _SEGGER_RTT")?.address;
    let (serial, hosted) = (folder.join("serial"), folder.join("hosted"));
    let (words, socket) = (folder.join("block"), folder.join("monitor"));
    // With an address from the start, its log has no pause.
    let image = &image::with_parameters(image, &["ipv4=10.9.8.2/24".to_owned()])?;
    let mut qemu = emulator::command(board, image, "user");
    // The last of two words counts: the monitor is a socket, the serial port a file, and standard output the semihosting's. The board has no
    // card, says so and ends; then it stands still to be looked at.
    qemu.args(["-monitor", &format!("unix:{},server=on,wait=off", socket.display()), "-no-shutdown"]);
    qemu.args(["-semihosting-config", "enable=on,target=native"]);
    let mut arguments: Vec<_> = qemu.get_args().map(|word| word.to_owned()).collect();
    for (index, word) in arguments.clone().iter().enumerate() {
        if word == "-serial" {
            arguments[index + 1] = format!("file:{}", serial.display()).into();
        }
    }
    let mut qemu = Command::new(qemu.get_program());
    let console = fs::File::create(&hosted).context(hosted.display())?;
    qemu.args(arguments).stdin(Stdio::null()).stdout(console).stderr(Stdio::null());
    let mut qemu = qemu.spawn().context(board.qemu[0])?;
    let ring = read_ring(block, &serial, &words, &socket);
    let _ = qemu.kill();
    let _ = qemu.wait();
    let ring = ring?;
    let (serial, hosted) =
        (fs::read(serial).context("serial port")?, fs::read(hosted).context("semihosting")?);
    if serial != hosted || serial != ring {
        return Err(Failure::new(format!(
            "the serial port said {} bytes, semihosting {}, RTT's ring holds {}, and they are not the same",
            serial.len(),
            hosted.len(),
            ring.len()
        )));
    }
    let mut printer = Command::new(decoder);
    printer.arg("-e").arg(image).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut printer = printer.spawn().context(decoder.display())?;
    printer.stdin.take().context("no pipe")?.write_all(&ring).context("defmt-print")?;
    let text = printer.wait_with_output().context("defmt-print")?.stdout;
    let text = String::from_utf8_lossy(&text);
    if text.contains("airglow on lm3s6965evb") && text.contains("SD card") {
        Ok(())
    } else {
        Err(Failure::new(format!("RTT's ring holds:\n{text}")))
    }
}

/// What is in the ring once the board has ended.
fn read_ring(block: u64, serial: &Path, words: &Path, socket: &Path) -> Result<Vec<u8>> {
    let deadline = Instant::now() + Duration::from_secs(60);
    // It has nothing more to say when the log has not grown for a while.
    let (mut before, mut since) = (0, Instant::now());
    while before == 0 || since.elapsed() < Duration::from_secs(5) {
        let now = fs::metadata(serial).map_or(0, |file| file.len());
        if now != before {
            (before, since) = (now, Instant::now());
        }
        if Instant::now() > deadline {
            return Err(Failure::new("the board says nothing, or does not stop"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut monitor = UnixStream::connect(socket).context("QEMU's monitor")?;
    let head = memory(&mut monitor, block, CONTROL_BLOCK, words)?;
    let word = |index: usize| {
        let at = IDENTIFICATION.len() + 4 * index;
        head.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    };
    let (ring, size, written) = (word(3), word(4) as usize, word(5) as usize);
    if !head.starts_with(IDENTIFICATION) || word(0) != 1 || written >= size {
        return Err(Failure::new(format!("this is no control block of RTT's: {head:02x?}")));
    }
    let mut ring = memory(&mut monitor, ring.into(), size, words)?;
    ring.truncate(written);
    Ok(ring)
}

/// `len` bytes of the board's memory, through the monitor and the file `to`.
fn memory(monitor: &mut UnixStream, at: u64, len: usize, to: &Path) -> Result<Vec<u8>> {
    let _ = fs::remove_file(to);
    writeln!(monitor, "pmemsave {at:#x} {len} \"{}\"", to.display()).context("QEMU's monitor")?;
    monitor.set_read_timeout(Some(Duration::from_millis(100))).context("QEMU's monitor")?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        // What the monitor says must be read, or it stops.
        let _ = monitor.read(&mut [0; 4096]);
        if let Ok(bytes) = fs::read(to)
            && bytes.len() == len
        {
            return Ok(bytes);
        }
    }
    Err(Failure::new("QEMU does not show the board's memory"))
}
